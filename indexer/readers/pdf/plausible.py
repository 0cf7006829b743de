"""Whether the text layer of a PDF is writing, or garbage that a broken font table made of it.

Three kinds of garbage: signs without a meaning (private use, controls), letters that stand for other letters (a map of another font),
and Chinese read as Western letters.
"""

import re
from collections.abc import Sequence

from quarry.indexer.readers.legibility import COMMON_HAN

_SIGNS = re.compile("[\ufffd\ue000-\uf8ff\U000f0000-\U0010ffff\0-\x08\x0e-\x1f\x80-\x9f]")
_CONTROLS = re.compile("[\0-\x08\x0e-\x1f]")  # those of them that ASCII has
_MOST_SIGNS = 0.2
_WORD = re.compile(r"[A-Za-z]{2,}")
_GRAPHIC = re.compile("[!-~]{2,}")
_GLYPHS = 29  # from the number of a glyph to the code of its letter, in the usual order of fonts
_FROM_GLYPHS = bytes(code if code == 32 else (code + _GLYPHS) % 256 for code in range(256))
_READABLE = 0.05  # of the words, once they are numbers of glyphs
_ACCENTED = re.compile("[\u00a1-\u00ff]")
_LETTER = re.compile(r"[^\W\d_]")
_HAN = re.compile("[\u3400-\u9fff]")
_FEWEST_WORDS = 30
_FEWEST_HAN = 60
# Right texts of nine languages with Latin letters score 0.35 to 0.85, English under each of the 25 other shifts of the alphabet 1.22 to 1.9
_STRANGEST = 1.15
_FEWEST_FUNCTION_WORDS = 0.01
_SMALL_WORDS = (
    "the of and to in is are was for that with on as by it be this from or at an not have has you we he they which "
    "de la le les et des du en un une est que pour dans el los las y por con una del se der die das und ist von zu mit den ein eine "
    "nicht auf für dem im il di che non per da della o os uma para com em do na het een van niet dat ve bir bu ile için nie na "
    "do jest że się w z i a och att det som en på av är ja on ei se og til er på"
)
# shorter ones appear in shifted text by chance
_FUNCTION_WORDS = frozenset(word for word in _SMALL_WORDS.split() if len(word) > 2)
_FREQUENCIES = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (8.2, 1.5, 2.8, 4.3, 12.7, 2.2, 2.0, 6.1, 7.0, 0.15, 0.77, 4.0, 2.4, 6.7, 7.5, 1.9, 0.1, 6.0, 6.3, 9.1, 2.8, 1.0,
         2.4, 0.15, 2.0, 0.07), strict=True,
    )
)  # fmt: skip  # a table
# The 258 pairs of letters with 4 of 10,000 or more in English text: 97.6 % of all; other languages with Latin letters reach 73 to 97 %
_PAIRS = frozenset(
    first + second
    for first, seconds in {
        "a": "bcdfgiklmnprstuvxy", "b": "aeijlorsuy", "c": "acehiklorstuy", "d": "adeiorsuy", "e": "acdefgilmnopqrstvwxy",
        "f": "aefilortu", "g": "aehilnorsu", "h": "aeiorty", "i": "abcdefglmnoprstvz", "j": "e", "k": "ei", "l": "adeilostuy",
        "m": "abeimopsu", "n": "acdefgilnostuvy", "o": "abcdfgiklmnoprstuvwx", "p": "aehiloprtu", "q": "u",
        "r": "acdefgiklmnorstuvy", "s": "acehimopstuy", "t": "aehilorstuwy", "u": "abcdegilmnprst", "v": "aeio", "w": "aehinos",
        "x": "aipt", "y": "elops", "z": "e",
    }.items()
    for second in seconds
)  # fmt: skip  # a table
_FEWEST_COMMON_HAN = 0.12
_MOST_ACCENTED = 0.5


def is_garbage(text: str) -> bool:
    """Whether a text layer is not writing. Short texts are believed when their signs have a meaning."""
    signs = (_CONTROLS if text.isascii() else _SIGNS).findall(text)
    if signs and len(signs) > _MOST_SIGNS * len("".join(text.split())):
        return True
    if _is_foreign(text):
        return True
    words = [word.lower() for word in _WORD.findall(text) if not word.isupper()]
    known = sum(map(_FUNCTION_WORDS.__contains__, words)) > _FEWEST_FUNCTION_WORDS * len(words)
    if known and 2 * len(words) > len(text.split()):  # most of it is words, with the small ones of a language
        return False
    return (not known and _is_shifted(text, words)) or _is_numbers_of_glyphs(text)


def _is_numbers_of_glyphs(text: str) -> bool:
    """Whether the characters are numbers of glyphs of a TrueType font, which has `A` at 36: `7KH` for `The`."""
    words = _GRAPHIC.findall(text)
    if len(words) < _FEWEST_WORDS or not any(map(str.isupper, words)):
        return False
    read = " ".join(words).encode("ascii").translate(_FROM_GLYPHS).decode("latin-1").lower().split(" ")
    return sum(map(_FUNCTION_WORDS.__contains__, read)) > _READABLE * len(words)


def _is_foreign(text: str) -> bool:
    """Chinese that nobody writes, or letters that are mostly accented."""
    if text.isascii():
        return False
    han = _HAN.findall(text)
    if len(han) >= _FEWEST_HAN:
        return sum(map(COMMON_HAN.__contains__, han)) < _FEWEST_COMMON_HAN * len(han)
    accented = len(_ACCENTED.findall(text))
    if accented <= _MOST_ACCENTED * 2 * _FEWEST_WORDS:
        return False
    letters = len(_LETTER.findall(text))
    return letters >= 2 * _FEWEST_WORDS and accented > _MOST_ACCENTED * letters


def _is_shifted(text: str, words: Sequence[str]) -> bool:
    """Latin letters that stand for others: letters and pairs in unusual numbers, in words without the small ones of any language."""
    if len(words) < _FEWEST_WORDS or len(words) < len(_HAN.findall(text)):
        return False
    letters = "".join(words)
    pairs = [word[at : at + 2] for word in words for at in range(len(word) - 1)]
    rare = sum(pair not in _PAIRS for pair in pairs) / len(pairs)
    distance = sum(abs(letters.count(letter) / len(letters) - share / 100) for letter, share in _FREQUENCIES.items())
    return rare + distance > _STRANGEST
