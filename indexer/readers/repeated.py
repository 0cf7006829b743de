"""Banners, menus and footers: lines that repeat over the pages of a site are left out of each, so that its own text counts.

Lines are compared as they are read, after scripts and markup are gone. What repeats counts as furniture of the site at the top and the
bottom of a page, and as a menu wherever it stands; a repeated sentence amid a page's own text stays.
"""

from collections import Counter
from collections.abc import Collection, Sequence

FEWEST_PAGES = 4
"""Different pages that a folder must have before anything counts as repeated."""

_SHARE = 0.6  # of the pages
_OWN = 80  # characters of a line that is the page's own text; shorter ones may be a path to the page or a date
_MENU = 3  # short repeated lines in a row
_ENTRY = 60  # characters of an entry of a menu
_WIDE = "\u2e80"  # from here on a character counts twice


def repeated_lines(pages: Collection[str]) -> frozenset[str]:
    """Return the lines that stand on most of the pages, white space made one; nothing for fewer than `FEWEST_PAGES`."""
    different = set(pages)
    if len(different) < FEWEST_PAGES:
        return frozenset()
    counts = Counter(line for page in different for line in {_key(line) for line in page.split("\n")} if line)
    return frozenset(line for line, count in counts.items() if count >= _SHARE * len(different))


def without_repeated(text: str, repeated: Collection[str]) -> tuple[str, int]:
    """Leave the furniture of a site out of a page.

    Args:
        text: The page, headings as ATX lines.
        repeated: What `repeated_lines` found over its neighbours.

    Returns:
        The page, and how many lines were left out. A page that would be empty stays as it is.
    """
    lines = [line for line in text.split("\n") if line.strip()] if repeated else []
    again = [_key(line) in repeated for line in lines]
    dropped = _furniture(lines, again)
    for at in sorted(dropped, reverse=True):  # a heading stays with what stands below it
        if (
            lines[at].startswith("#")
            and at + 1 < len(lines)
            and at + 1 not in dropped
            and not lines[at + 1].startswith("#")
        ):
            dropped.discard(at)
    if not dropped or len(dropped) == len(lines):
        return text, 0
    kept: list[str] = []
    number = -1
    for line in text.split("\n"):
        number += bool(line.strip())
        if line.strip():
            if number not in dropped:
                kept.append(line)
        elif kept and kept[-1]:
            kept.append("")
    return "\n".join(kept).strip("\n"), len(dropped)


def _furniture(lines: Sequence[str], again: Sequence[bool]) -> set[int]:
    first = _own_text(lines, again, range(len(lines)))
    last = _own_text(lines, again, range(len(lines) - 1, -1, -1))
    dropped = {at for at, repeats in enumerate(again) if repeats and (at < first or at > last)}
    run: list[int] = []
    for at in range(len(lines) + 1):
        if at < len(lines) and again[at] and _width(lines[at]) <= _ENTRY:
            run.append(at)
            continue
        if len(run) >= _MENU:
            dropped.update(run)
        run = []
    return dropped


def _own_text(lines: Sequence[str], again: Sequence[bool], order: range) -> int:
    """Return where the page's own text begins, or, backwards, ends."""
    for at in order:
        if again[at]:
            continue
        heads_own = lines[at].startswith("#") and at + 1 < len(lines) and not again[at + 1]
        if heads_own or _width(lines[at]) >= _OWN:
            return at
    return order.stop


def _key(line: str) -> str:
    return " ".join(line.split())


def _width(line: str) -> int:
    return len(line) + sum(character >= _WIDE for character in line)
