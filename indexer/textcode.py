"""From bytes to text: which charset a file is in, with Chinese in all of its encodings first.

Byte order mark -> strict UTF-8 -> UTF-16/32 without mark -> what the file declares -> GB18030, Big5, Shift-JIS or CP949,
whichever gives the most plausible characters -> charset-normalizer. UTF-8 with a few broken bytes keeps the rest.
"""

import codecs
import re
from dataclasses import dataclass

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 1 << 16
_EAST_ASIAN = ("gb18030", "big5", "cp932", "cp949")
_UNSTORABLE = dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd")
# The 500 or so most frequent characters hold about three quarters of running Chinese text, simplified or traditional
_COMMON_HAN = frozenset(
    "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事只作"
    "当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女"
    "问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产入先山五太水万市眼体别处总才场师书比住员"
    "九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更反合放做系计或司利受光王果亲界及今京务制解各任至清物台象记边共风战干接它许八特"
    "這個來們為會過學對後時說國開無發經頭動長現實點種聲話給業間電門東關並內產場師書員報馬難張應車親務記邊戰許區號萬與於從還沒將見當樣"
)
_COMMON_HANGUL = frozenset("이다는의에을를고가은로한하지도사자기나시서리어그대인")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_HALF_KANA = re.compile(r"[\uff61-\uff9f]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_PRIVATE = re.compile(r"[\ue000-\uf8ff\x80-\x9f]")
_META = re.compile(
    rb"<meta[^>]+charset\s*=\s*[\"']?([A-Za-z0-9_\-]+)|<\?xml[^>]+encoding\s*=\s*[\"']([A-Za-z0-9_\-]+)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Text without NUL and lone surrogates, newlines as `\\n`; its charset; how many characters could not be read."""

    text: str
    charset: str
    damaged: int


def decode(content: bytes, *, charset: str | None = None) -> Decoded:
    """Turn a file's bytes into text.

    Args:
        content: The whole file.
        charset: Use this one and do not guess; bytes that do not fit become U+FFFD.

    Raises:
        LookupError: If the charset's name is unknown.
    """
    if charset:
        return _finished(content.decode(charset, "replace"), charset)
    for mark, name in _BOMS:
        if content.startswith(mark):
            return _finished(content[len(mark) :].decode(name, "replace"), name)
    try:
        return _finished(content.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    name = _wide(content) or _declared(content) or _east_asian(content) or _nearly_utf8(content) or _western(content)
    return _finished(content.decode(name, "replace"), name)


def _finished(text: str, charset: str) -> Decoded:
    clean = text.translate(_UNSTORABLE).replace("\r\n", "\n").replace("\r", "\n")
    return Decoded(clean, charset, clean.count("\ufffd"))


def _wide(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: zero bytes in a pattern, or plausible Chinese."""
    sample = content[: _SAMPLE & ~3]
    if len(sample) < 4:
        return None
    zeros = [sample[offset::4].count(0) * 4 / len(sample) for offset in range(4)]
    if min(zeros[2], zeros[3]) > 0.9:
        return "utf-32-le"
    if min(zeros[0], zeros[1]) > 0.9:
        return "utf-32-be"
    if len(content) % 2:
        return None
    best, best_score = None, 0.5
    for name in ("utf-16-le", "utf-16-be"):
        try:
            text = sample.decode(name)
        except UnicodeDecodeError:
            continue
        common = sum(character in _COMMON_HAN or (character.isascii() and character.isprintable()) for character in text)
        score = common / len(text)
        if score > best_score or (
            score > 0.3 and len(_HAN.findall(text)) > 0.8 * len(text) and not _PRIVATE.search(text)
        ):
            best, best_score = name, max(score, best_score)
    return best


def _declared(content: bytes) -> str | None:
    match = _META.search(content[:4096])
    if not match:
        return None
    name = (match.group(1) or match.group(2)).decode("ascii").lower()
    name = "gb18030" if name in ("gb2312", "gbk", "gb_2312-80") else name
    try:
        content[:_SAMPLE].decode(name, "ignore")
        return name if content.decode(name, "replace").count("\ufffd") <= len(content) / 1000 else None
    except LookupError:
        return None


def _east_asian(content: bytes) -> str | None:
    """The double-byte charset whose reading looks most like writing, None when none does."""
    sample = content[:_SAMPLE]
    if sum(byte >= 0x80 for byte in sample) < 0.02 * len(sample):
        return None
    scores = {name: score for name in _EAST_ASIAN if (score := _plausibility(sample, name)) is not None}
    if not scores:
        return None
    name = max(scores, key=scores.__getitem__)
    return name if scores[name] > 0.2 else None


def _plausibility(sample: bytes, name: str) -> float | None:
    """Share of the non-ASCII characters that are frequent in the languages of a charset; None when it cannot be read."""
    text = ""
    for cut in range(4):  # the sample may end inside a character
        try:
            text = sample[: len(sample) - cut].decode(name)
            break
        except UnicodeDecodeError as err:
            if err.start < len(sample) - 4:
                return None
    foreign = [character for character in text if not character.isascii()]
    if not foreign or len(_PRIVATE.findall(text)) > 0.01 * len(foreign):
        return None
    joined = "".join(foreign)
    han = _HAN.findall(joined)
    common = sum(character in _COMMON_HAN for character in han)
    if name == "cp949":
        hangul = _HANGUL.findall(joined)
        return (
            sum(character in _COMMON_HANGUL for character in hangul) * 2 / len(foreign)
            if len(hangul) > len(han)
            else 0.0
        )
    if name == "cp932":
        kana = len(_KANA.findall(joined))
        penalty = len(_HALF_KANA.findall(joined))
        # short lists of Japanese names have few kana: any reading without half-width kana that is all kanji is taken late
        return (1.5 * kana + 0.6 * common + 0.3 * (len(han) - common) - penalty) / len(foreign)
    everyday = 0
    if name == "gb18030":  # level 1 of GB 2312 holds the 3,755 everyday characters; it decides for a few words
        everyday = sum(0xB0 <= character.encode("gb18030")[0] <= 0xD7 and len(character.encode("gb18030")) == 2 for character in han)
    punctuation = len(re.findall(r"[，。、；：（）《》“”！？「」]", joined))
    return (common + 0.2 * punctuation + 0.25 * everyday) / len(foreign)


def _nearly_utf8(content: bytes) -> str | None:
    """UTF-8 with a few broken bytes: at most one character in fifty, and some that are right."""
    text = content.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    right = sum(not character.isascii() for character in text) - broken
    return "utf-8" if right > 4 * broken else None


def _western(content: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(content[:_SAMPLE]).best()
    return best.encoding if best is not None else "cp1252"
