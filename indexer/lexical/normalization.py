"""One form for what is written in several ways, before text becomes terms; the same for passages and queries.

Full width, invisible characters, stacked combining marks, traditional characters. Texts and offsets stay as
they are: only terms are made from the result. `number_terms` adds terms for numbers that are written in characters or with hyphens
or commas, beside those of their parts.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from unicodedata import combining, normalize

_MOST_MARKS = 32  # combining marks in a row that count; the time to put them in order grows with their square
_MAY_STACK = re.compile(
    rf"[^\w\s!-~]{{{_MOST_MARKS + 1}}}"
)  # no combining mark is a letter; a cheap look before the table of them
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_GROUPED = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
_COMMA_WITHIN = re.compile(r",\d\d\d")  # cheap looks before the patterns that look behind themselves
_HYPHEN_WITHIN = re.compile(r"-\d\d")
SECOND_FORM = "="  # stands before a passage's term that is another form of words before it; no term begins with it
_DIGITS = dict(
    zip(
        "零〇一二两三四五六七八九壹贰叁肆伍陆柒捌玖",
        (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9),
        strict=True,
    )
)
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE_UNITS = {"万": 10**4, "亿": 10**8}
_SIGNS = "".join([*_DIGITS, *_UNITS, *_LARGE_UNITS])
_SPELLED = re.compile(f"[{''.join(_DIGITS)}十拾][{_SIGNS}]{{1,20}}")
_ORDINAL = re.compile(f"第([{_SIGNS}]{{1,20}}|\\d{{1,6}})([条章节款项页届次期编部卷回号讲课集季])")
_HYPHENED = re.compile(r"(?<![\w-])\+?\d{1,5}(?:-\d{2,8}){1,4}(?![\w-])")
_FEWEST_DIGITS = 7  # of a number with hyphens that is searched for without them, such as a telephone number


def normalized(text: str) -> str:
    """Return the text that terms are made of."""
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text)
    if _MAY_STACK.search(text):
        text = _stacked_marks().sub(r"\1", text)
    text = normalize("NFKC", text)
    return text.translate(_simplified()) if _HAN.search(text) else text


def number_terms(text: str) -> Iterator[str]:
    """Yield a term for each number of a normalized text that can be written otherwise: `第十二条`, `一万二千五百`, `0571-8790-3345`."""
    if not text.isascii():
        yield from _spelled_numbers(text)
    if _COMMA_WITHIN.search(text):
        for match in _GROUPED.finditer(text):
            yield match.group().replace(",", "")
    if _HYPHEN_WITHIN.search(text):
        for match in _HYPHENED.finditer(text):
            digits = match.group().replace("-", "").removeprefix("+")
            if len(digits) >= _FEWEST_DIGITS:
                yield digits


def _spelled_numbers(text: str) -> Iterator[str]:
    for match in _ORDINAL.finditer(text):
        number = int(match[1]) if match[1].isdecimal() else value_of(match[1])
        if number is not None:
            yield f"第{number}{match[2]}"
    for match in _SPELLED.finditer(text):
        number = value_of(match.group())
        if number is not None and number >= 10:
            yield str(number)


def words_of(terms: Sequence[str]) -> int:
    """Return how many words a passage has: its terms without second forms, which come last."""
    words = len(terms)
    while words and terms[words - 1].startswith(SECOND_FORM):
        words -= 1
    return words


def value_of(text: str) -> int | None:
    """Return the number that Chinese characters spell, None when they spell none: `一万二千五百` is 12500, `二〇二四` 2024."""
    if len(text) > 1 and all(sign in _DIGITS for sign in text):
        return int("".join(str(_DIGITS[sign]) for sign in text)) if len(text) > 2 else None
    total = section = 0
    digit: int | None = None
    for sign in text:
        if sign in _DIGITS:
            if digit:
                return None
            digit = _DIGITS[sign]
        elif sign in _UNITS:
            section += (1 if digit is None else digit) * _UNITS[sign]
            digit = None
        else:
            unit, section = _LARGE_UNITS[sign], section + (digit or 0)
            total = total + section * unit if total >= unit else (total + section) * unit
            section, digit = 0, None
    return total + section + (digit or 0)


@cache
def _simplified() -> dict[int, str]:
    """Return traditional characters to simplified ones, by OpenCC's table, one character for one."""
    from opencc import OpenCC

    characters = [chr(code) for code in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00))]
    converted = OpenCC("t2s").convert("\n".join(characters)).split("\n")
    return {ord(old): new for old, new in zip(characters, converted, strict=True) if old != new and len(new) == 1}


@cache
def _stacked_marks() -> re.Pattern[str]:
    """Return what matches long runs of combining marks; the first group is what stays of them."""
    marks = [code for code in range(0x300, 0x1F000) if combining(chr(code))]
    breaks = [n for n in range(len(marks)) if n == 0 or marks[n] != marks[n - 1] + 1]
    ranges = [(marks[first], marks[last - 1]) for first, last in pairwise([*breaks, len(marks)])]
    kind = "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
    return re.compile(f"([{kind}]{{{_MOST_MARKS}}})[{kind}]+")
