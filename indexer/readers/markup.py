"""HTML and XML: their readable text, headings kept, scripts and entity tricks left out."""

import re
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

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_DROPPED = (
    "script,style,noscript,template,svg,iframe,object,embed,select,button,nav,dialog,"
    "[role=navigation],[role=search],[hidden]"
)
_BLOCKS = frozenset({
    "p", "div", "section", "article", "header", "footer", "main", "aside", "ul", "ol", "table", "blockquote",
    "figure", "figcaption", "dl", "dt", "dd", "address", "details", "summary", "fieldset", "form", "hr", "tfoot",
    "caption", "body", "html",
})  # fmt: skip
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_PRE_END = "\n\n\n"
_MARKS = {
    "li": ("\n- ", ""), "br": ("\n", ""), "tr": ("\n", ""), "td": ("", " | "), "th": ("", " | "),
    "pre": ("\n\n", _PRE_END),
}  # fmt: skip
_MAX_DEPTH = 5000
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)")
_FLAT = frozenset({  # elements that hold none, or that the next of their kind ends
    "p", "li", "br", "img", "hr", "input", "meta", "link", "area", "base", "col", "embed", "source", "track", "wbr",
    "td", "th", "tr", "tbody", "thead", "tfoot", "dt", "dd", "option", "optgroup", "html", "head", "body", "param",
})  # fmt: skip
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
    tree = LexborHTMLParser(html)
    title_node = tree.css_first("title")
    title = " ".join(title_node.text().split()) if title_node else ""
    for node in tree.css(_DROPPED):
        node.decompose()
    parts: list[str] = []
    if tree.body is not None:
        _walk(tree.body, parts)
    text = _SPACES.sub(" ", "".join(parts))
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


def _walk(root: "LexborNode", parts: list[str]) -> None:
    """Append the text below a node, in document order; iterative, so that deep nesting cannot exhaust the stack."""
    stack: list[tuple[LexborNode | None, str]] = [(root, "")]
    kept_breaks = 0  # how many <pre> we are in
    while stack:
        node, closing = stack.pop()
        if node is None:
            parts.append(closing)
            kept_breaks -= closing == _PRE_END
            continue
        tag = node.tag
        if tag == "-text":
            text = node.text_content or ""
            parts.append(text if kept_breaks else _WHITE.sub(" ", text))
            continue
        kept_breaks += tag == "pre"
        opening, closing = _around(tag or "")
        parts.append(opening)
        children: list[LexborNode] = []
        child = node.first_child
        while child is not None:
            children.append(child)
            child = child.next
        stack.append((None, closing))
        stack.extend((one, "") for one in reversed(children))


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
