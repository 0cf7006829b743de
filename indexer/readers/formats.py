"""Which reader a file gets: by its first bytes where they tell, by its name otherwise."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from quarry.indexer.messages import Message
from quarry.indexer.readers.archive import ZIP_ERRORS, broken_archive, check_archive
from quarry.indexer.readers.base import Reading, ReadOptions, Unreadable, needs_password
from quarry.indexer.readers.markup import read_html, read_xml
from quarry.indexer.readers.plain import read_markdown, read_table, read_text
from quarry.indexer.readers.rows import read_json, read_jsonl
from quarry.indexer.readers.sandbox import Sandbox

TextReader = Callable[[Path, bytes, ReadOptions], Reading]

TEXT_READERS: dict[str, TextReader] = {
    "txt": read_text, "markdown": read_markdown, "csv": read_table, "tsv": read_table, "html": read_html,
    "xml": read_xml, "json": read_json, "jsonl": read_jsonl,
}  # fmt: skip  # a table
_ENDINGS = {
    "txt": "txt", "text": "txt", "log": "txt", "rst": "txt", "org": "txt", "tex": "txt", "srt": "txt", "": "txt",
    "md": "markdown", "markdown": "markdown", "mdx": "markdown", "csv": "csv", "tsv": "tsv", "tab": "tsv",
    "html": "html", "htm": "html", "xhtml": "html", "xml": "xml", "rss": "xml", "atom": "xml",
    "json": "json", "jsonl": "jsonl", "ndjson": "jsonl",
    "pdf": "pdf", "docx": "docx", "docm": "docx", "pptx": "pptx", "pptm": "pptx", "xlsx": "xlsx", "xlsm": "xlsx",
    "xls": "xls", "epub": "epub", "msg": "msg",
}  # fmt: skip  # a table
_ZIPPED = frozenset({"docx", "pptx", "xlsx", "epub"})
_BINARY = _ZIPPED | {"pdf", "xls", "msg"}
_MEMBERS = (
    ("word/document.xml", "docx"), ("ppt/presentation.xml", "pptx"), ("xl/workbook.xml", "xlsx"),
    ("META-INF/container.xml", "epub"),
)  # fmt: skip  # a table
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_SMALL = 1 << 16  # bytes of a text file that is read here, not in the sandbox: its size is limit enough


def format_of(path: Path, content: bytes) -> str:
    """Return the format of a file: what its content says, and where that says nothing, its name.

    Args:
        path: Its name; a `.gz` at the end is looked through.
        content: Its bytes, unpacked.

    Raises:
        Unreadable: If it is no format that can be read, or its content contradicts its name beyond repair.
    """
    name = path.name.removesuffix(".gz")
    ending = name.rpartition(".")[2].lower() if "." in name else ""
    named = _ENDINGS.get(ending)
    if b"%PDF-" in content[:1024] and named not in TEXT_READERS:
        return "pdf"
    if content.startswith(b"%PDF-"):
        return "pdf"
    if content.startswith(b"PK\x03\x04"):
        return _zip_format(content, named)
    if content.startswith(_OLE):
        return _ole_format(content, named)
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if (named is None or named in _BINARY) and start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if named is None:
        found = Message.of(
            "readers.unknown_ending",
            "files ending in {ending} cannot be read",
            do="Convert it to txt, md, html, pdf, docx, pptx, xlsx, epub, csv or json",
            ending=ascii("." + ending[:20]),
        )
        raise Unreadable("unsupported format", found)
    if named in _BINARY:
        found = Message.of(
            "readers.other_content",
            "the content is not {format}",
            expected="the format that its name says",
            do="Copy the file again",
            format=named,
        )
        raise Unreadable("damaged", found)
    return named


def _zip_format(content: bytes, named: str | None) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
    except ZIP_ERRORS as err:
        if named in TEXT_READERS:
            return named
        raise Unreadable("damaged", broken_archive(err)) from err
    for member, kind in _MEMBERS:
        if member in names:
            return kind
    if named in _ZIPPED:
        return named
    found = Message.of("readers.archive", "archives are not read", do="Unpack it and index the folder")
    raise Unreadable("unsupported format", found)


def _ole_format(content: bytes, named: str | None) -> str:
    """Tell old Office files, mails and encrypted new Office files apart by the names of their streams."""
    old_word = _stream("WordDocument") in content or _stream("PowerPoint Document") in content
    is_book = _stream("Workbook") in content or _stream("Book") in content
    if _stream("EncryptedPackage") in content or (named in _ZIPPED and not old_word and not is_book):
        raise Unreadable("encrypted", needs_password())
    if _stream("__properties_version1.0") in content:
        return "msg"
    if is_book:
        return "xls"
    found = Message.of(
        "readers.old_office", "an Office file of the old binary format", do="Save it as docx, pptx, xlsx or pdf"
    )
    raise Unreadable("unsupported format", found)


def _stream(name: str) -> bytes:
    return name.encode("utf-16-le")


def read_content(path: Path, kind: str, content: bytes, options: ReadOptions, sandbox: Sandbox) -> Reading:
    """Read a file of a known format.

    Args:
        path: Where it is; parsers in the sandbox read it from there.
        kind: What `format_of` said.
        content: Its bytes, unpacked.
        options: Limits.
        sandbox: The parser process.

    Raises:
        Unreadable: With the reason.
    """
    if kind in TEXT_READERS:
        return (
            TEXT_READERS[kind](path, content, options) if len(content) <= _SMALL else sandbox.read(kind, path, content)
        )
    if path.stat().st_size != len(content):
        found = Message.of(
            "readers.packed",
            "a packed {format} file",
            expected="a text format inside of .gz",
            do="Unpack it",
            format=kind,
        )
        raise Unreadable("unsupported format", found)
    if kind in _ZIPPED:
        check_archive(path, kind, options)
    return sandbox.read(kind, path)
