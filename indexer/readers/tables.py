"""One model of a table for all formats: a grid whose merged cells stand in every row and column that they span.

A row is written as `cell | cell | cell`, with empty cells kept, so that each value stays under its head.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MOST_SPANNED = 1_000  # rows or columns that one cell may span
_LONGEST_LABEL = 200  # characters of a merged cell that are repeated
_MOST_REPEATED = 1_000_000  # characters that the repetitions of one table may add
_MOST_COVERED = 1_000_000  # cells that the spans of one table may cover; beyond them a cell stands for itself alone


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a row, with how many columns and rows it spans; `goes_on` says that it continues the cell above."""

    text: str
    columns: int = 1
    rows: int = 1
    goes_on: bool = False


class Grid:
    """Takes rows of cells and gives rows of texts, merged cells repeated."""

    def __init__(self) -> None:
        self._above: dict[int, tuple[int, str]] = {}  # column -> rows that a cell above still spans, and its text
        self._last: dict[int, str] = {}  # column -> text of the cell that a row below may continue
        self._left = _MOST_REPEATED
        self._covered = 0

    def row(self, cells: Iterable[Cell]) -> list[str]:
        """Return the texts of the next row."""
        texts: list[str] = []
        for cell in cells:
            self._fill(texts)
            column = len(texts)
            text = self._label(self._last.get(column, "")) if cell.goes_on else cell.text
            columns = max(1, min(cell.columns, _MOST_SPANNED)) if self._covered < _MOST_COVERED else 1
            self._covered += columns - 1
            for offset in range(columns):
                texts.append(text if offset == 0 else self._label(text))
                if cell.rows > 1:
                    self._above[column + offset] = (min(cell.rows, _MOST_SPANNED) - 1, text)
                self._last[column + offset] = text
        self._fill(texts)
        return texts

    def _fill(self, texts: list[str]) -> None:
        """Add the cells above that span this row at the next columns."""
        if self._covered >= _MOST_COVERED:
            self._above.clear()
        while len(texts) in self._above:
            self._covered += 1
            column = len(texts)
            rows, text = self._above.pop(column)
            if rows > 1:
                self._above[column] = (rows - 1, text)
            if rows > 0:
                texts.append(self._label(text))
                self._last[column] = text

    def _label(self, text: str) -> str:
        label = text[:_LONGEST_LABEL]
        self._left -= len(label)
        return label if self._left >= 0 else ""


def row_line(cells: Sequence[str]) -> str:
    """Return a row as a line; empty cells at its end are left out, those before a value are kept."""
    texts = [" ".join(cell.split()) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return " | ".join(texts).lstrip(" ")
