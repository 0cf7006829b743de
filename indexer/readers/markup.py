"""HTML and XML: their readable text, headings kept, scripts and entity tricks left out."""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.parsers import expat

from indexer.readers.base import Extract, Reading, ReadOptions, Unreadable, first_heading, stem
from indexer.textcode import decode

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_DROPPED = "script,style,noscript,template,svg,iframe,object,embed,select,button,nav,dialog,form[role=search]"
_BLOCKS = frozenset(
    ["p", "div", "section", "article", "header", "footer", "main", "aside", "ul", "ol", "table", "tr", "blockquote", "pre", "figure", "figcaption", "dl", "dt", "dd", "address", "details", "summary", "fieldset", "form", "hr", "tbody", "thead", "tfoot", "caption", "body", "html"]
)
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_BLANKS = re.compile(r"\n[ \t]*(?:\n[ \t]*)+")


def read_html(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read a page: title, headings as ATX lines, list items and table rows on lines of their own."""
    decoded = decode(content, charset=options.charset)
    title, text = html_text(decoded.text)
    return Reading((Extract(text, title or stem(path), {"charset": decoded.charset}),))


def html_text(html: str) -> tuple[str, str]:
    """Return title and text of an HTML document or fragment."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    title_node = tree.css_first("title")
    title = _SPACES.sub(" ", title_node.text()).replace("\n", " ").strip() if title_node else ""
    for node in tree.css(_DROPPED):
        node.decompose()
    parts: list[str] = []
    if tree.body is not None:
        _walk(tree.body, parts)
    text = _BLANKS.sub("\n\n", _SPACES.sub(" ", "".join(parts)))
    text = "\n".join(line.strip() for line in text.split("\n")).strip()
    return title or first_heading(text), text


def _walk(root: "LexborNode", parts: list[str]) -> None:
    """Append the text below a node, in document order; iterative, so that deep nesting cannot exhaust the stack."""
    stack: list[tuple[LexborNode | None, str]] = [(root, "")]
    while stack:
        node, closing = stack.pop()
        if node is None:
            parts.append(closing)
            continue
        tag = node.tag
        if tag == "-text":
            parts.append(re.sub(r"\s+", " ", node.text_content or ""))
            continue
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
    if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
        return f"\n\n{'#' * int(tag[1])} ", "\n\n"
    if tag == "li":
        return "\n- ", ""
    if tag == "br":
        return "\n", ""
    if tag in ("td", "th"):
        return "", " | "
    return (
        ("\n\n", "\n\n")
        if tag in _BLOCKS and tag not in ("tr", "tbody", "thead")
        else ("\n", "")
        if tag == "tr"
        else ("", "")
    )


def read_xml(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read XML (feeds and the like): the text of its elements, one a line; entity declarations are refused."""
    lines: list[str] = []
    buffer: list[str] = []

    def flush(*_: object) -> None:
        text = "".join(buffer).strip()
        buffer.clear()
        if text:
            lines.append(html_text(text)[1] if "<" in text and ">" in text else _SPACES.sub(" ", text))

    def refuse(*_: object) -> None:
        raise Unreadable("archive bomb", "it declares XML entities, which can expand without end; expected plain XML")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.CharacterDataHandler = buffer.append
    parser.StartElementHandler = flush
    parser.EndElementHandler = flush
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as err:
        raise Unreadable("damaged", f"not well-formed XML ({err}); expected XML. Save it again") from err
    return Reading((Extract("\n\n".join(lines), lines[0][:200] if lines else stem(path), {}),))
