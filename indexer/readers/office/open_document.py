"""OpenDocument (`.odt`, `.ods`, `.odp`): text in reading order with headings, lists, tables, notes, comments and pages.

Runs in the worker process. Deleted text of tracked changes is left out.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import (
    Extract,
    Reading,
    Unreadable,
    damaged_file,
    first_heading,
    needs_password,
    stem,
)
from quarry.indexer.readers.tables import Cell, Grid, row_line

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_MANIFEST = "{urn:oasis:names:tc:opendocument:xmlns:manifest:1.0}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_SKIPPED = frozenset({
    f"{_TEXT}tracked-changes", f"{_TEXT}sequence-decls", f"{_OFFICE}forms", f"{_TEXT}ruby-text", f"{_TEXT}index-body",
    f"{_DC}creator", f"{_DC}date", f"{_OFFICE}event-listeners", f"{_TABLE}tracked-changes",
    f"{_PRESENTATION}date-time-decl", f"{_PRESENTATION}footer-decl", f"{_TABLE}calculation-settings",
})  # fmt: skip  # a table
_MOST_REPEATED = 200  # equal cells or rows that one element stands for, when they hold something
_MOST_EMPTY = 256  # empty cells before a value
_ASIDE = frozenset({f"{_TEXT}note", f"{_OFFICE}annotation"})


def read_odf(path: Path) -> Reading:
    """Read a document, a spreadsheet or a presentation.

    Raises:
        Unreadable: If it is encrypted, or not an OpenDocument file.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
                raise Unreadable("encrypted", needs_password())
            content = etree.fromstring(archive.read("content.xml"), parser)
            styles = etree.fromstring(archive.read("styles.xml"), parser) if "styles.xml" in names else None
            meta = etree.fromstring(archive.read("meta.xml"), parser) if "meta.xml" in names else None
    except (KeyError, etree.XMLSyntaxError, zipfile.BadZipFile, RuntimeError) as err:
        raise Unreadable("damaged", damaged_file("OpenDocument", err)) from err
    body = content.find(f"{_OFFICE}body")
    if body is None or not len(body):
        raise Unreadable("damaged", damaged_file("OpenDocument", "no body"))
    blocks = [*_margins(styles, "header"), *_blocks(body[0]), *_margins(styles, "footer")]
    text = "\n\n".join(block for block in blocks if block.strip(" \t\n")).rstrip("\n\f")
    titled = meta.find(f".//{_DC}title") if meta is not None else None
    title = " ".join("".join(titled.itertext()).split()) if titled is not None else ""
    return Reading((Extract(text, title or first_heading(text) or stem(path), {}),))


def _margins(styles: Any | None, kind: str) -> Iterator[str]:
    """Yield each different header or footer once."""
    nodes = styles.iter(f"{{urn:oasis:names:tc:opendocument:xmlns:style:1.0}}{kind}") if styles is not None else ()
    texts = ("\n".join(part for part in _blocks(node) if part.strip()) for node in nodes)
    yield from dict.fromkeys(text for text in texts if text.strip(" \t\n-0123456789"))


def _blocks(node: Any) -> Iterator[str]:
    for child in node:
        tag = child.tag
        if tag in _SKIPPED or not isinstance(tag, str):
            continue
        if tag == f"{_TEXT}h":
            level = child.get(f"{_TEXT}outline-level") or "1"
            words = " ".join(_words(child).split())
            yield f"{'#' * min(6, int(level) if level.isdigit() else 1)} {words}" if words else ""
            yield from _aside(child)
        elif tag == f"{_TEXT}p":
            yield _words(child).strip()
            yield from _aside(child)
        elif tag == f"{_TEXT}list":
            yield "\n".join(_items(child, ""))
        elif tag == f"{_TABLE}table":
            yield _table(child)
        elif tag == f"{_DRAW}page":
            yield _slide(child)
        elif tag in (f"{_SVG}title", f"{_SVG}desc"):
            yield "".join(child.itertext())
        else:
            yield from _blocks(child)


def _slide(page: Any) -> str:
    blocks = [block for block in _blocks(page) if block.strip()]
    if blocks and not blocks[0].startswith("#"):
        blocks[0] = f"# {' '.join(blocks[0].split())}"
    return "\n\n".join([*blocks, "\f"])


def _items(node: Any, indent: str) -> Iterator[str]:
    for item in node:
        texts: list[str] = []
        for child in item:
            if child.tag == f"{_TEXT}list":
                texts.extend(_items(child, f"{indent}  "))
            elif child.tag in (f"{_TEXT}p", f"{_TEXT}h"):
                texts.append(f"{indent}- {' '.join(_words(child).split())}")
                texts.extend(_aside(child))
        yield from texts


def _words(node: Any) -> str:
    """Return the text below a paragraph; notes, comments and boxes come after it."""
    parts = [node.text or ""]
    for child in node:
        tag = child.tag
        if tag == f"{_TEXT}s":
            count = child.get(f"{_TEXT}c") or "1"
            parts.append(" " * min(int(count) if count.isdigit() else 1, 100))
        elif tag == f"{_TEXT}tab":
            parts.append("\t")
        elif tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif isinstance(tag, str) and tag not in _SKIPPED and tag not in _ASIDE and tag != f"{_DRAW}frame":
            parts.append(_words(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _aside(node: Any) -> Iterator[str]:
    """Yield the notes, comments, text boxes and descriptions of pictures that belong to a paragraph."""
    for child in node:
        if child.tag == f"{_TEXT}note":
            body = child.find(f"{_TEXT}note-body")
            yield " ".join(" ".join(_blocks(body)).split()) if body is not None else ""
        elif child.tag == f"{_OFFICE}annotation":
            yield " ".join(" ".join(_blocks(child)).split())
        elif child.tag == f"{_DRAW}frame":
            yield "\n".join(f"> {line}" for block in _blocks(child) for line in block.split("\n") if line.strip())
        else:
            yield from _aside(child)


def _table(table: Any) -> str:
    grid = Grid()
    lines: list[str] = []
    for row in _rows(table):
        cells = list(_cells(row))
        count = _repeated(row, "rows") if any(cell.text.strip() for cell in cells) else 1
        lines.extend(row_line(grid.row(cells)) for _ in range(count))
    name = table.get(f"{_TABLE}name") or ""
    is_sheet = table.getparent() is not None and table.getparent().tag == f"{_OFFICE}spreadsheet"
    text = "\n".join(line for line in lines if line.strip(" |"))
    return f"## {name}\n\n{text}" if text and name and is_sheet else text


def _rows(node: Any) -> Iterator[Any]:
    for child in node:
        if child.tag == f"{_TABLE}table-row":
            yield child
        elif child.tag in (f"{_TABLE}table-header-rows", f"{_TABLE}table-rows", f"{_TABLE}table-row-group"):
            yield from _rows(child)


def _cells(row: Any) -> Iterator[Cell]:
    for cell in row:
        if cell.tag not in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            continue
        covered = cell.tag == f"{_TABLE}covered-table-cell"
        blocks = [" ".join(block.split()) for block in _blocks(cell)]
        text = " ".join(block for block in blocks if block) or cell.get(f"{_OFFICE}value") or ""
        count = _repeated(cell, "columns") if text else min(_repeated(cell, "columns"), _MOST_EMPTY)
        if covered:  # the cell that spans it stands there already
            continue
        spans = [cell.get(f"{_TABLE}number-{what}-spanned") or "1" for what in ("columns", "rows")]
        columns, rows = (int(span) if span.isdigit() else 1 for span in spans)
        for _ in range(count):
            yield Cell(text, columns, rows)


def _repeated(node: Any, what: str) -> int:
    count = node.get(f"{_TABLE}number-{what}-repeated") or "1"
    return min(int(count) if count.isdigit() else 1, _MOST_REPEATED)
