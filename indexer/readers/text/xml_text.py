"""XML: the text of its elements, and the attributes that are for people; entity tricks are refused."""

import re
from dataclasses import dataclass, replace
from html import unescape
from pathlib import Path
from xml.parsers import expat

from quarry.indexer.readers.base import (
    Extract,
    Reading,
    ReadOptions,
    Unreadable,
    damaged_file,
    declares_entities,
    stem,
    text_meta,
)
from quarry.indexer.readers.charset import declared_charset, decode
from quarry.indexer.readers.text.markup import html_text

_WHITE = re.compile(r"\s+")
_ENTRIES = frozenset({"item", "entry"})
_INLINE = frozenset({
    "a", "abbr", "acronym", "b", "bold", "cite", "em", "emphasis", "foreign", "i", "italic", "literal", "mark", "ph", "phrase",
    "sc", "small", "span", "strong", "sub", "sup", "tspan", "tt", "u", "ulink", "uicontrol", "xref",
})  # fmt: skip  # a table
_TECHNICAL = frozenset({
    "class", "color", "encoding", "fill", "height", "href", "id", "idref", "key", "lang", "length", "ref", "refid", "rel", "space",
    "src", "standalone", "stroke", "style", "target", "transform", "type", "uid", "uri", "url", "uuid", "version", "viewbox", "width",
})  # fmt: skip  # a table: attributes for programs
_WORD = re.compile(r"[^\W\d_]{2}|[\u3400-\u9fff]")
_FOREIGN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # that XML cannot hold
_MARKUP = re.compile(r"<!\[CDATA\[|\]\]>|<[^<>]*>")
_ADDRESS = re.compile(r"\w+:/|[\w-]*[/#{]|[\w.]*\.\w+$")


@dataclass(slots=True)
class _Element:
    """An element that is open.

    Attributes:
        name: Without its prefix, in lower case.
        beside: Whether it stands amid the words of the element around it.
        begun: Whether it has had words of its own.
        ended: Whether an element amid its words has just ended.
    """

    name: str
    beside: bool
    begun: bool = False
    ended: bool = False


class _Feed:
    """Collects the text of XML elements, one a line; titles of a feed and of its entries become headings."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.title = ""
        self._buffer: list[str] = []
        self._open: list[_Element] = []
        self._entries = 0  # how many items or entries we are in
        self._gap = False  # whether white space came after the last words

    def text(self, text: str) -> None:
        """Take the text of the element at hand."""
        self._buffer.append(text)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the start of an element."""
        local = name.rpartition(":")[2].lower()
        before = self._flush()
        around = self._open[-1] if self._open else None
        beside = _goes_on(before, local) or (around is not None and around.ended and around.begun and local in _INLINE)
        self._open.append(_Element(local, beside))
        self._entries += local in _ENTRIES
        if attributes:
            self._told(attributes)

    def end(self, _name: str) -> None:
        """Take the end of an element."""
        self._flush()
        ended = self._open.pop()
        self._entries -= ended.name in _ENTRIES
        if self._open:
            self._open[-1].ended = ended.begun and (ended.beside or ended.name in _INLINE)

    def refuse(self, *_: object) -> None:
        """Refuse a declaration of entities. Raises Unreadable, always."""
        raise Unreadable("archive bomb", declares_entities())

    def _told(self, attributes: dict[str, str]) -> None:
        """Add the attributes that hold words: data are often kept in them."""
        for name, value in attributes.items():
            local = name.rpartition(":")[2].lower()
            technical = local in _TECHNICAL or name.startswith(("xmlns", "xsi:", "xml:"))
            if not technical and _WORD.search(value) and not _ADDRESS.match(value):
                self.lines.append(f"{local}: {_WHITE.sub(' ', value).strip()}")

    def _flush(self) -> str:
        """Write the text that has come, and return it; words amid which elements stand go on in one line."""
        whole = "".join(self._buffer)
        self._buffer.clear()
        if not whole or not self._open:
            return ""
        text = whole.strip()
        element = self._open[-1]
        if not text:
            element.ended = element.ended and ("\n" not in whole or element.begun)
            self._gap = True
            return ""
        if "<" in text and ">" in text:
            text = html_text(text)[1]
        elif element.name == "title":
            text = _WHITE.sub(" ", text)
            self.title = self.title or text
            text = f"{'##' if self._entries else '#'} {text}"
        elif "\n" in text:
            text = "\n".join(line.strip() for line in text.split("\n"))
        if self.lines and (element.ended or (element.beside and not element.begun)):
            self.lines[-1] += (" " if self._gap or whole[0].isspace() else "") + text
        else:
            self.lines.append(text)
        self._gap = whole[-1].isspace()
        element.begun, element.ended = True, False
        return whole


def _goes_on(before: str, name: str) -> bool:
    """Return whether an element that begins after a text stands amid its words."""
    if not before:
        return False
    if name in _INLINE:
        return True
    tail = before[len(before.rstrip()) :]
    return "\n" not in tail and (bool(tail) or not before[-1].isascii())


def read_xml(path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read XML (feeds and the like): the text of its elements, one a line.

    With characters in it that could not be read, it need not be well-formed.

    Raises:
        Unreadable: `archive bomb` when it declares entities, `damaged` when it is not well-formed.
    """
    decoded = decode(content, declared_charset(content), charset=options.charset)
    text, foreign = _FOREIGN.subn("\ufffd", decoded.text)
    decoded = replace(decoded, text=text, damaged=decoded.damaged + foreign)
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
        if not decoded.damaged:
            raise Unreadable("damaged", damaged_file("XML", err)) from err
        words = unescape(
            _MARKUP.sub("\n", decoded.text)
        )  # a broken byte took a bracket with it: the words are still there
        lines = (line.strip() for line in words.split("\n"))
        return Reading((Extract("\n".join(filter(None, lines)), feed.title or stem(path), text_meta(decoded)),))
    return Reading((Extract("\n\n".join(feed.lines), feed.title or stem(path), text_meta(decoded)),))
