"""OpenDocument (`.odt`, `.ods`, `.odp`): text in reading order with headings, lists, tables, notes, comments and pages.

Runs in the worker process. Deleted text of tracked changes is left out.
"""

import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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
from quarry.indexer.readers.office.open_forms import filled_fields
from quarry.indexer.readers.office.open_lists import Lists
from quarry.indexer.readers.tables import Cell, Grid, row_line

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_MATH = "{http://www.w3.org/1998/Math/MathML}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_MANIFEST = "{urn:oasis:names:tc:opendocument:xmlns:manifest:1.0}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_SKIPPED = frozenset({
    f"{_TEXT}tracked-changes", f"{_TEXT}sequence-decls", f"{_TEXT}ruby-text", f"{_TEXT}index-body",
    f"{_DC}creator", f"{_DC}date", f"{_OFFICE}event-listeners", f"{_TABLE}tracked-changes",
    f"{_PRESENTATION}date-time-decl", f"{_PRESENTATION}footer-decl", f"{_TABLE}calculation-settings",
})  # fmt: skip  # a table
_MOST_REPEATED = 200  # equal cells or rows that one element stands for, when they hold something
_MOST_EMPTY = 256  # empty cells before a value
_IN_TEXT = frozenset({f"{_DRAW}a"})  # what belongs to drawings by its name, and to a paragraph's words
_ASIDE = frozenset({f"{_TEXT}note", f"{_OFFICE}annotation"})


def read_odf(path: Path) -> Reading:
    """Read a document, a spreadsheet or a presentation.

    Raises:
        Unreadable: If it is encrypted, or not an OpenDocument file.
    """
    from lxml import etree

    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "META-INF/manifest.xml" in names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
                raise Unreadable("encrypted", needs_password())
            content = _root(archive, "content.xml")
            styles = _root(archive, "styles.xml") if "styles.xml" in names else None
            meta = _root(archive, "meta.xml") if "meta.xml" in names else None
            objects = {
                name.removesuffix("/content.xml"): _root(archive, name)
                for name in names
                if name.endswith("/content.xml")
            }
    except (KeyError, etree.XMLSyntaxError, zipfile.BadZipFile, RuntimeError) as err:
        raise Unreadable("damaged", damaged_file("OpenDocument", err)) from err
    body = content.find(f"{_OFFICE}body")
    if body is None or not len(body):
        raise Unreadable("damaged", damaged_file("OpenDocument", "no body"))
    walk = _Walk(Lists(root for root in (styles, content) if root is not None), objects)
    blocks = [*walk.margins(styles, "header"), *walk.blocks(body[0]), *walk.margins(styles, "footer")]
    text = "\n\n".join(block for block in blocks if block.strip(" \t\n")).rstrip("\n\f")
    titled = meta.find(f".//{_DC}title") if meta is not None else None
    title = " ".join("".join(titled.itertext()).split()) if titled is not None else ""
    return Reading((Extract(text, title or first_heading(text) or stem(path), {}),), omitted=+walk.omitted)


def _root(archive: zipfile.ZipFile, name: str) -> Any:
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    return etree.fromstring(archive.read(name), parser)


class _Walk:
    """Reads one document."""

    def __init__(self, lists: Lists, objects: Mapping[str, Any]) -> None:
        """Take what stands outside of the text.

        Args:
            lists: Counts items and headings.
            objects: Charts, formulas and embedded documents by their folder.
        """
        self.omitted: Counter[str] = Counter()
        self._lists = lists
        self._objects = dict(objects)

    def margins(self, styles: Any | None, kind: str) -> Iterator[str]:
        """Yield each different header or footer once."""
        nodes = styles.iter(f"{_STYLE}{kind}") if styles is not None else ()
        texts = ("\n".join(part for part in self.blocks(node) if part.strip()) for node in nodes)
        yield from dict.fromkeys(text for text in texts if text.strip(" \t\n-0123456789"))

    def blocks(self, node: Any) -> Iterator[str]:
        """Yield the blocks below a node in their order."""
        for child in node:
            tag = child.tag
            if tag in _SKIPPED or not isinstance(tag, str):
                continue
            reader = _READERS.get(tag)
            yield from self.blocks(child) if reader is None else reader(self, child)

    def _titled(self, node: Any) -> Iterator[str]:
        yield self._heading(node)
        yield from self._aside(node)

    def _paragraph(self, node: Any) -> Iterator[str]:
        yield _words(node).strip()
        yield from self._aside(node)

    def _tabled(self, node: Any) -> Iterator[str]:
        yield self._table(node)
        yield from self._shapes(node)

    def _heading(self, node: Any) -> str:
        level = node.get(f"{_TEXT}outline-level") or "1"
        depth = min(9, int(level)) if level.isdigit() else 1
        words = " ".join(_words(node).split())
        if not words:
            return ""
        number = "" if node.find(f"{_TEXT}number") is not None else self._lists.heading(depth)
        return f"{'#' * min(6, depth)} {number} {words}".replace("  ", " ")

    def _frame(self, frame: Any) -> Iterator[str]:
        """Yield what is in a frame; an object stands there as itself and as its picture."""
        blocks = [block for block in self.blocks(frame) if block.strip()]
        pictures = frame.find(f"{_DRAW}image") is not None and frame.find(f"{_DRAW}object") is None
        self.omitted["pictures"] += pictures and not blocks
        yield from blocks

    def _object(self, node: Any) -> Iterator[str]:
        """Yield the text of a chart, a formula or an embedded document; each object once."""
        name = (node.get(_HREF) or "").removeprefix("./")
        root = self._objects.pop(name, None)
        if root is None:
            self.omitted["embedded_files"] += bool(name)
        else:
            body = root.find(f"{_OFFICE}body")
            yield from self.blocks(body if body is not None else [root])

    def _slide(self, page: Any) -> Iterator[str]:
        blocks = [block for block in self.blocks(page) if block.strip()]
        if blocks and not blocks[0].startswith("#"):
            blocks[0] = f"# {' '.join(blocks[0].split())}"
        yield "\n\n".join([*blocks, "\f"])

    def _list(self, node: Any) -> Iterator[str]:
        """Yield the items of a list as one block; a heading in it is one of its own."""
        style = node.get(f"{_TEXT}style-name") or ""
        if node.get(f"{_TEXT}continue-numbering") != "true" and node.get(f"{_TEXT}continue-list") is None:
            self._lists.begin(style)
        lines: list[str] = []
        for line in self._items(node, style, 1):
            if line.startswith("#"):
                yield "\n".join(lines)
                lines = []
                yield line
            else:
                lines.append(line)
        yield "\n".join(lines)

    def _items(self, node: Any, style: str, level: int) -> Iterator[str]:
        style = node.get(f"{_TEXT}style-name") or style
        for item in node:
            mark, counts = "", item.tag == f"{_TEXT}list-item"
            for child in item:
                if child.tag == f"{_TEXT}list":
                    yield from self._items(child, style, level + 1)
                elif child.tag == f"{_TEXT}h":
                    yield self._heading(child)
                elif child.tag == f"{_TEXT}p" and (words := " ".join(_words(child).split())):
                    if not mark and counts:
                        mark = self._lists.label(style, level, item.get(f"{_TEXT}start-value"))
                        yield f"{'  ' * (level - 1)}{mark} {words}"
                    else:
                        yield f"{'  ' * level}{words}"
                yield from (line for line in self._aside(child) if line) if child.tag != f"{_TEXT}list" else ()

    def _aside(self, node: Any) -> Iterator[str]:
        """Yield the notes, comments, text boxes and descriptions of pictures that belong to a paragraph."""
        for child in node:
            if child.tag == f"{_TEXT}note":
                body = child.find(f"{_TEXT}note-body")
                yield " ".join(" ".join(self.blocks(body)).split()) if body is not None else ""
            elif child.tag == f"{_OFFICE}annotation":
                yield " ".join(" ".join(self.blocks(child)).split())
            elif isinstance(child.tag, str) and not _is_in_text(child.tag):
                blocks = self.blocks([child])
                yield "\n".join(f"> {line}" for block in blocks for line in block.split("\n") if line.strip())
            else:
                yield from self._aside(child)

    def _table(self, table: Any) -> str:
        grid = Grid()
        lines: list[str] = []
        for row in _rows(table):
            cells = list(self._cells(row))
            count = _repeated(row, "rows") if any(cell.text.strip() for cell in cells) else 1
            lines.extend(row_line(grid.row(cells)) for _ in range(count))
        name = table.get(f"{_TABLE}name") or ""
        is_sheet = table.getparent() is not None and table.getparent().tag == f"{_OFFICE}spreadsheet"
        text = "\n".join(line for line in lines if line.strip(" |"))
        return f"## {name}\n\n{text}" if text and name and is_sheet else text

    def _shapes(self, table: Any) -> Iterator[str]:
        """Yield what floats above the cells of a sheet."""
        for node in (table.find(f"{_TABLE}shapes"), table.find(f"{_OFFICE}forms")):
            if node is not None:
                yield from self.blocks([node])

    def _cells(self, row: Any) -> Iterator[Cell]:
        for cell in row:
            if cell.tag != f"{_TABLE}table-cell":  # of a covered one, the cell that spans it stands there already
                continue
            blocks = [" ".join(block.split()) for block in self.blocks(cell)]
            text = " ".join(block for block in blocks if block) or cell.get(f"{_OFFICE}value") or ""
            count = _repeated(cell, "columns") if text else min(_repeated(cell, "columns"), _MOST_EMPTY)
            spans = [cell.get(f"{_TABLE}number-{what}-spanned") or "1" for what in ("columns", "rows")]
            columns, rows = (int(span) if span.isdigit() else 1 for span in spans)
            for _ in range(count):
                yield Cell(text, columns, rows)


def _description(_walk: _Walk, node: Any) -> Iterator[str]:
    yield "".join(node.itertext())


def _formula(_walk: _Walk, node: Any) -> Iterator[str]:
    yield f"${''.join(node.itertext('{*}mi', '{*}mn', '{*}mo', '{*}mtext'))}$"


def _fields(_walk: _Walk, forms: Any) -> Iterator[str]:
    yield from filled_fields(forms)


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
        elif isinstance(tag, str) and tag not in _SKIPPED and tag not in _ASIDE and _is_in_text(tag):
            parts.append(_words(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _is_in_text(tag: str) -> bool:
    return not tag.startswith(_DRAW) or tag in _IN_TEXT


def _rows(node: Any) -> Iterator[Any]:
    for child in node:
        if child.tag == f"{_TABLE}table-row":
            yield child
        elif child.tag in (f"{_TABLE}table-header-rows", f"{_TABLE}table-rows", f"{_TABLE}table-row-group"):
            yield from _rows(child)


def _repeated(node: Any, what: str) -> int:
    count = node.get(f"{_TABLE}number-{what}-repeated") or "1"
    return min(int(count) if count.isdigit() else 1, _MOST_REPEATED)


_READERS: dict[str, Callable[[_Walk, Any], Iterator[str]]] = {
    f"{_TEXT}h": _Walk._titled,
    f"{_TEXT}p": _Walk._paragraph,
    f"{_TEXT}list": _Walk._list,
    f"{_TABLE}table": _Walk._tabled,
    f"{_DRAW}page": _Walk._slide,
    f"{_DRAW}frame": _Walk._frame,
    f"{_DRAW}object": _Walk._object,
    f"{_DRAW}object-ole": _Walk._object,
    f"{_SVG}title": _description,
    f"{_SVG}desc": _description,
    f"{_MATH}math": _formula,
    f"{_OFFICE}forms": _fields,
}
