"""HTML: what a page shows, in order, with its headings, lists and tables; scripts and menus are left out."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import Extract, Reading, ReadOptions, Unreadable, first_heading, stem, text_meta
from quarry.indexer.readers.charset import declared_charset, decode
from quarry.indexer.readers.text.html_tables import PageTables
from quarry.indexer.readers.text.html_words import Lists, shown_values

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_UNSEEN = "script,style,noscript,template:not([shadowrootmode]),embed,dialog:not([open]),rt,rp,[hidden],svg metadata"
_LABELLED = "[aria-label]:not(input,img,area,select,textarea)"
_MENUS = "nav,[role=navigation],[role=search]"
_BLOCKS = frozenset({
    "p", "div", "section", "article", "header", "footer", "main", "aside", "ul", "ol", "table", "blockquote",
    "figure", "figcaption", "dl", "dt", "dd", "address", "details", "summary", "fieldset", "form", "hr", "tfoot",
    "caption", "body", "html", "svg", "iframe", "object", "canvas", "template",
})  # fmt: skip  # a table
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_PRE_END = "\n\n\n"
_MARKS = {
    "li": ("\n", ""), "br": ("\n", ""), "option": (" ", " "), "select": (" ", " "), "textarea": (" ", " "),
    "pre": ("\n\n", _PRE_END), "text": (" ", " "), "title": (" ", " "), "desc": (" ", " "),
}  # fmt: skip  # a table
_TABLE_TAGS = frozenset({"table", "tr", "td", "th"})
_LIST_TAGS = frozenset({"ol", "ul", "menu", "li"})
_VALUED = frozenset({"img", "input", "area", "option", "optgroup"})
_MAX_DEPTH = 5000
_LONG_TAG = 20_000  # characters after the name of an element, from which its attributes are counted
_MOST_ATTRIBUTES = 2_000
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_MOST_CHOICES = 2_000
_CHOICES = re.compile(r"<(/?)(select|option)(?=[\s/>])", re.IGNORECASE)
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
    decoded = decode(content, declared_charset(content), charset=options.charset)
    page = _Page(decoded.text)
    omitted = {"menus": page.menus} if page.menus else {}
    return Reading((Extract(page.text, page.title or stem(path), text_meta(decoded)),), omitted=omitted)


def html_text(html: str) -> tuple[str, str]:
    """Return title and text of an HTML document or fragment.

    Raises:
        Unreadable: `damaged` when an element has too many attributes to be read in time.
    """
    page = _Page(html)
    return page.title, page.text


class _Page:
    """A document or fragment.

    Attributes:
        title: Its own, or its first heading.
        text: What it shows; of a page that holds nothing else, the menus.
        menus: How many menus were left out.
    """

    def __init__(self, html: str, *, inside: bool = False) -> None:
        from selectolax.lexbor import LexborHTMLParser

        html = _bounded(html).replace("\xad", "")
        tree = LexborHTMLParser(html)
        titled = tree.css_first("head > title")
        title = " ".join(titled.text().split()) if titled is not None else ""
        self.menus = _take_out_menus(tree)
        self.text = _shown(tree, inside=inside)
        if self.menus and not self.text:
            self.menus, self.text = 0, _shown(LexborHTMLParser(html), inside=inside)
        self.title = title or first_heading(self.text)


def _take_out_menus(tree: "LexborHTMLParser") -> int:
    menus = [node for node in tree.css(_MENUS) if node.text(strip=True)]
    for node in menus:
        node.decompose()
    return len(menus)


def _shown(tree: "LexborHTMLParser", *, inside: bool) -> str:
    if tree.body is None:
        return ""
    for node in tree.css(_UNSEEN):
        node.decompose()
    for node in tree.css(_LABELLED):
        if not node.text(strip=True):
            node.insert_child(node.attributes["aria-label"] or "")
    text = _SPACES.sub(" ", _Walk(inside=inside).text(tree.body))
    text = "\n".join(line.strip().rstrip(" |") for line in text.split("\n"))
    return _BLANKS.sub("\n\n", _EMPTY_MARKS.sub("", text)).strip()


def _bounded(html: str) -> str:
    """Return a page that the parser takes in linear time.

    Its time grows with the square of the depth, of the attributes of one element, and of the choices of one list: a file of 5 MB could
    take an hour. Lists of very many choices become lists of definitions, which show the same, and of elements nested more than 5,000
    deep only the words stay.

    Raises:
        Unreadable: `damaged` when an element has too many attributes.
    """
    depth = choices = 0
    end = 0
    flat: list[str] = []  # the page without what is nested too deeply to stay an element; its words stay
    kept = 0
    for match in _TAG.finditer(html):
        name = match[2].lower()
        choices += name == "option"
        if match.start() - end > _LONG_TAG:
            _check_attributes(html, end, match.start())
        end = match.end()
        if name not in _FLAT:
            closes = bool(match[1])
            if depth - closes >= _MAX_DEPTH:
                after = html.find(">", end) + 1
                flat += html[kept : max(kept, match.start())], " "
                kept = max(kept, after or len(html))
            depth = max(0, depth - 1) if closes else depth + 1
    _check_attributes(html, end, len(html))
    html = "".join(flat) + html[kept:] if flat else html
    if choices > _MOST_CHOICES:
        html = _CHOICES.sub(lambda found: f"<{found[1]}{'div' if found[2].lower() == 'select' else 'dd'}", html)
    return html


def _check_attributes(html: str, start: int, stop: int) -> None:
    """Refuse an element whose attributes begin at `start` if there are too many of them."""
    if stop - start <= _LONG_TAG:
        return
    tag_end = html.find(">", start, stop)
    attributes = html[start : tag_end if tag_end >= 0 else stop]
    if len(_QUOTED.sub("", attributes).split()) > _MOST_ATTRIBUTES:
        found = Message.of(
            "readers.attributes",
            "an element with more than {count:,} attributes",
            expected="a page",
            do="Save its text instead",
            count=_MOST_ATTRIBUTES,
        )
        raise Unreadable("damaged", found)


class _Walk:
    """Collects the text below a node in document order; iterative, so that deep nesting cannot exhaust the stack."""

    def __init__(self, *, inside: bool) -> None:
        self._parts: list[str] = []
        self._kept_breaks = 0  # how many <pre> we are in
        self._tables = PageTables(self._parts)
        self._lists = Lists()
        self._inside = inside  # of a frame

    def text(self, root: "LexborNode") -> str:
        """Return the text of a node."""
        stack: list[tuple[LexborNode | None, str]] = [(root, "")]
        while stack:
            node, tag = stack.pop()
            if node is None:
                self._close(tag)
                continue
            tag = node.tag or ""
            if tag == "-text":
                text = node.text_content or ""
                self._parts.append(text if self._kept_breaks else _WHITE.sub(" ", text))
                continue
            self._open(node, tag)
            children: list[LexborNode] = []
            child = node.first_child if tag != "iframe" else None
            while child is not None:
                children.append(child)
                child = child.next
            stack.append((None, tag))
            stack.extend((one, "") for one in reversed(children))
        return "".join(self._parts)

    def _open(self, node: "LexborNode", tag: str) -> None:
        if tag in _TABLE_TAGS and self._tables.opened(tag, node):
            return
        self._parts.append(_around(tag)[0])
        if tag == "pre":
            self._kept_breaks += 1
        elif tag in _LIST_TAGS:
            self._parts.append(self._lists.opened(tag, node))
        elif tag in _VALUED:
            self._parts.append(shown_values(node, tag))
        elif tag == "iframe" and not self._inside:
            self._parts.append(_Page(node.attributes.get("srcdoc") or "", inside=True).text)
        elif tag == "template" and not self._inside:  # of a component; its content is no child of it
            content = (node.html or "").partition(">")[2].rpartition("</")[0]
            self._parts.append(_Page(content, inside=True).text)

    def _close(self, tag: str) -> None:
        if tag in _TABLE_TAGS and self._tables.closed(tag):
            return
        if tag == "pre":
            self._kept_breaks -= 1
        elif tag in _LIST_TAGS:
            self._lists.closed(tag)
        self._parts.append(_around(tag)[1])


def _around(tag: str) -> tuple[str, str]:
    """Return what stands before and after an element."""
    if tag in _BLOCKS:
        return "\n\n", "\n\n"
    if tag in _HEADINGS:
        return f"\n\n{'#' * int(tag[1])} ", "\n\n"
    return _MARKS.get(tag, ("", ""))
