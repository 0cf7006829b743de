"""Which reader a file gets: by its first bytes where they tell, by its name otherwise."""

import zipfile
from collections.abc import Callable
from pathlib import Path

from indexer.readers.archive import check_archive
from indexer.readers.base import Reading, ReadOptions, Unreadable
from indexer.readers.markup import read_html, read_xml
from indexer.readers.plain import read_markdown, read_table, read_text
from indexer.readers.rows import read_json, read_jsonl
from indexer.readers.sandbox import Sandbox

TextReader = Callable[[Path, bytes, ReadOptions], Reading]

_TEXT_READERS: dict[str, TextReader] = {
    "txt": read_text, "markdown": read_markdown, "csv": read_table, "tsv": read_table, "html": read_html, "xml": read_xml,
    "json": read_json, "jsonl": read_jsonl,
}  # fmt: skip
_ENDINGS = {
    "txt": "txt", "text": "txt", "log": "txt", "rst": "txt", "org": "txt", "tex": "txt", "srt": "txt", "": "txt",
    "md": "markdown", "markdown": "markdown", "mdx": "markdown", "csv": "csv", "tsv": "tsv", "tab": "tsv",
    "html": "html", "htm": "html", "xhtml": "html", "xml": "xml", "rss": "xml", "atom": "xml",
    "json": "json", "jsonl": "jsonl", "ndjson": "jsonl",
    "pdf": "pdf", "docx": "docx", "docm": "docx", "pptx": "pptx", "pptm": "pptx", "xlsx": "xlsx", "xlsm": "xlsx",
    "xls": "xls", "epub": "epub", "msg": "msg",
}  # fmt: skip
_ZIPPED = frozenset({"docx", "pptx", "xlsx", "epub"})
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_CONVERT = "convert it to txt, md, html, pdf, docx, pptx, xlsx, epub, csv or json"


def format_of(path: Path, head: bytes) -> str:
    """Return the format of a file.

    Args:
        path: Its name; a `.gz` at the end is looked through.
        head: Its first bytes, unpacked.

    Raises:
        Unreadable: If it is no format that can be read, or its content contradicts its name beyond repair.
    """
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower() if "." in path.name.removesuffix(".gz") else ""
    named = _ENDINGS.get(ending)
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return named if named in _ZIPPED else _zip_format(path)
    if head.startswith(_OLE):
        return _ole_format(named)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if named in (None, "pdf", "txt", *_ZIPPED) and start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if named is None:
        raise Unreadable("unsupported format", f"files ending in .{ending} cannot be read; {_CONVERT}")
    if named in _ZIPPED or named in ("pdf", "xls", "msg"):
        raise Unreadable("damaged", f"the content is no {named}; expected what its name says. Copy the file again")
    return named


def _zip_format(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError) as err:
        raise Unreadable("damaged", f"not a readable archive ({err}); copy the file again") from err
    for member, kind in (("word/document.xml", "docx"), ("ppt/presentation.xml", "pptx"), ("xl/workbook.xml", "xlsx"),
                         ("META-INF/container.xml", "epub")):  # fmt: skip
        if member in names:
            return kind
    raise Unreadable("unsupported format", "archives are not read; unpack it and index the folder")


def _ole_format(named: str | None) -> str:
    if named in ("docx", "pptx", "xlsx"):
        raise Unreadable("encrypted", "it is protected by a password; expected an open file. Save it without one")
    if named in ("xls", "msg"):
        return named
    raise Unreadable("unsupported format", f"an old Office file; {_CONVERT}")


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
    if kind in _TEXT_READERS:
        return _TEXT_READERS[kind](path, content, options)
    if kind in _ZIPPED:
        check_archive(path, options)
    return sandbox.read(kind, path)
