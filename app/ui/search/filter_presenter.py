"""What the filter menus for time and folders offer, with true counts of documents; it draws nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from quarry.app.ui.shared.shown_text import Say
from quarry.indexer.metadata import period_of
from quarry.indexer.storage.texts.conditions import Bound

MODIFIED = "modified"
SOURCE = "source"
DATES = "dates"
PERIODS = {"week": 7, "month": 30, "year": 365}
"""The periods of the time menu, in days up to today; `dates` is a period of one's own."""

_MOST_FOLDERS = 50


@dataclass(frozen=True, slots=True)
class Offer:
    """What the filters of a generation offer.

    Attributes:
        menus: Metadata key -> value -> how many documents have it.
        folders: The source pattern of a folder -> how many documents are in it; empty when all are in one.
        modified: Day of the last change -> how many documents; empty when none has one.
    """

    menus: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    folders: Mapping[str, int] = field(default_factory=dict)
    modified: Mapping[str, int] = field(default_factory=dict)


def folder_counts(sources: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the topmost folders in which documents differ, as source patterns, with how many documents each holds.

    Documents that lie beside these folders belong to none of them. Folders whose name holds `*` are left out: a pattern cannot
    tell them apart. There are at most 50, the largest first.

    Args:
        sources: The documents' sources, with `/` between folders, and how many documents have each.

    Returns:
        Empty when there are fewer than two folders.

    Example:
        >>> folder_counts([("docs/en/a.md", 1), ("docs/zh/b.md", 2)])
        {'docs/zh/*': 2, 'docs/en/*': 1}
    """
    paths = [(source.split("/")[:-1], count) for source, count in sources]
    depth = _common([folders for folders, _ in paths])
    counts: Counter[str] = Counter()
    for folders, count in paths:
        if len(folders) > depth:
            counts["/".join(folders[: depth + 1])] += count
    offered = {f"{name}/*": count for name, count in counts.most_common(_MOST_FOLDERS) if "*" not in name}
    return offered if len(offered) > 1 else {}


def _common(paths: Sequence[list[str]]) -> int:
    """Return how many folders at their beginning all paths share."""
    if not paths:
        return 0
    first, last = min(paths), max(paths)
    return next(
        (place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other),
        min(len(first), len(last)),
    )


def changed_on(modified: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the values of `modified` that are dates, with how many documents have each."""
    return {day: count for day, count in modified if period_of(day)}


def since(period: str, today: date) -> date:
    """Return the first day of a period of the time menu that ends today."""
    return today - timedelta(days=PERIODS[period])


def period_counts(modified: Mapping[str, int], today: date) -> dict[str, int]:
    """Return how many documents were changed within each period of the time menu.

    Args:
        modified: Day of the last change -> how many documents.
        today: The last day of the periods.
    """
    return {
        period: sum(
            count for day, count in modified.items() if Bound(">=", since(period, today).isoformat()).holds(day)
        )
        for period in PERIODS
    }


def period_name(period: str, counts: Mapping[str, int], say: Say) -> str:
    """Return the entry of the time menu for a period."""
    names = {
        "week": say("last 7 days", "最近 7 天"),
        "month": say("last 30 days", "最近 30 天"),
        "year": say("last 365 days", "最近 365 天"),
        DATES: say("from – to", "起止日期"),
    }
    return names[period] + (f" ({counts[period]:,})" if period in counts else "")


def bounds_of(first: date | None, last: date | None) -> tuple[str, ...]:
    """Return a period as conditions on the day of the last change; both days are within it."""
    return (*((f">={first.isoformat()}",) if first else ()), *((f"<={last.isoformat()}",) if last else ()))


def days_of(bounds: Sequence[str]) -> tuple[date | None, date | None] | None:
    """Return the first and last day that conditions name, None when they are others than `bounds_of` makes."""
    days: dict[str, date] = {}
    for bound in bounds:
        try:
            days[bound[:2]] = date.fromisoformat(bound[2:])
        except ValueError:
            return None
    first, last = days.get(">="), days.get("<=")
    return (first, last) if bounds and bounds_of(first, last) == tuple(bounds) else None
