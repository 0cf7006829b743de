"""Excel files: sheets as sections, one row a line, merged cells in each of their rows, numbers as the sheet shows them.

Runs in the worker process. Cells with a formula that no program has calculated are calculated here when they can be, else the
formula itself is the text.
"""

import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import (
    Extract,
    Reading,
    Unreadable,
    damaged_file,
    missing_extra,
    needs_password,
    stem,
)
from quarry.indexer.readers.office.formulas import Formulas
from quarry.indexer.readers.office.number_formats import formatted, plain
from quarry.indexer.readers.office.ooxml import transitional
from quarry.indexer.readers.office.sheet_drawings import texts_beside_cells
from quarry.indexer.readers.tables import Cell, Grid, row_line

_MOST_MERGED = 1_000_000  # cells of a sheet that are told apart as merged
_BARE = frozenset({"", "General", "@"})
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s+ref="([A-Z]{1,3})(\d+):([A-Z]{1,3})(\d+)"')


def read_xlsx(path: Path) -> Reading:
    """Read sheets as sections, one row a line, with comments after the rows.

    Raises:
        Unreadable: If it is not an Excel file.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    file = transitional(path)
    try:
        book = load_workbook(file, read_only=True, data_only=True)
        formulas = load_workbook(file, read_only=True) if _has_formulas(file) else None
    except (InvalidFileException, KeyError, ValueError) as err:
        raise Unreadable("damaged", damaged_file("Excel", err)) from err
    sheets: list[tuple[str, list[list[str]]]] = []
    omitted: Counter[str] = Counter()
    for number, sheet in enumerate(book.worksheets):
        sheet.reset_dimensions()  # some programs write wrong ones, and rows would be missing
        rows = [[(cell.value, getattr(cell, "number_format", "") or "") for cell in row] for row in sheet.iter_rows()]
        if formulas is not None:
            _calculate(rows, formulas.worksheets[number], omitted)
        merged = _merged(file, sheet._worksheet_path)
        sheets.append((sheet.title, list(_texts(rows, merged))))
    book.close()
    beside = texts_beside_cells(file, omitted)
    return _sheets(path, sheets, omitted, beside)


def _has_formulas(file: Any) -> bool:
    with zipfile.ZipFile(file) as archive:
        return any(
            re.search(rb"<(?:\w+:)?f[ >]", archive.read(name)) is not None
            for name in archive.namelist()
            if name.startswith("xl/worksheets/") and name.endswith(".xml")
        )


def _calculate(rows: list[list[tuple[Any, str]]], sheet: Any, omitted: Counter[str]) -> None:
    """Put values in place of formulas that have none yet; a formula that cannot be calculated stays as it is written."""
    sheet.reset_dimensions()
    written = [[_formula(cell.value) for cell in row] for row in sheet.iter_rows()]
    absent = {
        (r, c): text
        for r, row in enumerate(written)
        for c, text in enumerate(row)
        if isinstance(text, str)
        and text.startswith("=")
        and (r >= len(rows) or c >= len(rows[r]) or rows[r][c][0] is None)
    }
    values = Formulas({(r, c): value for r, row in enumerate(rows) for c, (value, _) in enumerate(row)}, absent)
    for (r, c), text in absent.items():
        while len(rows) <= r:
            rows.append([])
        while len(rows[r]) <= c:
            rows[r].append((None, ""))
        value = values.value(r, c)
        omitted["formulas"] += value is None
        rows[r][c] = (text if value is None else value, rows[r][c][1])


def _formula(value: Any) -> Any:
    """Return a cell as it is written; of a formula for several cells, its text."""
    text = getattr(value, "text", None)
    if not isinstance(text, str):
        return value
    return text if text.startswith("=") else f"={text}"


def _merged(file: Any, member: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Return (row, column) of the first cell of each merged range -> its rows and columns."""
    from openpyxl.utils import column_index_from_string as column

    with zipfile.ZipFile(file) as archive:
        content = archive.read(member.lstrip("/"))
    return {
        (int(top) - 1, column(left.decode()) - 1): (
            int(bottom) - int(top) + 1,
            column(right.decode()) - column(left.decode()) + 1,
        )
        for left, top, right, bottom in _MERGED.findall(content)
    }


def _texts(
    rows: Sequence[Sequence[tuple[Any, str]]], merged: dict[tuple[int, int], tuple[int, int]]
) -> Iterator[list[str]]:
    """Yield rows of texts with merged cells repeated."""
    grid = Grid()
    covered = _covered(merged) - merged.keys()
    for r, row in enumerate(rows):
        cells = []
        for c, (value, number_format) in enumerate(row):
            if (r, c) in covered:
                continue
            height, width = merged.get((r, c), (1, 1))
            cells.append(Cell(shown(value, number_format), width, height))
        yield grid.row(cells)


def _covered(merged: dict[tuple[int, int], tuple[int, int]]) -> set[tuple[int, int]]:
    """Return the cells of merged ranges; of ranges beyond what a sheet can mean by them, none."""
    cells: set[tuple[int, int]] = set()
    left = _MOST_MERGED
    for (r, c), (height, width) in merged.items():
        left -= height * width
        if left < 0:
            break
        cells.update((r + down, c + right) for down in range(height) for right in range(width))
    return cells


def read_xls(path: Path) -> Reading:
    """Read an old Excel file; needs the extra `xls`.

    Raises:
        Unreadable: If the extra is missing, or it is not an Excel file.
    """
    try:
        import xlrd
    except ImportError as err:
        raise Unreadable("missing extra", missing_extra("The old Excel format", "xls")) from err
    try:
        book = xlrd.open_workbook(str(path))
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError, AssertionError, ValueError, KeyError, IndexError) as err:
        if "encrypted" in str(err).lower():  # the library's own sentence
            raise Unreadable("encrypted", needs_password()) from err
        raise Unreadable("damaged", damaged_file("Excel", err)) from err
    sheets = []
    for sheet in book.sheets():
        rows = [[_xls_cell(cell, book.datemode) for cell in sheet.row(number)] for number in range(sheet.nrows)]
        sheets.append((sheet.name, rows))
    return _sheets(path, sheets, Counter(), [])


def _sheets(
    path: Path, sheets: Sequence[tuple[str, list[list[str]]]], omitted: Counter[str], notes: list[str]
) -> Reading:
    parts = []
    for title, rows in sheets:
        first = min((n for row in rows for n, text in enumerate(row) if text.strip()), default=0)
        lines = [line for line in (row_line(row[first:]) for row in rows) if line.strip(" |")]
        if lines:
            parts.append(f"## {title}\n\n" + "\n".join(lines))
    text = "\n\n".join([*parts, *notes])
    return Reading((Extract(text, stem(path), {"sheets": str(len(sheets))}),), omitted=+omitted)


def shown(value: Any, number_format: str) -> str:
    """Return a cell as the sheet shows it, dates in ISO form.

    Args:
        value: What openpyxl gives: text, number, truth, date, time or duration.
        number_format: Excel's format, such as `0.0%`; unknown ones leave the number as it is.
    """
    if value is None:
        return ""
    if isinstance(value, timedelta):
        return _duration(value, seconds="s" in number_format.lower())
    if isinstance(value, time):
        return value.isoformat("seconds" if value.second or "s" in number_format.lower() else "minutes")
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return " ".join(str(value).split())
    return plain(value) if number_format in _BARE else formatted(value, number_format)


def _duration(value: timedelta, *, seconds: bool) -> str:
    total = round(value.total_seconds())
    sign, total = ("-", -total) if total < 0 else ("", total)
    text = f"{sign}{total // 3600}:{total // 60 % 60:02}"
    return f"{text}:{total % 60:02}" if seconds or total % 60 else text


def _xls_cell(cell: Any, datemode: int) -> str:
    from xlrd import XL_CELL_BOOLEAN, XL_CELL_DATE, XL_CELL_ERROR, XLDateError, error_text_from_code, xldate_as_datetime

    if cell.ctype == XL_CELL_DATE:
        with suppress(XLDateError, ValueError, OverflowError):  # it stays a number when it is no date of the calendar
            return shown(xldate_as_datetime(cell.value, datemode), "")
    if cell.ctype == XL_CELL_ERROR:
        return str(error_text_from_code.get(cell.value, ""))
    return shown(bool(cell.value) if cell.ctype == XL_CELL_BOOLEAN else cell.value, "")
