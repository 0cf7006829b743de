"""The list of an index's documents, and one of them with its passages as they were cut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quarry.app.uploads import PREFIX as UPLOADED
from quarry.indexer.errors import QueryError
from quarry.indexer.language import language_of
from quarry.indexer.readers.left_out import counts_of
from quarry.indexer.readers.text.subtitles import time_at
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.document_rows import DocumentRow
from quarry.indexer.stores.parts import live_texts

_SAMPLE = 4_000  # characters that tell a document's language


class UnknownDocument(QueryError):
    """No document of the index has the id that was given."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A document in the list.

    Attributes:
        id: Its id.
        title: Its title, or its id.
        source: The file it came from, relative to what was indexed; empty for documents of programs.
        format: Such as `pdf`; empty for documents of programs.
        language: `zh`, `en`, `mixed` or `other`.
        bytes: Size of its file, None when it came from none.
        characters: Length of its text.
        passages: How many it was cut into.
        modified: Day of the file's last change, ISO; empty when unknown.
        left_out: What its reader left out, by kind.
        uploaded: Whether it was handed over in the app.
    """

    id: str
    title: str
    source: str
    format: str
    language: str
    bytes: int | None
    characters: int
    passages: int
    modified: str
    left_out: Mapping[str, int]
    uploaded: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list.

    Attributes:
        documents: Those of the page, ordered by id.
        total: How many there are on all pages.
        start: Number of the first, from 0.
    """

    documents: tuple[Listed, ...]
    total: int
    start: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a document.

    Attributes:
        id: Its id.
        start: First character in the document's text.
        end: One past the last.
        heading: The headings above it, ` > ` between them.
        text: As it stands in the document.
        page: From 1, None for formats without pages.
        time: When it is said, `H:MM:SS`, of subtitles; else empty.
    """

    id: str
    start: int
    end: int
    heading: str
    text: str
    page: int | None
    time: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A document with its metadata and passages."""

    document: Listed
    meta: Mapping[str, Any]
    passages: tuple[Passage, ...]


def list_documents(
    index: Path | ChunkTable,
    *,
    filters: Mapping[str, Any] | None = None,
    words: str = "",
    start: int = 0,
    count: int = 100,
) -> Listing:
    """Return a page of an index's documents, ordered by id.

    Args:
        index: The index folder, or its opened texts.
        filters: As those of a search.
        words: Part of an id or title, in any case of letters.
        start: Number of the first, from 0.
        count: Size of the page.

    Raises:
        IndexFormatError: If the folder is not an index, or is damaged.
        UnknownFilter: If a filter names metadata that no document has.

    Example:
        >>> from pathlib import Path
        >>> from quarry.app.documents.catalog import list_documents
        >>> listing = list_documents(Path("my-index"), count=2)
        >>> listing.total, [document.format for document in listing.documents]
        (4, ['markdown', 'html'])
    """
    with live_texts(index) as table:
        ids = _matching(table, filters, words)
        rows = table.rows_of(ids[start : start + count])
        return Listing(tuple(_listed(table, row) for row in rows), len(ids), start)


def _matching(table: ChunkTable, filters: Mapping[str, Any] | None, words: str) -> Sequence[str]:
    """Return the ids of the documents that meet conditions and have the words in their id or title. Raises as `list_documents`."""
    ids = table.documents_matching(filters) if filters else table.doc_ids()
    wanted = words.casefold().strip()
    if not wanted:
        return ids
    titles = table.titles(ids)
    return [doc_id for doc_id in ids if wanted in doc_id.casefold() or wanted in (titles.get(doc_id) or "").casefold()]


def show_document(index: Path | ChunkTable, doc_id: str) -> Shown:
    """Return a document of an index folder, or of its opened texts, with its passages.

    Raises:
        IndexFormatError: If the folder is not an index, or is damaged.
        UnknownDocument: If no document has the id.
    """
    with live_texts(index) as table:
        rows = table.rows_of([doc_id])
        if not rows:
            raise unknown_document(doc_id)
        meta = rows[0].meta
        text = table.document(doc_id).text
        paged = "\f" in text
        passages = [
            Passage(
                chunk.chunk_id,
                chunk.start,
                chunk.end,
                chunk.heading,
                chunk.text,
                text.count("\f", 0, chunk.start) + 1 if paged else None,
                time_at(str(meta.get("times", "")), chunk.start),
            )
            for chunk in table.passages_of(doc_id)
        ]
        return Shown(_listed(table, rows[0]), meta, tuple(passages))


def unknown_document(doc_id: str) -> UnknownDocument:
    """Return the error for an id that no document has."""
    return UnknownDocument(
        "app.unknown_document",
        "no document has the id {id}",
        expected="an id of the list",
        do="Run `quarry documents INDEX`",
        id=doc_id[:200],
    )


def _listed(table: ChunkTable, row: DocumentRow) -> Listed:
    file = table.file(row.file)
    from_file = file is not None and bool(file.root)
    uploaded = row.doc_id.startswith(f"{UPLOADED}/")
    meta = row.meta
    return Listed(
        row.doc_id,
        row.title or row.doc_id,
        str(meta.get("source", "")),
        str(meta.get("format", "")),
        _language(table, row),
        file.size if file is not None and from_file and file.size >= 0 else None,
        row.characters,
        row.passages,
        str(meta.get("modified", "")) or (_day(file.mtime_ns) if file is not None and from_file else ""),
        counts_of(str(meta.get("left_out", ""))),
        uploaded,
    )


def _language(table: ChunkTable, row: DocumentRow) -> str:
    declared = row.meta.get("lang")
    if isinstance(declared, str) and declared:
        return declared
    return str(language_of(table.document(row.doc_id).text[:_SAMPLE]))


def _day(mtime_ns: int) -> str:
    return datetime.fromtimestamp(mtime_ns / 1e9, UTC).date().isoformat() if mtime_ns > 0 else ""
