"""EPUB and Outlook mail. Runs in the worker process."""

import posixpath
import zipfile
from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

from quarry.indexer.readers.base import (
    Extract,
    Reading,
    Unreadable,
    damaged_file,
    declares_entities,
    first_heading,
    missing_extra,
    stem,
)
from quarry.indexer.readers.charset import declared_charset, decode
from quarry.indexer.readers.text.markup import html_text

_TOLD = frozenset({"title", "creator", "language", "description"})


def read_epub(path: Path) -> Reading:
    """Read the chapters of a book in reading order.

    Raises:
        Unreadable: `damaged` when the container or the package cannot be read.
    """
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
    """Read an Outlook mail: subject, people and body; needs the extra `mail`.

    Raises:
        Unreadable: `missing extra` without it, `damaged` when the mail cannot be read.
    """
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
