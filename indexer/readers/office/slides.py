"""PowerPoint files, by their own library. Runs in the worker process."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import Extract, Reading, Unreadable, damaged_file, first_heading, stem
from quarry.indexer.readers.counting import counted
from quarry.indexer.readers.office.ooxml import chart_text, transitional
from quarry.indexer.readers.tables import Cell, Grid, row_line

_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_SCHEMES = {
    "alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman",
    "ea1Chs": "chineseCounting", "ea1Cht": "chineseCounting", "ea1Jpn": "chineseCounting",
}  # fmt: skip  # a table


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
    omitted: Counter[str] = Counter()
    pages = ["\n\n".join(part for part in _slide(slide, omitted) if part.strip()) for slide in deck.slides]
    text = "\n\f\n".join(pages)
    title = (deck.core_properties.title or "").strip() or first_heading(text) or stem(path)
    return Reading((Extract(text, title, {"pages": str(len(pages))}),), omitted=+omitted)


def _slide(slide: Any, omitted: Counter[str]) -> Iterator[str]:
    """Yield title, shapes, notes and comments of a slide."""
    head = slide.shapes.title
    if head is not None and head.text.strip():
        yield f"# {' '.join(head.text.split())}"
    for shape in slide.shapes:
        if shape != head:
            yield from _shape(shape, omitted)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        yield slide.notes_slide.notes_text_frame.text
    for relation in slide.part.rels.values():
        if not relation.is_external and relation.reltype.endswith("/comments"):
            yield from _comments(relation.target_part.blob)


def _comments(content: bytes) -> Iterator[str]:
    """Yield the comments of a slide, of the old and of the new form."""
    from lxml import etree

    for comment in etree.fromstring(content).iter("{*}cm"):
        yield " ".join("".join(part.text or "" for part in comment.iter("{*}text", "{*}t")).split())


def _shape(shape: Any, omitted: Counter[str]) -> Iterator[str]:
    if getattr(shape, "has_table", False):
        yield _table(shape.table)
    elif getattr(shape, "has_chart", False):
        yield chart_text(shape.chart.part.blob)
    elif hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _shape(inner, omitted)
    elif getattr(shape, "has_text_frame", False):
        yield _numbered(shape.text_frame)
    else:
        yield _other(shape, omitted)


def _other(shape: Any, omitted: Counter[str]) -> str:
    """Return the words of a diagram, or the description of a picture; what has none is counted."""
    element = shape._element
    if diagrams := element.xpath(".//*[local-name()='relIds']"):
        data = shape.part.rels.get(diagrams[0].get(f"{_R}dm"))
        return chart_text(data.target_part.blob) if data is not None and not data.is_external else ""
    if told := element.xpath(".//p:cNvPr/@descr"):
        return str(told[0])
    omitted["pictures"] += element.tag.endswith("}pic")
    omitted["embedded_files"] += bool(element.xpath(".//p:oleObj"))
    return ""


def _numbered(frame: Any) -> str:
    """Return the paragraphs of a text with the numbers that PowerPoint counts."""
    counts: dict[int, int] = {}
    lines = []
    for paragraph in frame.paragraphs:
        found = paragraph._p.xpath("./a:pPr/a:buAutoNum")
        counts = {level: count for level, count in counts.items() if level < paragraph.level + bool(found)}
        if not found or not paragraph.text.strip():
            lines.append(paragraph.text)
            continue
        start = str(found[0].get("startAt") or "1")
        counts[paragraph.level] = counts.get(paragraph.level, int(start[:5]) - 1 if start.isdigit() else 0) + 1
        lines.append(f"{_label(counts[paragraph.level], found[0].get('type') or '')} {paragraph.text}")
    return "\n".join(lines)


def _label(number: int, kind: str) -> str:
    """Return a number as a scheme such as `alphaLcParenBoth` writes it."""
    form = next((form for start, form in _SCHEMES.items() if kind.startswith(start)), "decimal")
    before = "(" if kind.endswith("ParenBoth") else ""
    after = ")" if "Paren" in kind else "" if kind.endswith("Plain") else "."
    return f"{before}{counted(number, form)}{after}"


def _table(table: Any) -> str:
    grid = Grid()
    rows = (
        grid.row(Cell(cell.text, cell.span_width, cell.span_height) for cell in row.cells if not cell.is_spanned)
        for row in table.rows
    )
    return "\n".join(row_line(row) for row in rows)
