"""HTML and XML: their readable text, headings kept, scripts and entity tricks left out."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import (
    Extract,
    Reading,
    ReadOptions,
    Unreadable,
    damaged_file,
    declares_entities,
    first_heading,
    stem,
    text_meta,
)
from quarry.indexer.readers.charset import Decoded, declared_charset, decode
from quarry.indexer.readers.tables import Cell, Grid, row_line

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_DROPPED = (
    "script,style,noscript,template,svg,iframe,object,embed,nav,dialog:not([open]),rt,rp,"
    "[role=navigation],[role=search],[hidden]"
)
_BLOCKS = frozenset({
    "p", "div", "section", "article", "header", "footer", "main", "aside", "ul", "ol", "table", "blockquote",
    "figure", "figcaption", "dl", "dt", "dd", "address", "details", "summary", "fieldset", "form", "hr", "tfoot",
    "caption", "body", "html",
})  # fmt: skip  # a table
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_PRE_END = "\n\n\n"
_MARKS = {
    "li": ("\n- ", ""), "br": ("\n", ""), "option": (" ", " "), "select": (" ", " "), "textarea": (" ", " "),
    "pre": ("\n\n", _PRE_END),
}  # fmt: skip  # a table
_CELLS = frozenset({"td", "th"})
_MAX_DEPTH = 5000
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)")
_FLAT = frozenset({  # elements that hold none, or that the next of their kind ends
    "p", "li", "br", "img", "hr", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "wbr",
    "td", "th", "tr", "tbody", "thead", "tfoot", "dt", "dd", "option", "optgroup", "html", "head", "body", "param",
})  # fmt: skip  # a table
_WHITE = re.compile(r"\s+")
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_BLANKS = re.compile(r"\n(?:[ \t]*\n)+")
_EMPTY_MARKS = re.compile(r"^(?:#{1,6}|-)$", re.MULTILINE)  # headings and items that held a picture only


def read_html(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read a page: title, headings as ATX lines, list items and table rows on lines of their own."""
    decoded = _decoded(content, options)
    title, text = html_text(decoded.text)
    return Reading((Extract(text, title or stem(path), text_meta(decoded)),))


def _decoded(content: bytes, options: ReadOptions) -> Decoded:
    return decode(content, declared_charset(content), charset=options.charset)


def html_text(html: str) -> tuple[str, str]:
    """Return title and text of an HTML document or fragment.

    Raises:
        Unreadable: `damaged` when it is nested beyond what can be read in time.
    """
    from selectolax.lexbor import LexborHTMLParser

    _check_depth(html)
    tree = LexborHTMLParser(html.replace("\xad", ""))
    title_node = tree.css_first("title")
    title = " ".join(title_node.text().split()) if title_node else ""
    for node in tree.css(_DROPPED):
        node.decompose()
    text = _SPACES.sub(" ", _Walk().text(tree.body) if tree.body is not None else "")
    text = "\n".join(line.strip().rstrip(" |") for line in text.split("\n"))
    text = _BLANKS.sub("\n\n", _EMPTY_MARKS.sub("", text)).strip()
    return title or first_heading(text), text


def _check_depth(html: str) -> None:
    """The parser's time grows with the square of the depth: a file of 5 MB could take an hour."""
    depth = 0
    for match in _TAG.finditer(html):
        if match[2].lower() not in _FLAT:
            depth = max(0, depth - 1) if match[1] else depth + 1
            if depth > _MAX_DEPTH:
                found = Message.of(
                    "readers.nested",
                    "nested more than {depth:,} elements deep",
                    expected="a page",
                    do="Save its text instead",
                    depth=_MAX_DEPTH,
                )
                raise Unreadable("damaged", found)


class _Walk:
    """Collects the text below a node in document order; iterative, so that deep nesting cannot exhaust the stack."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._kept_breaks = 0  # how many <pre> we are in
        self._tables: list[_Table] = []

    def text(self, root: "LexborNode") -> str:
        """Return the text of a node."""
        stack: list[tuple[LexborNode | None, str]] = [(root, "")]
        while stack:
            node, tag = stack.pop()
            if node is None:
                self._close(tag)
                continue
            if node.tag == "-text":
                text = node.text_content or ""
                self._parts.append(text if self._kept_breaks else _WHITE.sub(" ", text))
                continue
            self._open(node, node.tag or "")
            children: list[LexborNode] = []
            child = node.first_child
            while child is not None:
                children.append(child)
                child = child.next
            stack.append((None, node.tag or ""))
            stack.extend((one, "") for one in reversed(children))
        return "".join(self._parts)

    def _open(self, node: "LexborNode", tag: str) -> None:
        table = self._tables[-1] if self._tables else None
        self._kept_breaks += tag == "pre"
        if tag == "table":
            self._tables.append(_Table())
        elif tag == "tr" and table is not None:
            table.cells = []
        elif tag in _CELLS and table is not None:
            spans = (node.attributes.get("colspan"), node.attributes.get("rowspan"))
            table.begin(
                len(self._parts), *(int(span) if span and span.isdigit() and len(span) < 5 else 1 for span in spans)
            )
            return
        elif tag in ("img", "input"):
            self._parts.append(_told(node, tag))
        self._parts.append(_around(tag)[0])

    def _close(self, tag: str) -> None:
        table = self._tables[-1] if self._tables else None
        self._kept_breaks -= tag == "pre"
        if tag == "table":
            self._tables.pop()
        elif tag in _CELLS and table is not None and table.started:
            start = table.started.pop()
            text = " ".join("".join(self._parts[start.place :]).split())
            del self._parts[start.place :]
            table.cells.append(Cell(text, start.columns, start.rows))
            return
        elif tag == "tr" and table is not None:
            self._parts.append("\n" + row_line(table.grid.row(table.cells)))
            table.cells = []
            return
        self._parts.append(_around(tag)[1])


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the text of an open cell begins, and what it spans."""

    place: int
    columns: int
    rows: int


class _Table:
    """A table that is being read."""

    def __init__(self) -> None:
        self.grid = Grid()
        self.cells: list[Cell] = []
        self.started: list[_Start] = []

    def begin(self, place: int, columns: int, rows: int) -> None:
        """Open a cell."""
        self.started.append(_Start(place, columns, rows))


def _told(node: "LexborNode", tag: str) -> str:
    """Return the description of a picture, or what a field that is no secret holds."""
    if tag == "img":
        return f" {node.attributes.get('alt') or ''} "
    shown = (node.attributes.get("type") or "text").lower() in (
        "text",
        "search",
        "email",
        "tel",
        "url",
        "number",
        "button",
    )
    return f" {node.attributes.get('value') or ''} " if shown else ""


def _around(tag: str) -> tuple[str, str]:
    """Return what stands before and after an element."""
    if tag in _BLOCKS:
        return "\n\n", "\n\n"
    if tag in _HEADINGS:
        return f"\n\n{'#' * int(tag[1])} ", "\n\n"
    return _MARKS.get(tag, ("", ""))


_ENTRIES = frozenset({"item", "entry"})


class _Feed:
    """Collects the text of XML elements, one a line; titles of a feed and of its entries become headings."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.title = ""
        self._buffer: list[str] = []
        self._open: list[str] = []
        self._entries = 0  # how many items or entries we are in

    def text(self, text: str) -> None:
        self._buffer.append(text)

    def start(self, name: str, _attributes: object) -> None:
        self._flush()
        local = name.rpartition(":")[2].lower()
        self._open.append(local)
        self._entries += local in _ENTRIES

    def end(self, _name: str) -> None:
        self._flush()
        self._entries -= self._open.pop() in _ENTRIES

    def refuse(self, *_: object) -> None:
        """Refuse a declaration of entities. Raises Unreadable, always."""
        raise Unreadable("archive bomb", declares_entities())

    def _flush(self) -> None:
        text = "".join(self._buffer).strip()
        self._buffer.clear()
        if not text:
            return
        if "<" in text and ">" in text:
            text = html_text(text)[1]
        elif self._open[-1:] == ["title"]:
            text = _WHITE.sub(" ", text)
            self.title = self.title or text
            text = f"{'##' if self._entries else '#'} {text}"
        else:
            text = "\n".join(line.strip() for line in text.split("\n"))
        self.lines.append(text)


def read_xml(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read XML (feeds and the like): the text of its elements, one a line.

    Raises:
        Unreadable: `archive bomb` when it declares entities, `damaged` when it is not well-formed.
    """
    decoded = _decoded(content, options)
    feed = _Feed()
    parser = expat.ParserCreate("utf-8")  # expat knows few charsets, so it gets what we have decoded
    parser.buffer_text = True
    parser.CharacterDataHandler = feed.text
    parser.StartElementHandler = feed.start
    parser.EndElementHandler = feed.end
    parser.EntityDeclHandler = feed.refuse
    try:
        parser.Parse(decoded.text.encode(), True)
    except expat.ExpatError as err:
        raise Unreadable("damaged", damaged_file("XML", err)) from err
    return Reading((Extract("\n\n".join(feed.lines), feed.title or stem(path), text_meta(decoded)),))
