"""How much a text looks like writing, by which one of several readings of the same bytes is chosen.

Frequent characters count most; characters that nobody writes, and words of two scripts, count against a reading.
"""

import re
from dataclasses import dataclass

_BLANK = "\t\r\n\f"
# The 500 or so most frequent characters hold about three quarters of running Chinese text, simplified or traditional
COMMON_HAN = frozenset(
    "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事只作"
    "当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女"
    "问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产入先山五太水万市眼体别处总才场师书比住员"
    "九笑性通目华报立马命张活难神数件安表原车白应路期叫死常提感金何更反合放做系计或司利受光王果亲界及今京务制解各任至清物台象记边共风战干接它许八特"
    "這個來們為會過學對後時說國開無發經頭動長現實點種聲話給業間電門東關並內產場師書員報馬難張應車親務記邊戰許區號萬與於從還沒將見當樣"
)
_COMMON_KANJI = frozenset(
    "日一人年大本中長出三時行生分会者月東子上業見部事間社場学方員明作国前田山川藤佐木"
    "高橋井村原野林小渡辺松金郎美名所都道府県市町"
)
_COMMON_HANGUL = frozenset("이다는의에을를고가은로한하지도사자기나시서리어그대인들와과정부수일해있것전구보적제성")
_USUAL = COMMON_HAN | _COMMON_KANJI | _COMMON_HANGUL
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u30fc]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_CJK_PUNCTUATION = re.compile(
    r"[\u3000-\u3002\u3008-\u3011\u3014\u3015\uff01-\uff5e\u2014\u2018-\u201d\u2026\u00b7\u30fb]"
)
# Readings that hold these are wrong: replacement, private use, C1 controls
IMPOSSIBLE = re.compile(r"[\ufffd\ue000-\uf8ff\x80-\x84\x86-\x9f]")
_LETTERS = re.compile(r"[^\W\d_]+")
_FREQUENT = frozenset("éèêàâçôûîïäöüßñáíóúãõåæøоеаинтсрвлкмдпуяыьгзαοιετσνηυρπκμςόίάέήύώłąęśżźćńčřšžěůűőğışیהוילארמא")


@dataclass(frozen=True, slots=True)
class DoubleByte:
    """A double-byte charset and how its language shows.

    Attributes:
        name: Python's codec.
        lead: First bytes of the everyday characters, inclusive range.
        trail: Lowest second byte of these.
        script: Matches the characters of the language.
        common: Its most frequent ones.
    """

    name: str
    lead: tuple[int, int]
    trail: int
    script: re.Pattern[str]
    common: frozenset[str]


_CHINESE = DoubleByte("gb18030", (0xB0, 0xD7), 0xA1, _HAN, COMMON_HAN)
_JAPANESE_SCRIPT = re.compile(f"{_HAN.pattern[:-1]}{_KANA.pattern[1:]}")
EAST_ASIAN = (
    _CHINESE,
    DoubleByte("big5", (0xA4, 0xC6), 0x40, _HAN, COMMON_HAN),
    DoubleByte("cp932", (0x88, 0x97), 0x40, _JAPANESE_SCRIPT, _COMMON_KANJI),
    DoubleByte("euc_jp", (0xB0, 0xCF), 0xA1, _JAPANESE_SCRIPT, _COMMON_KANJI),
    DoubleByte("cp949", (0xB0, 0xC8), 0xA1, _HANGUL, _COMMON_HANGUL),
)


def wide_score(text: str) -> float:
    """Share of characters that are frequent in some language we know; 0 for a reading that cannot be right.

    Two bytes of GBK or Latin text, read as one unit, fall among the Han and Hangul too, but seldom on frequent ones.
    """
    controls = sum(character < " " and character not in _BLANK for character in text)
    if len(IMPOSSIBLE.findall(text)) + controls > len(text) / 200:
        return 0.0
    ascii_signs = sum(character.isascii() and (character.isprintable() or character in _BLANK) for character in text)
    frequent = sum(character in _USUAL for character in text)
    return (ascii_signs + frequent + len(_KANA.findall(text)) + len(_CJK_PUNCTUATION.findall(text))) / len(text)


def double_byte_score(sample: bytes, kind: DoubleByte) -> float:
    """Mean weight of the characters beyond ASCII, 1 at most: frequent 1, everyday 0.7, rare less than nothing."""
    foreign = "".join(character for character in sample.decode(kind.name, "replace") if not character.isascii())
    if not foreign:
        return 0.0
    japanese = kind.script is _JAPANESE_SCRIPT
    total = 0.0
    for character in foreign[:8192]:
        code = character.encode(kind.name, "replace")
        if character in kind.common or (japanese and _KANA.match(character)):
            total += 1.0
        elif _CJK_PUNCTUATION.match(character):
            total += 0.7
        elif kind is _CHINESE and _KANA.match(character):
            total += 0.3
        elif not kind.script.match(character):
            total -= 2.0 if IMPOSSIBLE.match(character) else 0.4
        elif len(code) == 2 and kind.lead[0] <= code[0] <= kind.lead[1] and code[1] >= kind.trail:
            total += 0.7
        else:
            total -= 0.1
    return total / min(len(foreign), 8192)


def word_score(text: str) -> float:
    """Mean weight of the characters beyond ASCII: frequent, in words of one script, small after the first letter."""
    foreign = sum(not character.isascii() for character in text)
    total = -float(2 * len(IMPOSSIBLE.findall(text)))
    for word in _LETTERS.findall(text):
        if word.isascii():
            continue
        letters = [character for character in word if not character.isascii()]
        mixed = any(character.isascii() for character in word) and any(character > "\u0250" for character in letters)
        shaped = word.islower() or word[1:].islower() or word.isupper() or word.lower() == word.upper()
        crowded = letters[0] < "\u0250" and len(word) > 2 and 2 * len(letters) > len(word)  # Latin has few accents
        if mixed or crowded or not shaped:
            total -= len(letters)
        else:
            total += sum(1.0 if character.lower() in _FREQUENT else 0.3 for character in letters)
    return total / max(1, foreign)
