"""Metadata of documents: JSON values. What may be stored, what can be filtered on, and how values compare.

A value is text, a number, true or false, a list of values, or a mapping. For filters, a list counts as its elements and a
mapping as dotted keys: `{"author": {"name": "Finch"}, "tags": ["budget"]}` gives `author.name` = `Finch` and `tags` = `budget`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import isfinite
from typing import Any

Meta = Mapping[str, Any]

MOST_FACTS = 1_000  # values of one document that can be filtered on
_DEEPEST = 16
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+]?\.\d+")
_DATE = re.compile(
    r"(?P<year>\d{4})(?:(?P<sign>[-/.])(?P<month>\d{1,2})(?:(?P=sign)(?P<day>\d{1,2}))?)?"
    r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d+)?)?\s?(?P<zone>Z|[-+]\d{2}:?\d{2})?)?"
)
_CHINESE_DATE = re.compile(r"(?P<year>\d{4})年(?:(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?)?")
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_DAY_FIRST = re.compile(r"(?P<day>\d{1,2})\s+(?P<name>[A-Za-z]{3,9})\.?,?\s+(?P<year>\d{4})")
_MONTH_FIRST = re.compile(r"(?P<name>[A-Za-z]{3,9})\.?\s+(?:(?P<day>\d{1,2}),?\s+)?(?P<year>\d{4})")


def cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    """Return a value as JSON can hold it, each text passed through `clean`.

    Dates become ISO texts, numbers that are not finite become text, and so does what is nested more than 16 deep.
    """
    return _cleaned(value, clean, _DEEPEST)


def _cleaned(value: Any, clean: Callable[[str], str], depth: int) -> Any:
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if depth and isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(inner, clean, depth - 1) for key, inner in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(inner, clean, depth - 1) for inner in value]
    return clean(value.isoformat() if isinstance(value, date | time) else str(value))


def facts(meta: Meta) -> Iterator[tuple[str, str]]:
    """Yield the (key, value) pairs that filters see, each once, at most 1,000."""
    seen: set[tuple[str, str]] = set()
    for key, inner in meta.items():
        for fact in _facts(str(key), inner, _DEEPEST):
            if fact not in seen:
                seen.add(fact)
                yield fact
            if len(seen) >= MOST_FACTS:
                return


def _facts(key: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items() if depth else ():
            yield from _facts(f"{key}.{name}", inner, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value if depth else ():
            yield from _facts(key, inner, depth - 1)
    elif value is not None and (text := written(value)):
        yield key, text


def written(value: Any) -> str:
    """Return a single value as filters write it: `true`, `12`, `0.5`, `2024-04-01`, or the text without white space at its ends."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value).strip()


def number_of(text: str) -> float | None:
    """Return the number that a text is (`12`, `-0.5`, `12,500`), None when it is none."""
    return float(text.replace(",", "")) if _NUMBER.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Period:
    """What a date stands for: a day, a month, a year, a minute or a second; `end` is the first moment after it."""

    start: datetime
    end: datetime


def period_of(text: str) -> Period | None:
    """Return the period that a text names, None when it names none.

    Read are `2024-04-01`, `2024/4/1`, `2024-04`, `2024`, a time after the day, with a zone or in UTC, `2024年4月1日`,
    `1 April 2024` and `April 1, 2024`.
    """
    for pattern in (_DATE, _CHINESE_DATE, _DAY_FIRST, _MONTH_FIRST):
        if match := pattern.fullmatch(text):
            return _period(match.groupdict())
    return None


def _period(parts: Mapping[str, str | None]) -> Period | None:
    month, day = _month(parts), parts.get("day")
    try:
        start = datetime(int(parts["year"] or 0), month or 1, int(day or 1), tzinfo=UTC)
        if parts.get("hour"):
            return _moment(start, parts) if day else None
        if day:
            return Period(start, start + timedelta(days=1))
        if month:
            return Period(start, start.replace(year=start.year + month // 12, month=month % 12 + 1))
        return Period(start, start.replace(year=start.year + 1))
    except (ValueError, OverflowError):  # such as the 31st of June
        return None


def _month(parts: Mapping[str, str | None]) -> int | None:
    """Return the month, None for none; 99 for a name that is none, which no date has."""
    if name := parts.get("name"):
        return _MONTHS.get(name[:3].lower(), 99)
    return int(parts["month"] or 0) or 99 if parts.get("month") else None


def _moment(day: datetime, parts: Mapping[str, str | None]) -> Period:
    seconds = parts.get("second")
    start = day.replace(hour=int(parts["hour"] or 0), minute=int(parts["minute"] or 0), second=int(seconds or 0))
    start -= _offset(parts.get("zone"))
    return Period(start, start + timedelta(seconds=1 if seconds else 60))


def _offset(zone: str | None) -> timedelta:
    if not zone or zone == "Z":
        return timedelta()
    digits = zone[1:].replace(":", "")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return -away if zone[0] == "-" else away
