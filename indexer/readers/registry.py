"""Which function reads which format; each is imported when its first file comes."""

from importlib import import_module
from pathlib import Path

from quarry.indexer.readers.base import Reading, ReadOptions

_READERS = "quarry.indexer.readers"
_FROM_BYTES = {
    "txt": "text.plain:read_text", "code": "text.plain:read_code", "markdown": "text.plain:read_markdown",
    "csv": "text.plain:read_table",
    "tsv": "text.plain:read_table",
    "html": "text.markup:read_html", "xml": "text.xml_text:read_xml", "json": "text.rows:read_json",
    "jsonl": "text.rows:read_jsonl", "rst": "text.light_markup:read_rst",
    "tex": "text.light_markup:read_tex", "org": "text.light_markup:read_org",
    "subtitles": "text.subtitles:read_subtitles", "notebook": "text.notebook:read_notebook", "rtf": "text.rtf:read_rtf",
    "eml": "mail:read_eml", "mhtml": "mail:read_eml", "mbox": "mail:read_mbox",
}  # fmt: skip  # a table
_FROM_PATH = {
    "pdf": "pdf:read_pdf", "epub": "books:read_epub", "msg": "books:read_msg", "docx": "office.word:read_docx",
    "pptx": "office.slides:read_pptx", "xlsx": "office.sheets:read_xlsx", "xls": "office.sheets:read_xls",
    "odt": "office.open_document:read_odf", "ods": "office.open_document:read_odf", "odp": "office.open_document:read_odf",
}  # fmt: skip  # a table

TEXT_KINDS = frozenset(_FROM_BYTES)
"""Formats that are read from their bytes; the others' libraries open the path."""

ZIPPED = frozenset({"docx", "pptx", "xlsx", "epub", "odt", "ods", "odp"})
"""Formats that are zip files, which are looked into before a library opens them."""

SANDBOXED_KINDS = frozenset({"rtf", "eml", "mhtml", "mbox", "notebook", *_FROM_PATH})
"""Formats that are never read in the caller's process, however small the file is."""


def read_here(kind: str, path: Path, content: bytes, options: ReadOptions) -> Reading:
    """Read a file in this process.

    Args:
        kind: What `format_of` said.
        path: Where it is, or its name alone for a kind of `TEXT_KINDS`.
        content: Its bytes, unpacked; empty for the other kinds.
        options: Limits and charset.

    Raises:
        Unreadable: With the reason.
    """
    module, _, name = (_FROM_BYTES.get(kind) or _FROM_PATH[kind]).partition(":")
    reader = getattr(import_module(f"{_READERS}.{module}"), name)
    if kind in _FROM_BYTES:
        reading: Reading = reader(path, content, options)
    else:
        reading = reader(path, options) if kind == "pdf" else reader(path)
    return reading
