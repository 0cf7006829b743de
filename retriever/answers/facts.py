"""Finds what a sentence must share exactly with its source: numbers, dates and identifiers, in both languages."""

import re
from collections.abc import Iterator
from unicodedata import normalize

_NUMBER = re.compile(r"(?<![\w.])[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9])|[0-9]+(?:\.[0-9]+)?")
_IDENTIFIER = re.compile(
    # each begins where a run of its characters does, so that a long run is looked at once
    r"(?<![A-Za-z0-9_])[A-Za-z0-9_]+(?:[-_.:/@+][A-Za-z0-9_]+)+|(?<![A-Za-z])[A-Za-z]+[0-9]+[A-Za-z0-9]*"
    r"|(?<![0-9])[0-9]+[A-Za-z]{2,}[A-Za-z0-9]*|[A-Z]{2,}"
)
_ISO_DATE = re.compile(r"\b([0-9]{4})[-/.]([0-9]{1,2})[-/.]([0-9]{1,2})\b")
_MIXED = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([百千万亿])")
_MONTHS = {
    name: str(number)
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_ANY_MONTH = re.compile(
    r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember)?\b"
)
_DATED_MONTH = re.compile(rf"{_ANY_MONTH.pattern}\.?(?=\s+[0-9])")
_NO_IDENTIFIER = re.compile(r"[a-z]+(?:[-/][a-z]+)+|[0-9.:/_-]+|(?:[a-z]\.)+[a-z]|[0-9]+(?:st|nd|rd|th)")
_DIGITS = {
    **{sign: value for value, sign in enumerate("零一二三四五六七八九")},
    "两": 2,
    "〇": 0,
    "壹": 1,
    "贰": 2,
    "叁": 3,
}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "亿": 100_000_000}
_HAN_NUMBER = re.compile(f"[{''.join(_DIGITS)}{''.join(_UNITS)}]+")
_COUNTED = re.compile(
    f"(?<![0-9])(?P<number>[{''.join(_DIGITS)}{''.join(_UNITS)}]+)(?<![十百千万](?=分))"
    "(?=[次本天个年月日号时点分秒元角块人名位条页种倍岁周层级台件章卷米吨克%％成]|小时|公[里斤])"
)
_ORDER = {"first": 1, "second": 2, "third": 3, "once": 1, "twice": 2, "thrice": 3}
_WORDS = {
    name: value
    for value, name in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
} | {
    name: 10 * value
    for value, name in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_WORD = re.compile(r"[a-z]+")


def numbers_in(text: str) -> frozenset[str]:
    """Return every number that a text names, in one form: digits, Chinese numerals, English words, parts of dates.

    `1,000` and `一千` are `1000`, `3.50` is `3.5`, `两次` and `twice` are `2`, `March 5` is `3` and `5`.
    """
    text = normalize("NFKC", text)
    found = set(_digits(text))
    found.update(str(value) for run in _HAN_NUMBER.findall(text) if (value := _han_value(run)) is not None)
    lowered = text.lower()
    found.update(
        str(_WORDS.get(word, _ORDER.get(word))) for word in _WORD.findall(lowered) if word in _WORDS or word in _ORDER
    )
    found.update(_MONTHS[name] for name in _ANY_MONTH.findall(lowered))
    return frozenset(found)


def numbers_claimed(text: str) -> frozenset[str]:
    """Return the numbers that a sentence must have from its source.

    As `numbers_in`, but Chinese numerals count only before what they count, and one, first and second never do: in both languages
    they are mostly no numbers.
    """
    text = normalize("NFKC", text)
    found = set(_digits(text))
    for match in _COUNTED.finditer(text):
        value = _han_value(match["number"])
        found.update([str(value)] if value is not None and value > 1 else [])
    lowered = text.lower()
    found.update(str(_WORDS[word]) for word in _WORD.findall(lowered) if _WORDS.get(word, 0) > 1)
    found.update(str(_ORDER[word]) for word in _WORD.findall(lowered) if word in ("twice", "thrice"))
    found.update(_MONTHS[name] for name in _DATED_MONTH.findall(lowered))
    return frozenset(found)


def identifiers_in(text: str) -> frozenset[str]:
    """Return what must be copied exactly: names with digits or inner signs, and acronyms, lower-cased; dates are numbers."""
    text = _ISO_DATE.sub(" ", normalize("NFKC", text))
    return frozenset(
        found.lower() for found in _IDENTIFIER.findall(text) if not _NO_IDENTIFIER.fullmatch(found.lower())
    )


def _digits(text: str) -> Iterator[str]:
    text = _ISO_DATE.sub(r"\1 \2 \3", text)
    for found in _NUMBER.findall(text):
        whole, point, fraction = found.replace(",", "").partition(".")
        fraction = fraction.rstrip("0")
        yield (whole.lstrip("0") or "0") + (point + fraction if fraction else "")
    for number, unit in _MIXED.findall(text):
        yield f"{float(number) * _UNITS[unit]:.10g}"


def _han_value(run: str) -> int | None:
    """Return what a run of Chinese numerals means; None for one that is not a number, such as 百 in 百科."""
    if not any(sign in _UNITS for sign in run):
        return int("".join(str(_DIGITS[sign]) for sign in run))
    total = section = digit = 0
    for sign in run:
        if sign in _DIGITS:
            digit = _DIGITS[sign]
        elif _UNITS[sign] < 10_000:
            section += (digit or 1) * _UNITS[sign]
            digit = 0
        elif sign == "亿":
            total = (total + section + digit or 1) * _UNITS[sign]
            section = digit = 0
        else:
            total += (section + digit or 1) * _UNITS[sign]
            section = digit = 0
    return total + section + digit
