"""The everyday formulas of a sheet, for cells that no program has calculated: arithmetic, sums, joined texts, links.

A recursive descent over `=A1*(B2+3)`, `SUM(B2:B4)`, `"text"&C1` and the functions below. Anything else has no value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<text>\"(?:[^\"]|\"\")*\")|(?P<range>\$?[A-Z]{1,3}\$?\d+:\$?[A-Z]{1,3}\$?\d+)"
    r"|(?P<cell>\$?[A-Z]{1,3}\$?\d+(?![\w(.]))|(?P<name>[A-Z][A-Z.]*)(?=\()|(?P<sign><=|>=|<>|[-+*/^&(),%=<>]))"
)
_CELL = re.compile(r"\$?([A-Z]{1,3})\$?(\d+)")
_DEEPEST = 50
_LARGEST_RANGE = 100_000
_LONGEST = 2_000  # characters of a formula, and of a text that it gives


class _Unknown(Exception):
    """A formula that is not understood, or has an error."""


def _numbers(values: Sequence[Any]) -> list[float]:
    return [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


_FUNCTIONS: dict[str, Callable[[list[Any]], Any]] = {
    "SUM": lambda values: sum(_numbers(values)),
    "AVERAGE": lambda values: sum(_numbers(values)) / len(_numbers(values)),
    "MIN": lambda values: min(_numbers(values), default=0),
    "MAX": lambda values: max(_numbers(values), default=0),
    "COUNT": lambda values: len(_numbers(values)),
    "COUNTA": lambda values: sum(value is not None for value in values),
    "ABS": lambda values: abs(values[0]),
    "ROUND": lambda values: round(values[0], int(values[1])),
    "PRODUCT": lambda values: _product(_numbers(values)),
    "CONCATENATE": lambda values: "".join(_text(value) for value in values),
    "CONCAT": lambda values: "".join(_text(value) for value in values),
    "HYPERLINK": lambda values: values[1] if len(values) > 1 else values[0],
}


def _product(values: list[float]) -> float:
    result = 1.0
    for value in values:
        result *= value
    return result


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


class Formulas:
    """Calculates the formulas of one sheet."""

    def __init__(self, values: Mapping[tuple[int, int], Any], formulas: Mapping[tuple[int, int], str]) -> None:
        """Take the sheet.

        Args:
            values: (row, column) from 0 -> what is known.
            formulas: (row, column) -> the text of a formula without a value.
        """
        self._values = dict(values)
        self._formulas = dict(formulas)
        self._depth = 0

    def value(self, row: int, column: int) -> Any:
        """Return the value of a cell, None when it has none or its formula is not understood."""
        try:
            return self._cell(row, column)
        except (_Unknown, ArithmeticError, ValueError, TypeError, IndexError, OverflowError):
            return None

    def _cell(self, row: int, column: int) -> Any:
        formula = self._formulas.get((row, column))
        if formula is None:
            return self._values.get((row, column))
        if len(formula) > _LONGEST or self._depth >= _DEEPEST:
            raise _Unknown
        self._depth += 1
        try:
            value = _Parser(formula[1:], self._cell).whole()
        finally:
            self._depth -= 1
        if isinstance(value, str) and len(value) > _LONGEST:
            raise _Unknown
        self._values[row, column] = value
        del self._formulas[row, column]
        return value


class _Parser:
    """Reads one formula from left to right."""

    def __init__(self, text: str, cell: Callable[[int, int], Any]) -> None:
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise _Unknown
            self._tokens.append((match.lastgroup, match.group(match.lastgroup)))
            place = match.end()
        self._cell = cell
        self._at = 0
        self._nesting = 0

    def whole(self) -> Any:
        value = self._joined()
        if self._at < len(self._tokens):
            raise _Unknown
        return value

    def _next(self, *signs: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at][1] in signs and self._tokens[self._at][0] == "sign":
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _joined(self) -> Any:
        self._nesting += 1
        if self._nesting > _DEEPEST:
            raise _Unknown
        value = self._sum()
        while self._next("&"):
            value = _text(value) + _text(self._sum())
        self._nesting -= 1
        return value

    def _sum(self) -> Any:
        value = self._term()
        while sign := self._next("+", "-"):
            other = self._term()
            value = (value or 0) + (other or 0) if sign == "+" else (value or 0) - (other or 0)
        return value

    def _term(self) -> Any:
        value = self._factor()
        while sign := self._next("*", "/"):
            other = self._factor()
            value = (value or 0) * (other or 0) if sign == "*" else (value or 0) / (other or 0)
        return value

    def _factor(self) -> Any:
        if self._next("-"):
            return -(self._factor() or 0)
        if self._next("+"):
            return self._factor()
        value = self._atom()
        while self._next("%"):
            value = value / 100
        return value

    def _atom(self) -> Any:
        if self._next("("):
            value = self._joined()
            if not self._next(")"):
                raise _Unknown
            return value
        if self._at >= len(self._tokens):
            raise _Unknown
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return float(text) if "." in text or "e" in text.lower() else int(text)
        if kind == "text":
            return text[1:-1].replace('""', '"')
        if kind == "cell":
            return self._cell(*_place(text))
        if kind == "name" and text in _FUNCTIONS and self._next("("):
            return _FUNCTIONS[text](self._arguments())
        raise _Unknown

    def _arguments(self) -> list[Any]:
        values: list[Any] = []
        while not self._next(")"):
            if self._at < len(self._tokens) and self._tokens[self._at][0] == "range":
                values.extend(self._range(self._tokens[self._at][1]))
                self._at += 1
            else:
                values.append(self._joined())
            if not self._next(","):
                if not self._next(")"):
                    raise _Unknown
                break
        return values

    def _range(self, text: str) -> list[Any]:
        (top, left), (bottom, right) = (_place(part) for part in text.split(":"))
        if (bottom - top + 1) * (right - left + 1) > _LARGEST_RANGE:
            raise _Unknown
        return [self._cell(row, column) for row in range(top, bottom + 1) for column in range(left, right + 1)]


def _place(text: str) -> tuple[int, int]:
    match = _CELL.fullmatch(text)
    if match is None:
        raise _Unknown
    column = 0
    for letter in match[1]:
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(match[2]) - 1, column - 1
