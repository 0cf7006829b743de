"""PowerPoint files, by their own library. Runs in the worker process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import Extract, Reading, Unreadable, damaged_file, first_heading, stem
from quarry.indexer.readers.office.ooxml import chart_text, transitional
from quarry.indexer.readers.tables import Cell, Grid, row_line


def read_pptx(path: Path) -> Reading:
    """Read slides as pages: title, text, tables and notes.

    Raises:
        Unreadable: `damaged` when it is not a presentation.
    """
    from pptx import Presentation
    from pptx.exc import PackageNotFoundError

    try:
        deck = Presentation(transitional(path))
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
        yield _table(shape.table)
    elif getattr(shape, "has_chart", False):
        yield chart_text(shape.chart.part.blob)
    elif hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _shape(inner)
    elif getattr(shape, "has_text_frame", False):
        yield shape.text_frame.text
    elif alt := shape._element.xpath(".//p:cNvPr/@descr"):  # the description of a picture
        yield str(alt[0])


def _table(table: Any) -> str:
    grid = Grid()
    rows = (
        grid.row(Cell(cell.text, cell.span_width, cell.span_height) for cell in row.cells if not cell.is_spanned)
        for row in table.rows
    )
    return "\n".join(row_line(row) for row in rows)
