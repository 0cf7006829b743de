"""Tables of a page: rows as lines, spans repeated; a table or a chapter inside of a cell stands below its row."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quarry.indexer.readers.tables import Cell, Grid, row_line

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_TO_THE_END = 1_000  # rows: what `rowspan=0` spans, as many as a cell may
_CHAPTER = re.compile(r"(?:^|\n)#{1,6} \S")  # a cell with headings in it lays out the page


@dataclass(slots=True)
class _Start:
    """Where the text of an open cell begins, and what it spans."""

    place: int
    columns: int
    rows: int


@dataclass(slots=True)
class _Table:
    """A table that is being read."""

    place: int
    grid: Grid = field(default_factory=Grid)
    cells: list[Cell] = field(default_factory=list)
    started: list[_Start] = field(default_factory=list)
    below: list[str] = field(default_factory=list)  # blocks that stand below the row at hand


class PageTables:
    """Turns what was written between the tags of a table into lines."""

    def __init__(self, parts: list[str]) -> None:
        """Take the texts of the page so far; they are changed in place."""
        self._parts = parts
        self._tables: list[_Table] = []

    def opened(self, tag: str, node: "LexborNode") -> bool:
        """Take a tag; return whether nothing stands for it."""
        table = self._tables[-1] if self._tables else None
        if tag == "table":
            self._tables.append(_Table(len(self._parts)))
        elif tag == "tr" and table is not None:
            table.cells = []
        elif table is not None:
            table.started.append(
                _Start(len(self._parts), _span(node, "colspan"), _span(node, "rowspan") or _TO_THE_END)
            )
            return True
        return False

    def closed(self, tag: str) -> bool:
        """Take the end of an element; return whether it is done with."""
        if not self._tables:
            return False
        table = self._tables[-1]
        if tag == "table":
            self._tables.pop()
            if self._tables and self._tables[-1].started:
                self._set_below(table, self._tables[-1])
                return True
        elif tag == "tr":
            self._parts.append("\n" + row_line(table.grid.row(table.cells)))
            self._parts.extend(f"\n\n{block}\n\n" for block in table.below)
            table.cells, table.below = [], []
            return True
        elif table.started:
            start = table.started.pop()
            text = "".join(self._parts[start.place :])
            del self._parts[start.place :]
            if _CHAPTER.search(text):
                table.below.append(text)
                text = ""
            table.cells.append(Cell(" ".join(text.split()), start.columns, start.rows))
            return True
        return False

    def _set_below(self, inner: _Table, outer: _Table) -> None:
        """Move a table with rows and columns out of its cell; of another, the words stay."""
        text = "".join(self._parts[inner.place :])
        del self._parts[inner.place :]
        rows = [line for line in text.split("\n") if " | " in line]
        if len(rows) > 1:
            outer.below.append(text)
        else:
            self._parts.append(f" {text.replace(' | ', ' ')} ")


def _span(node: "LexborNode", name: str) -> int:
    span = node.attributes.get(name)
    return int(span) if span and span.isdigit() and len(span) < 5 else 1
