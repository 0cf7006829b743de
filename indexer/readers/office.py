"""Word, PowerPoint and Excel files, by their own libraries. Runs in the worker process."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, time
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import (
    Extract,
    Reading,
    Unreadable,
    damaged_file,
    first_heading,
    missing_extra,
    needs_password,
    stem,
)

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
# Left out: paragraph and run settings (they hold tabs), deleted text, and the second copy of drawings for old readers
_SKIPPED = frozenset(
    {
        f"{_W}pPr",
        f"{_W}rPr",
        f"{_W}del",
        f"{_W}moveFrom",
        "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
    }
)
_HEADING_STYLE = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)


def read_docx(path: Path) -> Reading:
    """Read paragraphs, headings, lists and tables in order, those inside of content controls too.

    Raises:
        Unreadable: If it is not a Word file.
    """
    from docx import Document as open_docx
    from docx.opc.exceptions import PackageNotFoundError

    try:
        document = open_docx(str(path))
    except (PackageNotFoundError, KeyError, ValueError) as err:
        raise Unreadable("damaged", damaged_file("Word", err)) from err
    styles = {style.style_id: style.name or "" for style in document.styles}
    text = "\n\n".join(part for part in _blocks(document.element.body, styles) if part.strip(" \t\n"))
    pages = {"pages": str(text.count("\f") + 1)} if "\f" in text else {}
    title = (document.core_properties.title or "").strip() or first_heading(text) or stem(path)
    return Reading((Extract(text, title, pages),))


def _blocks(body: Any, styles: dict[str, str]) -> Iterator[str]:
    for child in body:
        if child.tag == f"{_W}p":
            yield _paragraph(child, styles)
        elif child.tag == f"{_W}tbl":
            yield _table(child)
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml", f"{_W}smartTag"):
            yield from _blocks(child, styles)


def _paragraph(paragraph: Any, styles: dict[str, str]) -> str:
    text = "".join(_runs(paragraph)).strip(" \t\n")
    named = paragraph.find(f"{_W}pPr/{_W}pStyle")
    style = styles.get(named.get(f"{_W}val"), "") if named is not None else ""
    match = _HEADING_STYLE.match(style)
    if text.strip() and (match or style == "Title"):
        before, words = ("\f", text.lstrip("\f \n")) if text.startswith("\f") else ("", text)
        return f"{before}{'#' * min(6, int(match.group(1)) if match else 1)} {' '.join(words.split())}"
    listed = style.startswith("List") or paragraph.find(f"{_W}pPr/{_W}numPr") is not None
    return f"- {text}" if text.strip() and listed and not text.startswith("\f") else text


def _runs(element: Any) -> Iterator[str]:
    """Yield the text below a paragraph or cell: links, equations (between dollar signs) and text boxes included."""
    for node in element:
        if node.tag in _SKIPPED:
            continue
        if node.tag == f"{_M}oMath":
            yield f"${''.join(part.text or '' for part in node.iter(f'{_M}t'))}$"
        elif node.tag == f"{_W}t":
            yield node.text or ""
        elif node.tag == f"{_W}tab":
            yield "\t"
        elif node.tag in (f"{_W}br", f"{_W}cr"):
            yield "\f" if node.get(f"{_W}type") == "page" else "\n"
        elif node.tag == f"{_W}noBreakHyphen":
            yield "-"
        else:
            yield from _runs(node)
            if node.tag == f"{_W}p":  # a paragraph inside: of a text box, or of a cell
                yield "\n"


def _below(element: Any, tag: str) -> Iterator[Any]:
    """Yield the nearest elements of a tag: rows of this table, not of the tables inside of its cells."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag != f"{_W}tbl":
            yield from _below(child, tag)


def _table(table: Any) -> str:
    lines = []
    for row in _below(table, f"{_W}tr"):
        cells = [" ".join("".join(_runs(cell)).split()) for cell in _below(row, f"{_W}tc")]
        lines.append(" | ".join(cells))
    return "\n".join(line for line in lines if line.strip(" |"))


def read_pptx(path: Path) -> Reading:
    """Read slides as pages: title, text, tables and notes."""
    from pptx import Presentation
    from pptx.exc import PackageNotFoundError

    try:
        deck = Presentation(str(path))
    except (PackageNotFoundError, KeyError, ValueError) as err:
        raise Unreadable("damaged", damaged_file("PowerPoint", err)) from err
    pages: list[str] = []
    for slide in deck.slides:
        head = slide.shapes.title
        parts = [f"# {' '.join(head.text.split())}"] if head is not None and head.text.strip() else []
        parts += [text for shape in slide.shapes if shape != head for text in _shape(shape)]
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            parts.append(slide.notes_slide.notes_text_frame.text)
        pages.append("\n\n".join(part for part in parts if part.strip()))
    text = "\n\f\n".join(pages)
    title = (deck.core_properties.title or "").strip() or first_heading(text) or stem(path)
    return Reading((Extract(text, title, {"pages": str(len(pages))}),))


def _shape(shape: Any) -> Iterator[str]:
    if getattr(shape, "has_table", False):
        yield "\n".join(" | ".join(" ".join(cell.text.split()) for cell in row.cells) for row in shape.table.rows)
    elif getattr(shape, "has_chart", False) and shape.chart.has_title:
        yield shape.chart.chart_title.text_frame.text
    elif hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _shape(inner)
    elif getattr(shape, "has_text_frame", False):
        yield shape.text_frame.text
    elif alt := shape._element.xpath(".//p:cNvPr/@descr"):  # the description of a picture
        yield str(alt[0])


def read_xlsx(path: Path) -> Reading:
    """Read sheets as sections, one row a line."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, KeyError, ValueError) as err:
        raise Unreadable("damaged", damaged_file("Excel", err)) from err
    sheets = []
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # some programs write wrong ones, and rows would be missing
        sheets.append((sheet.title, [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]))
    book.close()
    return _sheets(path, sheets)


def read_xls(path: Path) -> Reading:
    """Read an old Excel file; needs the extra `xls`."""
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
    return _sheets(path, sheets)


def _sheets(path: Path, sheets: list[tuple[str, list[list[str]]]]) -> Reading:
    parts = []
    for title, rows in sheets:
        lines = [" | ".join(row).strip(" |") for row in rows]
        lines = [line for line in lines if line]
        if lines:
            parts.append(f"## {title}\n\n" + "\n".join(lines))
    return Reading((Extract("\n\n".join(parts), stem(path), {"sheets": str(len(sheets))}),))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "seconds")
    return " ".join(str(value).split())


def _xls_cell(cell: Any, datemode: int) -> str:
    from xlrd import XL_CELL_BOOLEAN, XL_CELL_DATE, XL_CELL_ERROR, XLDateError, error_text_from_code, xldate_as_datetime

    if cell.ctype == XL_CELL_DATE:
        with suppress(XLDateError, ValueError, OverflowError):  # it stays a number when it is no date of the calendar
            return _cell(xldate_as_datetime(cell.value, datemode))
    if cell.ctype == XL_CELL_ERROR:
        return str(error_text_from_code.get(cell.value, ""))
    return _cell(bool(cell.value) if cell.ctype == XL_CELL_BOOLEAN else cell.value)
