"""Word files: the body in order, with its notes, comments, text boxes, charts and numbers, headers first and footers last.

Runs in the worker process. Notes stand right after the paragraph that refers to them, so that a passage holds both.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from quarry.indexer.readers.base import Extract, Reading, Unreadable, damaged_file, first_heading, stem
from quarry.indexer.readers.charset import declared_charset, decode
from quarry.indexer.readers.office.numbering import Numbering
from quarry.indexer.readers.office.ooxml import alternative_text, chart_text, transitional
from quarry.indexer.readers.tables import Cell, Grid, row_line
from quarry.indexer.readers.text.markup import html_text

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
_DOC_PR = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
# Left out: paragraph and run settings (they hold tabs), deleted text, readings above characters, and the second copy of
# drawings for old readers
_SKIPPED = frozenset(
    {
        f"{_W}pPr",
        f"{_W}rPr",
        f"{_W}del",
        f"{_W}moveFrom",
        f"{_W}rt",
        "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
    }
)
_PICTURE = "{http://schemas.openxmlformats.org/drawingml/2006/picture}pic"
_TEXT_PATH = "{urn:schemas-microsoft-com:vml}textpath"
# Signs of the fonts Symbol and Wingdings that people read as words: boxes, ticks and crosses
_SIGNS = {
    "F0A8": "☐",
    "F06F": "☐",
    "F0FE": "☒",
    "F078": "☒",
    "F0FC": "✓",
    "F0FB": "✗",
    "F052": "☑",
    "F0B7": "•",
    "F0B0": "°",
}
_EMBEDDED = frozenset({"package", "oleObject"})
_INSIDE = frozenset({f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}moveTo", f"{_W}customXml", f"{_W}smartTag"})
_NOTES = {f"{_W}footnoteReference": "footnote", f"{_W}endnoteReference": "endnote", f"{_W}commentReference": "comment"}
_HEADING_STYLE = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)


def read_docx(path: Path) -> Reading:
    """Read paragraphs, headings, lists and tables in order, with notes, comments, text boxes, headers, footers and charts.

    Raises:
        Unreadable: If it is not a Word file.
    """
    from docx import Document as open_docx
    from docx.opc.exceptions import PackageNotFoundError

    try:
        document = open_docx(transitional(path))
    except (PackageNotFoundError, KeyError, ValueError) as err:
        raise Unreadable("damaged", damaged_file("Word", err)) from err
    word = _Word(document)
    body = word.text()
    pages = {"pages": str(body.count("\f") + 1)} if "\f" in body else {}
    title = (document.core_properties.title or "").strip() or first_heading(body) or stem(path)
    return Reading((Extract(body, title, pages),), omitted=+word.omitted)


class _Word:
    """Walks one document."""

    def __init__(self, document: Any) -> None:
        self.omitted: Counter[str] = Counter()
        self._body = document.element.body
        self._parts = {
            rel_id: (rel.reltype.rpartition("/")[2], rel.target_part)
            for rel_id, rel in document.part.rels.items()
            if not rel.is_external
        }
        self._styles = {style.style_id: style.name or "" for style in document.styles}
        self._numbering = Numbering(self._root("numbering"), self._root("styles"))
        self._notes = {
            kind: {node.get(f"{_W}id"): node for node in self._elements(f"{kind}s", f"{_W}{kind}")}
            for kind in _NOTES.values()
        }
        self._aside: list[str] = []  # what belongs after the paragraph at hand
        self.omitted["embedded_files"] += sum(kind in _EMBEDDED for kind, _ in self._parts.values())

    def text(self) -> str:
        """Return the whole text; each different header and footer once."""
        heads = list(self._margins("header"))
        blocks = [*heads, *self._blocks(self._body)]
        for notes in self._notes.values():  # those that nothing refers to
            for node in list(notes.values()):
                blocks.extend(self._note(node))
        return "\n\n".join(part for part in [*blocks, *self._margins("footer")] if part.strip(" \t\n"))

    def _roots(self, kind: str) -> Iterator[Any]:
        from lxml import etree

        for name, part in self._parts.values():
            if name == kind:
                element = getattr(part, "element", None)
                yield element if element is not None else etree.fromstring(part.blob)

    def _root(self, kind: str) -> Any | None:
        return next(self._roots(kind), None)

    def _elements(self, kind: str, tag: str) -> Iterator[Any]:
        for root in self._roots(kind):
            for node in root.iter(tag):
                if node.get(f"{_W}type") in (None, "normal"):  # the others are the lines between text and notes
                    yield node

    def _margins(self, kind: str) -> Iterator[str]:
        texts = ("\n".join(part for part in self._blocks(root) if part.strip()) for root in self._roots(kind))
        yield from dict.fromkeys(text for text in texts if text.strip(" \t\n-0123456789"))

    def _blocks(self, body: Any) -> Iterator[str]:
        for child in body:
            if child.tag == f"{_W}p":
                yield from self._paragraph(child)
            elif child.tag == f"{_W}tbl":
                yield self._table(child)
                yield from self._taken_aside()
            elif child.tag == f"{_W}altChunk":
                yield self._chunk(child.get(f"{_R}id") or "")
            elif child.tag in _INSIDE:
                yield from self._blocks(child)

    def _paragraph(self, paragraph: Any) -> Iterator[str]:
        text = "".join(self._runs(paragraph)).strip(" \t\n")
        aside = self._taken_aside()
        style, label = self._label(paragraph) if text.strip() else ("", None)
        yield _labelled(text, style, label)
        yield from aside

    def _label(self, paragraph: Any) -> tuple[str, str | None]:
        """Count a paragraph that has words; return its style's name and its number."""
        named = paragraph.find(f"{_W}pPr/{_W}pStyle")
        style_id = named.get(f"{_W}val") if named is not None else ""
        return self._styles.get(style_id, ""), self._numbering.label(paragraph, style_id)

    def _chunk(self, name: str) -> str:
        """Return the text of another file that Word shows as a part of this one."""
        _, part = self._parts.get(name, ("", None))
        kind = part.content_type if part is not None else ""
        if kind.startswith(("text/html", "application/xhtml")):
            return html_text(decode(part.blob, declared_charset(part.blob)).text)[1]
        if kind.startswith("text/plain"):
            return decode(part.blob).text
        self.omitted["embedded_files"] += 1
        return ""

    def _taken_aside(self) -> list[str]:
        aside, self._aside = self._aside, []
        return aside

    def _note(self, node: Any) -> list[str]:
        saved = self._taken_aside()
        texts = [" ".join(part.split()) for part in self._blocks(node)]
        self._aside = saved
        return [" ".join(text for text in texts if text)]

    def _runs(self, element: Any) -> Iterator[str]:
        """Yield the text below a paragraph or cell: links and equations (between dollar signs) included."""
        for node in element:
            if node.tag in _SKIPPED:
                self.omitted["ruby_readings"] += node.tag == f"{_W}rt"
            elif node.tag == f"{_M}oMath":
                yield f"${''.join(part.text or '' for part in node.iter(f'{_M}t'))}$"
            elif node.tag == f"{_W}t":
                yield node.text or ""
            elif node.tag in _MARKS:
                yield _MARKS[node.tag](node)
            elif node.tag == f"{_W}p":  # a paragraph inside of a cell
                yield from self._inner_paragraph(node)
            elif not self._put_aside(node):
                yield from self._runs(node)

    def _inner_paragraph(self, paragraph: Any) -> Iterator[str]:
        text = "".join(self._runs(paragraph))
        label = self._label(paragraph)[1] if text.strip() else None
        yield f"{label} {text}\n" if label and label != "-" else f"{text}\n"

    def _put_aside(self, node: Any) -> bool:
        """Keep what floats beside the text or is referred to by it, for after the paragraph."""
        if node.tag in _NOTES:
            note = self._notes[_NOTES[node.tag]].pop(node.get(f"{_W}id"), None)
            if note is not None:
                self._aside.extend(self._note(note))
        elif node.tag == f"{_W}txbxContent":
            saved = self._taken_aside()
            box = "\n".join(block for block in self._blocks(node) if block.strip())
            self._aside = [*saved, "\n".join(f"> {line}" for line in box.split("\n")) if box else ""]
        elif node.tag in (_CHART, _DIAGRAM):
            _, part = self._parts.get(node.get(f"{_R}id") or node.get(f"{_R}dm") or "", ("", None))
            self._aside.append(chart_text(part.blob) if part is not None else "")
        elif node.tag == _DOC_PR:
            told = alternative_text(node)
            self._aside.append(told)
            self.omitted["pictures"] += not told and next(node.getparent().iter(_PICTURE), None) is not None
        elif node.tag == _TEXT_PATH:
            self._aside.append(node.get("string") or "")
        else:
            return False
        return True

    def _table(self, table: Any) -> str:
        grid = Grid()
        lines = []
        for row in _below(table, f"{_W}tr"):
            if row.find(f"{_W}trPr/{_W}del") is not None:
                continue
            lines.append(row_line(grid.row(self._cells(row))))
        return "\n".join(line for line in lines if line.strip(" |"))

    def _cells(self, row: Any) -> list[Cell]:
        """Return the cells of a row; those that go on from the left, in an old way to merge, as a part of their first."""
        before = _number(row.find(f"{_W}trPr/{_W}gridBefore"))
        cells = [Cell("", before)] if before else []
        for node in _below(row, f"{_W}tc"):
            cell = self._cell(node)
            merge = node.find(f"{_W}tcPr/{_W}hMerge")
            if merge is not None and merge.get(f"{_W}val") != "restart" and cells:
                cells[-1] = replace(cells[-1], columns=cells[-1].columns + cell.columns)
            else:
                cells.append(cell)
        return cells

    def _cell(self, cell: Any) -> Cell:
        merge = cell.find(f"{_W}tcPr/{_W}vMerge")
        goes_on = merge is not None and merge.get(f"{_W}val") != "restart"
        text = " ".join("".join(self._runs(cell)).split())
        return Cell(text, _number(cell.find(f"{_W}tcPr/{_W}gridSpan")) or 1, goes_on=goes_on)


def _number(node: Any | None) -> int:
    text = str(node.get(f"{_W}val") or "") if node is not None else ""
    return int(text) if text.isdigit() and len(text) < 5 else 0


def _chosen(field: Any) -> str:
    """Return what is chosen in a field of a form, whose words stand nowhere else: an entry of a list, a ticked box."""
    box = field.find(f"{_W}checkBox")
    if box is not None:
        state = box.find(f"{_W}checked")
        state = box.find(f"{_W}default") if state is None else state
        return "☒ " if state is not None and state.get(f"{_W}val") not in ("0", "false", "off") else "☐ "
    choices = field.find(f"{_W}ddList")
    if choices is None:
        return ""
    entries = [entry.get(f"{_W}val") or "" for entry in choices.iter(f"{_W}listEntry")]
    result = choices.find(f"{_W}result")
    chosen = _number(result if result is not None else choices.find(f"{_W}default"))
    return entries[chosen] if chosen < len(entries) else ""


def _labelled(text: str, style: str, label: str | None) -> str:
    """Return a paragraph with its number or bullet, headings as ATX lines."""
    if not text.strip():
        return text
    match = _HEADING_STYLE.match(style)
    if match or style == "Title":
        before, words = ("\f", text.lstrip("\f \n")) if text.startswith("\f") else ("", text)
        number = f"{label} " if label and label != "-" else ""
        return f"{before}{'#' * min(6, int(match.group(1)) if match else 1)} {number}{' '.join(words.split())}"
    if text.startswith("\f"):
        return text
    if label is None and style.startswith("List"):
        label = "-"
    return f"{label} {text}" if label else text


def _below(element: Any, tag: str) -> Iterator[Any]:
    """Yield the nearest elements of a tag: rows of this table, not of the tables inside of its cells."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag != f"{_W}tbl":
            yield from _below(child, tag)


_MARKS: dict[str, Callable[[Any], str]] = {
    f"{_W}tab": lambda _: "\t",
    f"{_W}br": lambda node: "\f" if node.get(f"{_W}type") == "page" else "\n",
    f"{_W}cr": lambda _: "\n",
    f"{_W}noBreakHyphen": lambda _: "-",
    f"{_W}sym": lambda node: _SIGNS.get((node.get(f"{_W}char") or "").upper(), ""),
    f"{_W}ffData": _chosen,
}
