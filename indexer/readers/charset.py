"""From bytes to text: which charset a file is in, with Chinese in all of its encodings first. Never fails on any bytes.

Byte order mark -> strict UTF-8 -> UTF-16/32 without mark -> UTF-8 with a few broken bytes -> what the file declares ->
the East Asian double-byte charset whose reading looks most like writing -> the single-byte charset, in the same way.
"""

import codecs
import re
from dataclasses import dataclass

from quarry.indexer.readers.legibility import EAST_ASIAN, IMPOSSIBLE, double_byte_score, wide_score, word_score

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 1 << 16
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949"}
_ESCAPES = ("iso2022_jp_2", "iso2022_kr")  # seven-bit, so they are valid UTF-8 as well
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_DECLARED = re.compile(
    rb"<meta[^>]+?charset\s*=\s*[\"']?([A-Za-z0-9_\-]+)|<\?xml[^>]+?encoding\s*=\s*[\"']([A-Za-z0-9_\-]+)",
    re.IGNORECASE,
)


_ACCENTED = re.compile(r"(?<=[A-Za-z])[\u00c0-\u024f](?![^\x00-\x7f])")
_PLAUSIBLE = 0.45  # right readings of real texts score 0.6 to 1, wrong ones below 0.35
_CHINESE_FIRST = 0.03  # decides for a few words only, which can be read as Korean too
_SINGLE_BYTE = (
    "cp1252", "cp1251", "koi8_r", "mac_cyrillic", "cp866", "iso8859_5", "cp1253", "iso8859_7", "cp1250", "iso8859_2",
    "cp1254", "cp1255", "cp1256", "cp874", "mac_roman", "cp437",
)  # fmt: skip  # a table


@dataclass(frozen=True, slots=True)
class Decoded:
    r"""Text that can be stored.

    Attributes:
        text: Without NUL and lone surrogates; newlines are `\n`.
        charset: What it was read with, a name that Python knows.
        damaged: How many characters could not be read and stand as U+FFFD.
    """

    text: str
    charset: str
    damaged: int


def decode(content: bytes, declared: str | None = None, *, charset: str | None = None) -> Decoded:
    """Turn a file's bytes into text; every byte sequence gives some text.

    Args:
        content: The whole file.
        declared: What the file says of itself; believed only when the bytes agree, unknown names are passed over.
        charset: Use this one and do not guess; bytes that do not fit become U+FFFD.

    Raises:
        LookupError: If `charset` is no charset that Python knows.
    """
    if charset:
        return _decoded(content, codecs.lookup(charset).name)
    for mark, name in _BOMS:
        if content.startswith(mark):
            return _decoded(content[len(mark) :], name)
    name = (
        _escaped(content)
        or _utf8(content)
        or _wide(content)
        or _nearly_utf8(content)
        or _believable(content, declared)
        or _east_asian(content)
        or _single_byte(content)
    )
    return _decoded(content, name)


def looks_like_text(content: bytes) -> bool:
    """Whether the content of a file whose name tells nothing is text: few controls, and bytes that are right in some charset."""
    sample = content[:_SAMPLE]
    if any(sample.startswith(mark) for mark, _ in _BOMS):
        return True
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b\b" for byte in sample)
    if b"\0" in sample or controls > len(sample) / 500:
        return False
    cut = sample[:-3] if len(content) > len(sample) else sample  # the last character may be half of one
    if _reads(cut, "utf-8") or (len(content) > len(sample) and _nearly_utf8(cut)):
        return True
    foreign = sum(byte >= 0x80 for byte in sample)
    return _east_asian(sample) is not None or foreign < 0.15 * len(sample)


def declared_charset(content: bytes) -> str | None:
    """Return the charset that an HTML `meta` or an XML declaration names in the first 4096 bytes, None without one."""
    match = _DECLARED.search(content[:4096])
    return (match.group(1) or match.group(2)).decode("ascii") if match else None


def storable(text: str) -> tuple[str, int]:
    """Replace what no index can hold (NUL, lone surrogates) and unify newlines.

    Returns:
        The text, and how many U+FFFD it holds now.
    """
    if _UNSTORABLE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    clean = text.replace("\0", "\ufffd").replace("\r\n", "\n").replace("\r", "\n")
    return clean, clean.count("\ufffd")


def _decoded(content: bytes, charset: str) -> Decoded:
    text, damaged = storable(content.decode(charset, "replace"))
    return Decoded(text.removeprefix("\ufeff"), charset, damaged)


def _escaped(content: bytes) -> str | None:
    """Japanese and Korean in seven bits, as old mail has it."""
    if b"\x1b$" not in content[:_SAMPLE]:
        return None
    return next((name for name in _ESCAPES if _reads(content, name)), None)


def _reads(content: bytes, name: str) -> bool:
    try:
        content.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def _utf8(content: bytes) -> str | None:
    """Strict UTF-8; one that is half zero bytes is UTF-16 of Latin text, which is valid UTF-8 too."""
    zeros = content[:_SAMPLE].count(0)
    if 4 * zeros >= min(len(content), _SAMPLE) > 0:
        return None
    return "utf-8" if _reads(content, "utf-8") else None


def _wide(content: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: zero bytes in a pattern, or plausible Chinese."""
    sample = content[: _SAMPLE & ~3]
    whole = sample[: len(sample) & ~3]
    if len(sample) < 4:
        return None
    zeros = [whole[offset::4].count(0) * 4 / len(whole) for offset in range(4)]
    if min(zeros[2], zeros[3]) > 0.9 and zeros[0] < 0.5:
        return "utf-32-le"
    if min(zeros[0], zeros[1]) > 0.9 and zeros[3] < 0.5:
        return "utf-32-be"
    if len(content) % 2:
        return None
    even = sample[: len(sample) & ~1]
    scores = {name: wide_score(even.decode(name, "replace")) for name in ("utf-16-le", "utf-16-be")}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] > 0.2 else None


def _nearly_utf8(content: bytes) -> str | None:
    """UTF-8 that is damaged: cut within its last character, or with more right characters than broken ones.

    Right sequences of three bytes, as Chinese, curly quotes and dashes have, hardly occur by chance: one of them makes up for a
    broken one. So does an accented letter within or at the end of a word of plain ones (`résumé`). Other sequences of two bytes occur in
    GBK too, and must be ten for each that is broken.
    """
    if 4 * content.count(0) >= len(content) > 0:
        return None
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        text = content.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    right = sum(not character.isascii() for character in text) - broken
    sure = sum(character >= "\u0800" for character in text) - broken + len(_ACCENTED.findall(text))
    return "utf-8" if right and (right >= 10 * broken or sure >= broken) else None


def _believable(content: bytes, declared: str | None) -> str | None:
    if not declared:
        return None
    try:
        name = codecs.lookup(declared).name
        name = _SUPERSETS.get(name, name)
        text = content[:_SAMPLE].decode(name, "replace")
    except (LookupError, ValueError):  # a name that Python does not know, or a codec that is not of text
        return None
    return name if len(IMPOSSIBLE.findall(text)) <= max(1, len(text) / 500) else None


def _east_asian(content: bytes) -> str | None:
    """The double-byte charset whose reading looks most like writing, None when none does."""
    sample = content[:_SAMPLE]
    foreign = sum(byte >= 0x80 for byte in sample)
    if foreign < 2 or foreign < 0.01 * len(sample):
        return None
    scores = {one.name: double_byte_score(sample, one) for one in EAST_ASIAN}
    scores["gb18030"] += _CHINESE_FIRST
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] > _PLAUSIBLE else None


def _single_byte(content: bytes) -> str:
    """The single-byte charset in which words look like words; among equals, the earlier in our list."""
    sample = content[:_SAMPLE]
    scores = {name: word_score(sample.decode(name, "replace")) for name in _SINGLE_BYTE}
    return max(_SINGLE_BYTE, key=scores.__getitem__)
