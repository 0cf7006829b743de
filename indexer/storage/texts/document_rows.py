"""A document and its passages as rows of the tables, written and listed."""

import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from json import dumps
from typing import Any, NamedTuple

from quarry.indexer.language import language_of
from quarry.indexer.metadata import facts
from quarry.indexer.records import Chunk, Document, passage_text
from quarry.indexer.storage.texts.chunk_schema import document_languages, name_digest
from quarry.indexer.storage.texts.packing import packed, packed_digest
from quarry.indexer.storage.vectors.blob_cache import passage_digest

_CUT_FROM = 10_000  # characters of a document: of a longer one, passages are stored as well, since reading one would unpack all of it


class DocumentRow(NamedTuple):
    """A document in a list, without its text.

    Attributes:
        doc_id: Its id.
        file: The file that it came from, as `SourceFile.path`.
        title: Empty when it has none.
        meta: Its metadata.
        characters: Length of its text.
        passages: How many it was cut into.
    """

    doc_id: str
    file: str
    title: str
    meta: dict[str, Any]
    characters: int
    passages: int


class PassageRow(NamedTuple):
    """A chunk as the encoder and the lexical index want it."""

    chunk_id: str
    passage: str
    digest: bytes


def document_sha256(document: Document) -> str:
    """Version of a document: digest of its title, text and metadata."""
    content = dumps([document.title, document.text, dict(document.meta)], ensure_ascii=False, sort_keys=True)
    return sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def insert_document(
    db: sqlite3.Connection,
    schema: str,
    file: str,
    document: Document,
    chunks: Sequence[Chunk],
) -> None:
    """Write a document with its chunks into the tables of a schema.

    Args:
        db: The database.
        schema: Which of the attached ones; `main` without any.
        file: Which the document came from.
        document: The document; its id is not there yet.
        chunks: Its passages.
    """
    meta = dict(document.meta)
    version = packed_digest(document_sha256(document))
    row = (document.doc_id, file, document.title, packed(document.text), dumps(meta, ensure_ascii=False), version)
    db.execute(f"INSERT INTO {schema}.documents VALUES (?, ?, ?, ?, ?, ?)", row)  # noqa: S608 (a name of ours)
    insert_meta(db, schema, document)
    db.executemany(
        f'INSERT INTO {schema}.chunks (chunk_id, doc_id, start, "end", heading, text, digest, lang, name) '  # noqa: S608 (a name of ours)
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                chunk.chunk_id,
                chunk.doc_id,
                chunk.start,
                chunk.end,
                chunk.heading,
                _own_text(document, chunk),
                passage_digest(passage_text(document.title, chunk.heading, chunk.text)),
                language_of(chunk.text),
                name_digest(document.title, chunk.heading),
            )
            for chunk in chunks
        ],
    )


def insert_meta(db: sqlite3.Connection, schema: str, document: Document) -> None:
    """Write what a document is filtered by."""
    meta = dict(document.meta)
    rows = [(document.doc_id, key, value) for key, value in facts(meta)]
    languages = document_languages(document.text, str(meta.get("lang", "")))
    rows += [(document.doc_id, "lang", name) for name in languages]
    db.executemany(f"INSERT OR IGNORE INTO {schema}.meta VALUES (?, ?, ?)", rows)  # noqa: S608 (a name of ours)


def _own_text(document: Document, chunk: Chunk) -> str | bytes | None:
    """Return what is stored of a passage's text: nothing where the document has it."""
    if len(document.text) <= _CUT_FROM and chunk.text == document.text[chunk.start : chunk.end]:
        return None
    return packed(chunk.text)
