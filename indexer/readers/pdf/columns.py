"""Pages whose columns are drawn row by row: PDFium gives their lines across, and they are read down here.

A gutter is a white band that several lines share. It is looked for among the rectangles of the text, a few dozen a page; characters are
measured only on pages that have one.
"""

import itertools
from collections.abc import Sequence
from ctypes import byref, c_double
from dataclasses import dataclass
from typing import Any

_FEWEST_LINES = 4
_GUTTER = 1.0  # times the height of a line
_FEWEST_CHARACTERS = 15  # of a line of a column of prose, on average; cells of a table are shorter
_FEWEST_WIDE = 8  # the same of Chinese
_MOST_RECTANGLES = 3_000


@dataclass(frozen=True, slots=True)
class _Rectangle:
    left: float
    bottom: float
    right: float
    top: float

    def beside(self, other: "_Rectangle") -> bool:
        """Whether the other one goes on in the same line, to the right."""
        middle = (self.bottom + self.top) / 2
        return other.bottom < middle < other.top and other.left >= self.right - 1


def in_columns(text: str, text_page: Any) -> str:
    """Return the text of a page with columns that were drawn row by row read one after the other; other pages as they are.

    Args:
        text: Character for character as PDFium counts them.
        text_page: PDFium's page.
    """
    if text.count("\n") < _FEWEST_LINES:
        return text
    gutters = _gutters(_rectangles(text_page))
    return _Cut(text, text_page, gutters).text() if gutters else text


def _rectangles(text_page: Any) -> list[_Rectangle]:
    from pypdfium2 import raw

    left, top, right, bottom = (c_double() for _ in range(4))
    places = (byref(left), byref(top), byref(right), byref(bottom))  # made once: there are dozens of rectangles a page
    return [
        _Rectangle(left.value, bottom.value, right.value, top.value)
        for number in range(min(text_page.count_rects(), _MOST_RECTANGLES))
        if raw.FPDFText_GetRect(text_page.raw, number, *places)
    ]


def _gutters(rectangles: Sequence[_Rectangle]) -> list[float]:
    """Return the middles of the white bands over which drawing jumps, line after line, from left to right."""
    jumps: list[tuple[float, float]] = []
    for before, after in itertools.pairwise(rectangles):
        height = before.top - before.bottom
        if before.beside(after) and after.left - before.right > _GUTTER * height > 0:
            jumps.append((before.right, after.left))
    found: list[float] = []
    for left, right in jumps:
        if any(left < gutter < right for gutter in found):
            continue
        shared = [jump for jump in jumps if min(jump[1], right) - max(jump[0], left) > 0]
        low, high = max(jump[0] for jump in shared), min(jump[1] for jump in shared)
        if len(shared) >= _FEWEST_LINES and high > low:
            found.append((low + high) / 2)
    return sorted(found)


class _Cut:
    """Cuts the lines of a page at gutters."""

    def __init__(self, text: str, text_page: Any, gutters: list[float]) -> None:
        self._text = text
        self._page = text_page
        self._gutters = gutters

    def text(self) -> str:
        """Return the page, each block of lines with gutters read column by column."""
        out: list[str] = []
        block: list[list[str]] = []
        place = 0
        for line in self._text.split("\n"):
            parts = self._parts(place, line)
            if parts is None:
                out.extend(self._read_down(block))
                block = []
                out.append(line)
            else:
                block.append(parts)
            place += len(line) + 1
        return "\n".join([*out, *self._read_down(block)])

    def _read_down(self, block: list[list[str]]) -> list[str]:
        columns = [
            [parts[column] for parts in block if parts[column].strip()] for column in range(len(self._gutters) + 1)
        ]
        is_prose = len(block) >= _FEWEST_LINES and all(
            sum(map(len, column)) >= _fewest(column) * len(column) > 0 for column in columns
        )
        if not is_prose:
            return ["".join(parts) for parts in block]
        return [part.strip() for column in columns for part in column]

    def _parts(self, place: int, line: str) -> list[str] | None:
        """Return a line's part in each column, None when it runs over a gutter or is empty."""
        if not line.strip():
            return None
        parts = []
        start = 0
        for gutter in self._gutters:
            stop = self._first_right_of(gutter, place, line, start)
            if stop < len(line) and stop > start and not self._is_white(gutter, place + stop, line[:stop]):
                return None
            parts.append(line[start:stop])
            start = stop
        return [*parts, line[start:]]

    def _first_right_of(self, gutter: float, place: int, line: str, start: int) -> int:
        low, high = start, len(line)
        while low < high:
            middle = (low + high) // 2
            seen = middle
            while seen < high and line[seen].isspace():
                seen += 1
            if seen < high and self._page.get_charbox(place + seen)[0] < gutter:
                low = seen + 1
            else:
                high = middle
        return low

    def _is_white(self, gutter: float, place: int, before: str) -> bool:
        """Whether nothing stands at the gutter: the last character before it ends well to the left of the first after it."""
        last = place - (len(before) - len(before.rstrip())) - 1
        while self._text[place : place + 1].isspace():
            place += 1
        left, right = self._page.get_charbox(last), self._page.get_charbox(place)
        return bool(left[2] < gutter < right[0] and right[0] - left[2] > _GUTTER / 2 * (left[3] - left[1]))


def _fewest(column: Sequence[str]) -> int:
    wide = sum(character > "\u2e80" for line in column for character in line)
    return _FEWEST_WIDE if 2 * wide > sum(map(len, column)) else _FEWEST_CHARACTERS
