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
class _Row:
    """A row of a table, by its cells; None is the rule below the heads of Markdown."""

    start: int
    cells: list[str] | None


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
    rows: list[_Row] = []
    ruled = False  # whether a rule of Markdown stands above: the rows below it need no blanks and no outer bars
    place = 0
    lines = [*text.split("\n"), ""]
    for number, line in enumerate(lines):
        bare = "|" in line and (ruled or _is_rule(line) or (number + 1 < len(lines) and _is_rule(lines[number + 1])))
        if " | " in line or bare or (line.startswith("|") and line.rstrip().endswith("|") and len(line) > 2):
            rows.append(_Row(place, None if _is_rule(line) else _cells(line)))
            ruled = ruled or rows[-1].cells is None
        elif rows:
            if len(rows) > _FEWEST_ROWS:
                found.append(_table(rows, place))
            rows, ruled = [], False
        place += len(line) + 1
    return found


def _is_rule(line: str) -> bool:
    return "|" in line and _RULE.fullmatch(line.strip()) is not None


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("| ").split("|")]


def _table(rows: list[_Row], end: int, *, titled: bool = False) -> _Table:
    """Take the rows that name the columns: titles over all of them, groups, and names; a rule of Markdown ends them.

    Args:
        rows: The first ones, or all.
        end: Where the table ends.
        titled: A row with one cell alone is a title, not a name of a column.
    """
    head: list[str] = []
    in_group = False  # the row above names several columns at once, so that this one names each: `2 kg | 5 kg`
    below = rows[0].start
    for number, row in enumerate(rows[: _MOST_HEAD_ROWS + 1]):
        after = rows[number + 1].start if number + 1 < len(rows) else end
        if row.cells is None:
            below = after
            break
        if len(head) == _MOST_HEAD_ROWS or not _are_names(row.cells, _BARE_NUMBER if in_group else _NUMBER):
            break
        is_title = titled and sum(map(bool, row.cells)) == 1
        head.append(next(filter(None, row.cells)) if is_title else _written(row.cells))
        below = after
        in_group = _is_group(row.cells)
        ruled = number + 1 < len(rows) and rows[number + 1].cells is None
        if not in_group and not is_title and not ruled:
            break
    return _Table(rows[0].start, end, _shortened(head), below)


def _separated(text: str) -> list[_Table]:
    """Take the heads of a CSV file, below the lines of its title."""
    place = len(text) - len(text.lstrip("\n"))
    lines: list[tuple[int, str]] = []
    while place < len(text) and len(lines) <= _MOST_HEAD_ROWS + 1:
        end = text.find("\n", place)
        end = len(text) if end < 0 else end
        if text[place:end].strip(_SEPARATORS + " "):
            lines.append((place, text[place:end]))
        place = end + 1
    separator = max(_SEPARATORS, key=lambda sign: max((line.count(sign) for _, line in lines), default=0))
    if len(lines) < 2 or not any(separator in line for _, line in lines):
        return []
    rows = [_Row(start, [cell.strip().strip('"') for cell in line.split(separator)]) for start, line in lines]
    return [_table(rows, len(text), titled=True)]


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
