"""PDF, EPUB and Outlook mail. Runs in the worker process."""

import posixpath
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import (
    Extract,
    Reading,
    Unreadable,
    damaged_file,
    declares_entities,
    first_heading,
    missing_extra,
    needs_password,
    stem,
)
from quarry.indexer.readers.charset import declared_charset, decode
from quarry.indexer.readers.markup import html_text

_TOLD = frozenset({"title", "creator", "language", "description"})
_WORD = re.compile(r"(?<![\ufffe\w])[^\W\d_]+(?![\ufffe\w])")
_DIVIDED = re.compile(r"(?<![\w-])([\d_-]*)([^\W\d_][\w-]*)\ufffe([^\W\d_]+)")


def read_pdf(path: Path) -> Reading:
    """Read the text layer, page by page; a scan has none and is refused."""
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as err:
        if "password" in str(err).lower():
            raise Unreadable("encrypted", needs_password()) from err
        raise Unreadable("damaged", damaged_file("PDF", err)) from err
    pages: list[str] = []
    try:
        if len(document) == 0:
            raise Unreadable("damaged", damaged_file("PDF", "no pages"))
        for page in document:
            text_page = page.get_textpage()
            text = text_page.get_text_range()
            pages.append(text.replace("\r\n", "\n").replace("\x02", "\ufffe").replace("\f", "\n"))
            text_page.close()
            page.close()
        title = str(document.get_metadata_value("Title") or "").strip()
    except pdfium.PdfiumError as err:
        raise Unreadable("damaged", damaged_file("PDF", f"page {len(pages) + 1}: {err}")) from err
    finally:
        document.close()
    if not any(page.strip() for page in pages):
        found = Message.of(
            "readers.scan",
            "{pages:page|pages} without a text layer (a scan?)",
            do="Run text recognition (OCR) first",
            pages=len(pages),
        )
        raise Unreadable("no text", found)
    text = _whole_words("\n\f\n".join(pages))
    return Reading((Extract(text, title or stem(path), {"pages": str(len(pages))}),))


def _whole_words(text: str) -> str:
    """Put words together that were divided at a line's end; pdfium writes U+FFFE for the hyphen and the break.

    The rest of the text shows whether the hyphen belongs to the word: not in `con-firming`, but in `chat-optimized`.
    """
    if "\ufffe" not in text:
        return text
    words = {word.lower() for word in _WORD.findall(text)}

    def whole(match: re.Match[str]) -> str:
        prefix, before, after = match.groups()
        joined, two = f"{before}{after}", f"{before}-{after}"
        if joined.lower() in words:
            return prefix + joined
        parts = "-" in before or (len(before) > 2 and len(after) > 2 and {before.lower(), after.lower()} <= words)
        return prefix + (two if parts or not after.islower() else joined)

    return _DIVIDED.sub(whole, text).replace("\ufffe", "-")


def read_epub(path: Path) -> Reading:
    """Read the chapters of a book in reading order."""
    with zipfile.ZipFile(path) as archive:
        try:
            container = _elements(archive.read("META-INF/container.xml"))
            package_path = next(attributes["full-path"] for name, attributes, _ in container if name == "rootfile")
            package = _elements(archive.read(package_path))
        except (KeyError, StopIteration, expat.ExpatError, RuntimeError, zipfile.BadZipFile) as err:
            raise Unreadable("damaged", damaged_file("EPUB", repr(err))) from err
        files = {facts.get("id", ""): facts.get("href", "") for name, facts, _ in package if name == "item"}
        spine = [facts.get("idref", "") for name, facts, _ in package if name == "itemref"]
        told = {name: text for name, _, text in reversed(package) if name in _TOLD and text}
        base = posixpath.dirname(package_path)
        chapters: list[str] = [told["description"]] if "description" in told else []
        for entry in dict.fromkeys(spine):
            name = posixpath.normpath(posixpath.join(base, unquote(files.get(entry, ""))))
            try:
                chapters.append(html_text(_html(archive.read(name)))[1])
            except (KeyError, RuntimeError, zipfile.BadZipFile):
                continue  # a chapter that the archive lacks; what is there is read
    meta: dict[str, str] = {key: told[key] for key in ("creator", "language") if key in told}
    text = "\n\n".join(chapter for chapter in chapters if chapter)
    return Reading((Extract(text, told.get("title", "") or first_heading(text) or stem(path), meta),))


def _html(content: bytes) -> str:
    return decode(content, declared_charset(content)).text


def _elements(content: bytes) -> list[tuple[str, dict[str, str], str]]:
    """Return (local name, attributes, text) of all elements; entity declarations are refused."""
    found: list[tuple[str, dict[str, str], str]] = []
    texts: list[list[str]] = []

    def refuse(*_: object) -> None:
        raise Unreadable("archive bomb", declares_entities())

    def start(name: str, attributes: dict[str, str]) -> None:
        found.append((name.rpartition(":")[2], attributes, ""))
        texts.append([])

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.CharacterDataHandler = lambda text: texts[-1].append(text) if texts else None
    parser.Parse(content, True)
    return [(name, attributes, "".join(text).strip()) for (name, attributes, _), text in zip(found, texts, strict=True)]


def read_msg(path: Path) -> Reading:
    """Read an Outlook mail: subject, people and body; needs the extra `mail`."""
    try:
        from oxmsg import Message
    except ImportError as err:
        raise Unreadable("missing extra", missing_extra("Outlook mail", "mail")) from err
    try:
        message = Message.load(str(path))
        recipients = [(person.name, person.email_address) for person in message.recipients]
        people = ", ".join(f"{name} <{address}>" for name, address in recipients if name or address)
        body = message.body or (html_text(message.html_body)[1] if message.html_body else "")
        named = {prop.name: prop.value for prop in message.properties if hasattr(prop, "name")}
        name, address = (str(named.get(key) or "") for key in ("PidTagSenderName", "PidTagSenderEmailAddress"))
        sender = f"{name} <{address or message.sender or ''}>"
        lines = [f"# {message.subject or ''}", f"From: {sender.strip()}", f"To: {people}", "", body]
    except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as err:
        raise Unreadable("damaged", damaged_file("Outlook mail", f"{type(err).__name__}: {err}")) from err
    return Reading((Extract("\n".join(lines).replace("\r\n", "\n"), message.subject or stem(path), {}),))
