"""Word, PowerPoint and Excel files, by their own libraries. Runs in the worker process."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexer.readers.base import Extract, Reading, Unreadable, first_heading, stem

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_HEADING_STYLE = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)


def read_docx(path: Path) -> Reading:
    """Read paragraphs, headings and tables in order."""
    from docx import Document as open_docx
    from docx.opc.exceptions import PackageNotFoundError
    from docx.table import Table

    try:
        document = open_docx(str(path))
    except (PackageNotFoundError, KeyError, ValueError) as err:
        raise Unreadable("damaged", f"not a readable Word file ({err}); expected docx. Save it again") from err
    parts: list[str] = []
    for block in document.iter_inner_content():
        parts.extend(_table_lines(block) if isinstance(block, Table) else _paragraph(block))
    text = "\n\n".join(part for part in parts if part.strip())
    return Reading(
        (Extract(text, (document.core_properties.title or "").strip() or first_heading(text) or stem(path), {}),)
    )


def _paragraph(paragraph: Any) -> Iterator[str]:
    text = "".join(_runs(paragraph._p)).strip()
    style = paragraph.style.name if paragraph.style is not None else ""
    match = _HEADING_STYLE.match(style or "")
    if text and (match or style == "Title"):
        text = f"{'#' * int(match.group(1) if match else 1)} {text}"
    elif text and (style or "").startswith("List"):
        text = f"- {text}"
    yield text


def _runs(element: Any) -> Iterator[str]:
    for node in element.iter():
        if node.tag == f"{_M}oMath":
            yield f"${''.join(part.text or '' for part in node.iter(f'{_M}t'))}$"
        elif node.tag == f"{_W}t":
            yield node.text or ""
        elif node.tag == f"{_W}tab":
            yield "\t"
        elif node.tag in (f"{_W}br", f"{_W}cr"):
            yield "\f" if node.get(f"{_W}type") == "page" else "\n"


def _table_lines(table: Any) -> Iterator[str]:
    lines = []
    for row in table.rows:
        cells: list[str] = []
        previous = None
        for cell in row.cells:
            if cell._tc is not previous:
                cells.append(" ".join(cell.text.split()))
            previous = cell._tc
        lines.append(" | ".join(cells))
    yield "\n".join(lines)


def read_pptx(path: Path) -> Reading:
    """Read slides as pages: title, text, tables and notes."""
    from pptx import Presentation
    from pptx.exc import PackageNotFoundError

    try:
        deck = Presentation(str(path))
    except (PackageNotFoundError, KeyError, ValueError) as err:
        raise Unreadable("damaged", f"not a readable PowerPoint file ({err}); expected pptx. Save it again") from err
    pages: list[str] = []
    for slide in deck.slides:
        title = slide.shapes.title
        parts = [f"# {' '.join(title.text.split())}"] if title is not None and title.text.strip() else []
        parts += [text for shape in slide.shapes if shape != title for text in _shape(shape)]
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            parts.append(slide.notes_slide.notes_text_frame.text)
        pages.append("\n\n".join(part for part in parts if part.strip()))
    text = "\n\f\n".join(pages)
    return Reading(
        (
            Extract(
                text,
                (deck.core_properties.title or "").strip() or first_heading(text) or stem(path),
                {"pages": str(len(pages))},
            ),
        )
    )


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
    elif alt := shape._element.xpath(".//p:cNvPr/@descr"):
        yield str(alt[0])


def read_xlsx(path: Path) -> Reading:
    """Read sheets as sections, one row a line."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, KeyError, ValueError) as err:
        raise Unreadable("damaged", f"not a readable Excel file ({err}); expected xlsx. Save it again") from err
    sheets = [(sheet.title, [list(row) for row in sheet.iter_rows(values_only=True)]) for sheet in book.worksheets]
    book.close()
    return _sheets(path, sheets)


def read_xls(path: Path) -> Reading:
    """Read an old Excel file; needs the extra `xls`."""
    try:
        import xlrd
    except ImportError as err:
        raise Unreadable(
            "missing extra", "old Excel files need `pip install 'quarry-search[xls]'`, or save it as xlsx"
        ) from err
    try:
        book = xlrd.open_workbook(str(path))
    except (xlrd.XLRDError, AssertionError, ValueError, KeyError, IndexError) as err:
        reason = "encrypted" if "encrypted" in str(err).lower() else "damaged"
        raise Unreadable(reason, f"not a readable Excel file ({err}); save it as xlsx") from err
    return _sheets(
        path, [(sheet.name, [sheet.row_values(number) for number in range(sheet.nrows)]) for sheet in book.sheets()]
    )


def _sheets(path: Path, sheets: list[tuple[str, list[list[Any]]]]) -> Reading:
    parts = []
    for title, rows in sheets:
        lines = [" | ".join(_cell(value) for value in row).strip(" |") for row in rows]
        lines = [line for line in lines if line]
        if lines:
            parts.append(f"## {title}\n\n" + "\n".join(lines))
    return Reading((Extract("\n\n".join(parts), stem(path), {"sheets": str(len(sheets))}),))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return " ".join(str(value).split())
