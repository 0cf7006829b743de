"""PDF, EPUB and Outlook mail. Runs in the worker process."""

import posixpath
import zipfile
from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

from indexer.readers.base import Extract, Reading, Unreadable, first_heading, stem
from indexer.readers.markup import html_text
from indexer.textcode import decode


def read_pdf(path: Path) -> Reading:
    """Read the text layer, page by page; a scan has none and is refused."""
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(path)
    except pdfium.PdfiumError as err:
        if "password" in str(err).lower():
            raise Unreadable("encrypted", "it needs a password; expected an open PDF. Save it without one") from err
        raise Unreadable("damaged", f"not a readable PDF ({err}); expected a whole file. Copy it again") from err
    pages: list[str] = []
    try:
        for number in range(len(document)):
            page = document[number]
            text_page = page.get_textpage()
            pages.append(text_page.get_text_range().replace("\r\n", "\n").replace("\ufffe", "").replace("\x02", "-"))
            text_page.close()
            page.close()
        title = str(document.get_metadata_value("Title") or "").strip()
    except pdfium.PdfiumError as err:
        raise Unreadable("damaged", f"page {len(pages) + 1} cannot be read ({err}); copy the file again") from err
    finally:
        document.close()
    if not any(page.strip() for page in pages):
        raise Unreadable(
            "no text", f"{len(pages)} pages without a text layer (a scan?); run text recognition (OCR) first"
        )
    return Reading((Extract("\n\f\n".join(pages), title or stem(path), {"pages": str(len(pages))}),))


def read_epub(path: Path) -> Reading:
    """Read the chapters of a book in reading order."""
    with zipfile.ZipFile(path) as archive:
        try:
            container = _elements(archive.read("META-INF/container.xml"))
            package_path = next(attributes["full-path"] for name, attributes, _ in container if name == "rootfile")
            package = _elements(archive.read(package_path))
        except (KeyError, StopIteration, expat.ExpatError, RuntimeError, zipfile.BadZipFile) as err:
            raise Unreadable(
                "damaged", f"not a readable EPUB ({err}); expected container and package. Copy it again"
            ) from err
        files = {
            attributes.get("id", ""): attributes.get("href", "") for name, attributes, _ in package if name == "item"
        }
        spine = [attributes.get("idref", "") for name, attributes, _ in package if name == "itemref"]
        facts = {
            name: text
            for name, _, text in reversed(package)
            if name in ("title", "creator", "language", "description") and text
        }
        base = posixpath.dirname(package_path)
        chapters: list[str] = [facts["description"]] if "description" in facts else []
        for entry in spine:
            name = posixpath.normpath(posixpath.join(base, unquote(files.get(entry, ""))))
            try:
                chapters.append(html_text(decode(archive.read(name)).text)[1])
            except (KeyError, RuntimeError, zipfile.BadZipFile):
                continue  # a chapter that the archive lacks; what is there is read
    meta = {key: facts[key] for key in ("creator", "language") if key in facts}
    text = "\n\n".join(chapter for chapter in chapters if chapter)
    return Reading((Extract(text, facts.get("title", "") or first_heading(text) or stem(path), meta),))


def _elements(content: bytes) -> list[tuple[str, dict[str, str], str]]:
    """Return (local name, attributes, text) of all elements; entity declarations are refused."""
    found: list[tuple[str, dict[str, str], str]] = []
    texts: list[list[str]] = []

    def refuse(*_: object) -> None:
        raise Unreadable("archive bomb", "it declares XML entities, which can expand without end; expected plain XML")

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
        raise Unreadable("missing extra", "Outlook mail needs `pip install 'quarry-search[mail]'`") from err
    try:
        message = Message.load(str(path))
        people = ", ".join(f"{person.name} <{person.email_address}>" for person in message.recipients)
        body = message.body or (html_text(message.html_body)[1] if message.html_body else "")
        named = {prop.name: prop.value for prop in message.properties if hasattr(prop, "name")}
        sender = (
            f"{named.get('PidTagSenderName') or ''} <{named.get('PidTagSenderEmailAddress') or message.sender or ''}>"
        )
        lines = [f"# {message.subject or ''}", f"From: {sender.strip()}", f"To: {people}", "", body]
    except (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError) as err:
        raise Unreadable(
            "damaged", f"not a readable Outlook mail ({type(err).__name__}: {err}); save it again"
        ) from err
    return Reading((Extract("\n".join(lines).replace("\r\n", "\n"), message.subject or stem(path), {}),))
