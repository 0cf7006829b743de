"""Column heads for passages that begin inside of a table: the rows that name its columns are repeated with each.

A table is a run of lines with ` | ` between their cells (from Word, Excel, HTML, Markdown ...), or a CSV file as a whole.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

_NUMBER = re.compile(r"[-+−]?[$€£¥￥]?\d[\d,.\s]*[%‰℃°a-zA-Z元]{0,3}")
_BARE_NUMBER = re.compile(r"[-+−]?[\d,.\s]*\d")
_YEAR = re.compile(r"(?:1[89]|20)\d\d(?:年)?")
_RULE = re.compile(r"\|?[ :]*-[-: |]*")
_LONGEST_NUMBER = 40  # characters of a cell that tell whether it is one
_LONGEST_HEAD = 400  # characters that are repeated with each passage
_MOST_HEAD_ROWS = 3
_FEWEST_ROWS = 3
_SEPARATORS = ",\t;|"
_SEPARATED = frozenset({"csv", "tsv"})


@dataclass(frozen=True, slots=True)
class _Table:
    start: int
    end: int
    head: str
    rows_from: int  # where the first row below the heads begins


class TableHeads:
    """The tables of one document."""

    def __init__(self, text: str, file_format: str) -> None:
        """Find them, in one pass over the lines.

        Args:
            text: The document.
            file_format: Its metadata `format`.
        """
        self._tables = [table for table in _tables(text, whole=file_format in _SEPARATED) if table.head]
        self._starts = [table.start for table in self._tables]

    def above(self, start: int, heading: str) -> str:
        """Return the heading of a passage with the column heads of the table that it begins in.

        Args:
            start: Where the passage begins.
            heading: The headings above it.
        """
        at = bisect_right(self._starts, start) - 1
        if at < 0 or not self._tables[at].rows_from <= start < self._tables[at].end:
            return heading
        head = self._tables[at].head
        return f"{heading} > {head}" if heading else head


def _tables(text: str, *, whole: bool) -> list[_Table]:
    if whole:
        return _separated(text)
    found: list[_Table] = []
    lines: list[tuple[int, str]] = []
    place = 0
    for line in [*text.split("\n"), ""]:
        if " | " in line or (line.startswith("|") and line.rstrip().endswith("|") and len(line) > 2):
            lines.append((place, line))
        elif lines:
            if len(lines) > _FEWEST_ROWS:
                found.append(_table(lines, place))
            lines = []
        place += len(line) + 1
    return found


def _table(lines: list[tuple[int, str]], end: int) -> _Table:
    """Take the rows that name the columns: titles over all of them, groups, and names; a rule of Markdown ends them."""
    head: list[str] = []
    in_group = False  # the row above names several columns at once, so that this one names each: `2 kg | 5 kg`
    below = lines[0][0]
    for number, (_, line) in enumerate(lines[: _MOST_HEAD_ROWS + 1]):
        after = lines[number + 1][0] if number + 1 < len(lines) else end
        if _RULE.fullmatch(line.strip()):
            below = after
            break
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(head) == _MOST_HEAD_ROWS or not _are_names(cells, _BARE_NUMBER if in_group else _NUMBER):
            break
        head.append(_written(cells))
        below = after
        in_group = _is_group(cells)
        if not in_group and not (number + 1 < len(lines) and _RULE.fullmatch(lines[number + 1][1].strip())):
            break
    return _Table(lines[0][0], end, _shortened(head), below)


def _separated(text: str) -> list[_Table]:
    start = len(text) - len(text.lstrip("\n"))
    end = text.find("\n", start)
    if end < 0:
        return []
    line = text[start:end]
    separator = max(_SEPARATORS, key=line.count)
    cells = [cell.strip().strip('"') for cell in line.split(separator)]
    if not line.count(separator) or not _are_names(cells):
        return []
    return [_Table(start, len(text), _shortened([" | ".join(cells)]), end + 1)]


def _are_names(cells: list[str], number: re.Pattern[str] = _NUMBER) -> bool:
    """Whether cells can name columns: there are some, and most are no numbers; years may be."""
    filled = [cell[:_LONGEST_NUMBER] for cell in cells if cell]
    numbers = sum(number.fullmatch(cell) is not None and _YEAR.fullmatch(cell) is None for cell in filled)
    return bool(filled) and 2 * numbers < len(filled)


def _is_group(cells: list[str]) -> bool:
    """Whether a row names several columns at once, so that the next row names each."""
    return any(one and one == other for one, other in pairwise(cells))


def _written(cells: list[str]) -> str:
    return cells[0] if len(set(cells)) == 1 else " | ".join(cells)


def _shortened(rows: list[str]) -> str:
    head = " / ".join(rows).strip(" |").replace(" > ", " ")
    return head if len(head) <= _LONGEST_HEAD else head[:_LONGEST_HEAD].rsplit(" | ", 1)[0]
