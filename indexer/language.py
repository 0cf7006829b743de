"""The language of a short text by its script alone: zh, en, mixed or other. No model and no dictionary."""

import re
from typing import Literal, TypeAlias

Language: TypeAlias = Literal["zh", "en", "mixed", "other"]

_HAN = re.compile("[\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN_WORD = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’][A-Za-z]+)?")
_KANA = re.compile("[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d]")
_OTHER_WORD = re.compile("[\u0370-\u1dff\u1f00-\u1fff\ua840-\ud7ff\ufb1d-\ufdff\ufe70-\ufefc]+")

CHINESE_FROM = 0.6  # of Han characters and Latin words: a Chinese question that names four English products is Chinese
MIXED_FROM = 0.1  # below this share a Han character is a quotation inside English
KANA_SHARE = 0.1  # Japanese is a third to a half kana; Chinese has none but for product names


def language_of(text: str) -> Language:
    """Return the language of a text by the share of its scripts.

    A Han character and a Latin word count one unit each, which is about one syllable-or-word of meaning in both.
    `en` means Latin script: French is not told from English. Japanese, Korean, Cyrillic and text without letters
    are `other`.
    """
    han, latin = len(_HAN.findall(text)), len(_LATIN_WORD.findall(text))
    kana, other = len(_KANA.findall(text)), len(_OTHER_WORD.findall(text))
    if kana and kana >= KANA_SHARE * (han + kana):
        other += kana + han
        han = 0
    units = han + latin + other
    if units == 0 or 2 * other > units:
        return "other"
    share = han / (han + latin) if han + latin else 0.0
    if share >= CHINESE_FROM:
        return "zh"
    return "mixed" if share >= MIXED_FROM else "en"


def length_in_words(text: str) -> int:
    """Return how many words a text has: each Han or kana character, and each run of other letters or digits, is one."""
    characters = len(_HAN.findall(text)) + len(_KANA.findall(text))
    rest = _KANA.sub(" ", _HAN.sub(" ", text))
    return characters + len(re.findall(r"\w+(?:['’]\w+)?", rest))
