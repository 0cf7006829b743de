"""The texts of one generation: files, documents, chunks and metadata, in one SQLite file.

Texts are stored only here, vectors only in the vector store, terms only in the lexical index. While a generation is being
built, one process writes the table; afterwards it is opened read-only and immutable, from any thread.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any, NamedTuple, Self

from quarry.indexer.corpus.walk import SourceFile
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.language import language_of
from quarry.indexer.metadata import facts
from quarry.indexer.readers.left_out import counts_of
from quarry.indexer.records import Chunk, Document, name_text, passage_text
from quarry.indexer.storage.texts.chunk_schema import (
    create_tables,
    document_languages,
    has_languages,
    name_digest,
    prepare_copy,
)
from quarry.indexer.storage.texts.conditions import condition_of
from quarry.indexer.storage.texts.contents import refuse_programs, uri_of
from quarry.indexer.storage.texts.matching import matching_documents
from quarry.indexer.storage.texts.packing import packed, read_meta, torn_text, unpacked
from quarry.indexer.storage.vectors.blob_cache import passage_digest

_SQL_VARIABLES = 500
_CUT_FROM = 10_000  # characters of a document: of a longer one, passages are stored as well, since reading one would unpack all of it
_CHUNK = 'chunk_id, doc_id, text, start, "end", heading'


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
    terms: Sequence[Sequence[str]],
) -> None:
    """Write a document with its chunks into the tables of a schema.

    Args:
        db: The database.
        schema: Which of the attached ones; `main` without any.
        file: Which the document came from.
        document: The document; its id is not there yet.
        chunks: Its passages.
        terms: The terms of each.
    """
    meta = dict(document.meta)
    row = (document.doc_id, file, document.title, packed(document.text), dumps(meta, ensure_ascii=False))
    db.execute(f"INSERT INTO {schema}.documents VALUES (?, ?, ?, ?, ?, ?)", (*row, document_sha256(document)))  # noqa: S608 (a name of ours)
    rows = [(document.doc_id, key, value) for key, value in facts(meta)]
    languages = document_languages(document.text, str(meta.get("lang", "")))
    rows += [(document.doc_id, "lang", name) for name in languages]
    db.executemany(f"INSERT INTO {schema}.meta VALUES (?, ?, ?)", rows)  # noqa: S608 (a name of ours)
    db.executemany(
        f'INSERT INTO {schema}.chunks (chunk_id, doc_id, start, "end", heading, text, digest, terms, lang, name) '  # noqa: S608 (a name of ours)
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                chunk.chunk_id,
                chunk.doc_id,
                chunk.start,
                chunk.end,
                chunk.heading,
                _own_text(document, chunk),
                passage_digest(passage_text(document.title, chunk.heading, chunk.text)),
                packed(" ".join(words)),
                language_of(chunk.text),
                name_digest(document.title, chunk.heading),
            )
            for chunk, words in zip(chunks, terms, strict=True)
        ],
    )


def _own_text(document: Document, chunk: Chunk) -> str | bytes | None:
    """Return what is stored of a passage's text: nothing where the document has it."""
    if len(document.text) <= _CUT_FROM and chunk.text == document.text[chunk.start : chunk.end]:
        return None
    return packed(chunk.text)


def _cut(text: str, start: object, end: object) -> str:
    if not isinstance(start, int) or not isinstance(end, int):
        raise torn_text(f"a passage from {str(start)[:40]!r} to {str(end)[:40]!r}")
    return text[start:end]


class ChunkTable:
    """Files, documents and chunks of one generation."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make an empty table for writing."""
        db = sqlite3.connect(path, isolation_level=None)
        create_tables(db)
        return cls(db, path)

    @classmethod
    def copy(cls, source: "ChunkTable", path: Path) -> Self:
        """Make a table for writing that starts with the content of another, perhaps older one."""
        db = sqlite3.connect(path, isolation_level=None)
        source._db.backup(db)
        prepare_copy(db)
        return cls(db, path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a finished table, read-only, usable from any thread.

        Raises:
            IndexFormatError: If the file is missing or is not such a table.
        """
        try:
            db = sqlite3.connect(uri_of(path, immutable=True), uri=True, isolation_level=None, check_same_thread=False)
            refuse_programs(db, "main")
            db.execute("SELECT number, terms FROM chunks LIMIT 1").fetchone()
        except sqlite3.DatabaseError as err:
            raise IndexFormatError(
                "storage.not_a_table",
                "{path} is not a chunk table ({error})",
                do="Index again, or roll back with `quarry generations INDEX --rollback`",
                path=path,
                error=str(err),
            ) from err
        return cls(db, path)

    def begin(self) -> None:
        """Start a transaction: everything until `commit` is one step."""
        self._db.execute("BEGIN")

    def commit(self) -> None:
        """End the transaction."""
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # Roots and files

    def roots(self) -> dict[str, str]:
        """Return the folders that the index keeps in step with, by prefix."""
        return dict(self._db.execute("SELECT prefix, path FROM roots ORDER BY prefix"))

    def put_root(self, prefix: str, path: str) -> None:
        """Remember a root."""
        self._db.execute("INSERT OR REPLACE INTO roots VALUES (?, ?)", (prefix, path))

    def remove_root(self, prefix: str) -> None:
        """Forget a root; its files and documents stay."""
        self._db.execute("DELETE FROM roots WHERE prefix = ?", (prefix,))

    def root_counts(self) -> dict[str, tuple[int, int]]:
        """Return prefix -> numbers of files and of documents."""
        sql = """SELECT f.root, count(DISTINCT f.path), count(d.doc_id) FROM files f LEFT JOIN documents d ON d.file = f.path
                 GROUP BY f.root"""
        return {root: (files, documents) for root, files, documents in self._db.execute(sql)}

    def file(self, path: str) -> SourceFile | None:
        """Return what the last run recorded about a file."""
        columns = "path, root, size, mtime_ns, sha256, coalesce(readers, 0)"
        row = self._db.execute(f"SELECT {columns} FROM files WHERE path = ?", (path,)).fetchone()  # noqa: S608 (fixed names)
        return SourceFile(*row) if row else None

    def put_file(self, file: SourceFile) -> None:
        """Record a file as read."""
        row = (file.path, file.root, file.size, file.mtime_ns, file.sha256, file.readers)
        self._db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", row)

    def forget_version(self, path: str) -> None:
        """Make the next run read a file again, although it has not changed; its documents stay."""
        self._db.execute("UPDATE files SET size = -1, mtime_ns = 0, sha256 = '' WHERE path = ?", (path,))

    def files_of(self, root: str) -> list[str]:
        """Return the paths of the files of one root."""
        return [row[0] for row in self._db.execute("SELECT path FROM files WHERE root = ? ORDER BY path", (root,))]

    def documents_of(self, file: str) -> dict[str, str]:
        """Return doc_id -> version digest of the documents that came from one file."""
        return dict(self._db.execute("SELECT doc_id, sha256 FROM documents WHERE file = ?", (file,)))

    def remove_file(self, path: str) -> int:
        """Forget a file and its documents; return how many documents it had."""
        documents = list(self.documents_of(path))
        self.remove_documents(documents)
        self._db.execute("DELETE FROM files WHERE path = ?", (path,))
        return len(documents)

    # Documents and chunks

    def put_document(
        self, file: str, document: Document, chunks: Sequence[Chunk], terms: Sequence[Sequence[str]]
    ) -> None:
        """Add a document with its chunks, replacing all of an older version."""
        self.remove_documents([document.doc_id])
        insert_document(self._db, "main", file, document, chunks, terms)

    def remove_documents(self, doc_ids: Iterable[str]) -> None:
        """Remove documents with their chunks and metadata; unknown ids are fine."""
        keys = [(doc_id,) for doc_id in doc_ids]
        for table in ("documents", "chunks", "meta"):
            self._db.executemany(f"DELETE FROM {table} WHERE doc_id = ?", keys)  # noqa: S608 (fixed names)

    def owner(self, doc_id: str) -> str | None:
        """Return the file that a document came from, None when there is no such document."""
        row = self._db.execute("SELECT file FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        return row[0] if row else None

    def set_owner(self, doc_id: str, file: str) -> None:
        """Record another file as the one that a document came from."""
        self._db.execute("UPDATE documents SET file = ? WHERE doc_id = ?", (file, doc_id))

    def doc_ids(self) -> list[str]:
        """Return the ids of all documents, in order, without loading their texts."""
        return [row[0] for row in self._db.execute("SELECT doc_id FROM documents ORDER BY doc_id")]

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and of chunks."""
        documents = self._db.execute("SELECT count(*) FROM documents").fetchone()[0]
        return documents, self._db.execute("SELECT count(*) FROM chunks").fetchone()[0]

    def corpus_sha256(self) -> str:
        """Return a digest of all document ids and versions; the order of indexing does not change it."""
        digest = sha256()
        for doc_id, version in self._db.execute("SELECT doc_id, sha256 FROM documents ORDER BY doc_id"):
            digest.update(f"{doc_id}\0{version}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def passages(self) -> Iterator[PassageRow]:
        """Yield every chunk with the text to embed, ordered by chunk id."""
        sql = """SELECT c.chunk_id, c.doc_id, c.text, c.start, c."end", c.heading, d.title, c.digest
                 FROM chunks c JOIN documents d USING (doc_id) ORDER BY c.chunk_id"""
        rows = self._db.execute(sql)
        while part := rows.fetchmany(_SQL_VARIABLES):
            chunks = self._chunks_of(row[:6] for row in part)
            for chunk, (*_, title, digest) in zip(chunks, part, strict=True):
                yield PassageRow(chunk.chunk_id, passage_text(title, chunk.heading, chunk.text), digest)

    def digests(self) -> tuple[list[str], list[bytes]]:
        """Return all chunk ids and their passage digests, ordered by chunk id."""
        rows = self._db.execute("SELECT chunk_id, digest FROM chunks ORDER BY chunk_id").fetchall()
        return [row[0] for row in rows], [row[1] for row in rows]

    def digest_batches(self, size: int) -> Iterator[tuple[list[str], list[bytes]]]:
        """Yield all chunk ids and their passage digests, ordered by chunk id, so many at once."""
        rows = self._db.execute("SELECT chunk_id, digest FROM chunks ORDER BY chunk_id")
        while part := rows.fetchmany(size):
            yield [row[0] for row in part], [row[1] for row in part]

    def chunk_ids(self) -> Iterator[str]:
        """Yield all chunk ids, in order."""
        for (chunk_id,) in self._db.execute("SELECT chunk_id FROM chunks ORDER BY chunk_id"):
            yield chunk_id

    def lowest_digests(self, count: int, lang: str | None = None) -> list[str]:
        """Return the ids of the chunks with the lowest passage digests, at most so many; of one language when it is given."""
        where, values = ("", ()) if lang is None else ("WHERE lang = ?", (lang,))
        sql = f"SELECT chunk_id FROM chunks {where} ORDER BY digest, chunk_id LIMIT ?"  # noqa: S608 (fixed texts)
        return [row[0] for row in self._db.execute(sql, (*values, count))]

    def repeated(self) -> list[str]:
        """Return ids of documents that are there more than once; in one table there are none."""
        return []

    def some_digests(self, count: int) -> list[bytes]:
        """Return the passage digests of the oldest and of the newest chunks, so many of each."""
        oldest = self._db.execute("SELECT digest FROM chunks ORDER BY number LIMIT ?", (count,))
        newest = self._db.execute("SELECT digest FROM chunks ORDER BY number DESC LIMIT ?", (count,))
        return list({row[0] for row in [*oldest, *newest]})

    def digests_of(self, chunk_ids: Sequence[str]) -> list[bytes]:
        """Return the passage digests of some chunks, in order. Raises KeyError naming a missing id."""
        found = dict(self._select("SELECT chunk_id, digest FROM chunks WHERE chunk_id IN ", chunk_ids))
        return [found[chunk_id] for chunk_id in chunk_ids]

    def terms(self) -> Iterator[list[str]]:
        """Yield the analyzed terms of every chunk, ordered by chunk id."""
        for (stored,) in self._db.execute("SELECT terms FROM chunks ORDER BY chunk_id"):
            words = unpacked(stored)
            yield words.split(" ") if words else []

    def languages(self) -> dict[str, str]:
        """Return chunk id -> language (`zh`, `en`, `mixed`, `other`); empty for a table made before they were stored."""
        if not has_languages(self._db):
            return {}
        return dict(self._db.execute("SELECT chunk_id, lang FROM chunks ORDER BY chunk_id"))

    def languages_apart(self, names: Sequence[str]) -> dict[str, Collection[str]]:  # noqa: ARG002 (lakes need them)
        """Return the passages of each of some languages, where they are known without reading all; empty elsewhere."""
        return {}

    def language_counts(self) -> dict[str, int]:
        """Return how many passages of each language there are; empty for a table made before languages were stored."""
        if not has_languages(self._db):
            return {}
        return dict(self._db.execute("SELECT lang, count(*) FROM chunks GROUP BY lang"))

    def names(self) -> Iterator[tuple[bytes, str]]:
        """Yield digest and text of each distinct title with headings that passages stand under, ordered by digest."""
        sql = """SELECT c.name, d.title, c.heading FROM chunks c JOIN documents d USING (doc_id)
                 WHERE c.number IN (SELECT min(number) FROM chunks WHERE name IS NOT NULL GROUP BY name) ORDER BY c.name"""
        for digest, title, heading in self._db.execute(sql):
            yield digest, name_text(title, heading)

    def names_of(self, chunk_ids: Sequence[str]) -> dict[str, bytes]:
        """Return chunk id -> digest of its title with headings, for those that have one."""
        rows = self._select("SELECT chunk_id, name FROM chunks WHERE name IS NOT NULL AND chunk_id IN ", chunk_ids)
        return dict(rows)

    def named(self, digest: bytes, most: int) -> list[str]:
        """Return the first passages that stand under a title with headings, at most so many."""
        sql = "SELECT chunk_id FROM chunks WHERE name = ? ORDER BY number LIMIT ?"
        return [row[0] for row in self._db.execute(sql, (digest, most))]

    def named_each(self, digests: Sequence[bytes], most: int) -> dict[bytes, list[str]]:
        """Return the first passages that stand under each of some titles with headings, at most so many of each."""
        return {digest: self.named(digest, most) for digest in digests}

    # Reading for answers

    def chunks(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """Return chunks in order. Raises KeyError naming a missing id."""
        rows = self._select(f"SELECT {_CHUNK} FROM chunks WHERE chunk_id IN ", chunk_ids)  # noqa: S608 (fixed names)
        found = {chunk.chunk_id: chunk for chunk in self._chunks_of(rows)}
        return [found[chunk_id] for chunk_id in chunk_ids]

    def _chunks_of(self, rows: Iterable[tuple[Any, ...]]) -> list[Chunk]:
        """Make chunks of rows with the columns `_CHUNK`; texts that the documents have are cut out of them."""
        read = list(rows)
        cut = sorted({row[1] for row in read if row[2] is None})
        whole = dict(self._select("SELECT doc_id, text FROM documents WHERE doc_id IN ", cut))
        return [
            Chunk(
                chunk_id,
                doc_id,
                _cut(unpacked(whole[doc_id]), start, end) if own is None else unpacked(own),
                start,
                end,
                heading,
            )
            for chunk_id, doc_id, own, start, end, heading in read
        ]

    def texts(self, chunk_ids: Sequence[str]) -> list[str]:
        """Return passage texts (title, headings, text) in order. Raises KeyError naming a missing id."""
        chunks = self.chunks(chunk_ids)
        titles = self.titles([chunk.doc_id for chunk in chunks])
        return [passage_text(titles[chunk.doc_id], chunk.heading, chunk.text) for chunk in chunks]

    def titles(self, doc_ids: Sequence[str]) -> dict[str, str]:
        """Return doc_id -> title for those that exist."""
        return dict(self._select("SELECT doc_id, title FROM documents WHERE doc_id IN ", list(set(doc_ids))))

    def meta(self, doc_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return doc_id -> metadata for those that exist."""
        rows = self._select("SELECT doc_id, meta FROM documents WHERE doc_id IN ", list(set(doc_ids)))
        return {doc_id: read_meta(meta) for doc_id, meta in rows}

    def document(self, doc_id: str) -> Document:
        """Return a whole document. Raises KeyError naming a missing id."""
        row = self._db.execute("SELECT doc_id, text, title, meta FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        if row is None:
            raise KeyError(doc_id)
        return Document(row[0], unpacked(row[1]), row[2], read_meta(row[3]))

    def documents(self) -> Iterator[Document]:
        """Yield every document, ordered by id."""
        for row in self._db.execute("SELECT doc_id, text, title, meta FROM documents ORDER BY doc_id"):
            yield Document(row[0], unpacked(row[1]), row[2], read_meta(row[3]))

    def rows_of(self, doc_ids: Sequence[str]) -> list[DocumentRow]:
        """Return documents for a list, in the order of the ids; unknown ids are left out."""
        sql = """SELECT d.doc_id, d.file, d.title, d.meta, d.text,
                 (SELECT count(*) FROM chunks c WHERE c.doc_id = d.doc_id) FROM documents d WHERE d.doc_id IN """
        rows = self._select(sql, doc_ids)
        found = {
            doc_id: DocumentRow(doc_id, file, title or "", read_meta(meta), len(unpacked(text)), passages)
            for doc_id, file, title, meta, text, passages in rows
        }
        return [found[doc_id] for doc_id in doc_ids if doc_id in found]

    def passages_of(self, doc_id: str) -> list[Chunk]:
        """Return the passages that a document was cut into, in their order."""
        sql = f"SELECT {_CHUNK} FROM chunks WHERE doc_id = ? ORDER BY start, number"  # noqa: S608 (fixed names)
        return self._chunks_of(self._db.execute(sql, (doc_id,)))

    def page_at(self, doc_id: str, position: int) -> int | None:
        """Return the page (from 1) on which a character of a document lies, None when the document has no pages."""
        row = self._db.execute("SELECT text FROM documents WHERE doc_id = ?", (doc_id,)).fetchone()
        text = unpacked(row[0]) if row else ""
        return text.count("\f", 0, position) + 1 if "\f" in text else None

    def databases(self) -> list[Path]:
        """Return the files that the texts are in."""
        return [self.path]

    def left_out(self) -> dict[str, int]:
        """Return what readers left out of all documents, by kind, with how many."""
        counts: Counter[str] = Counter()
        sql = "SELECT value, count(*) FROM meta WHERE key = 'left_out' GROUP BY value"
        for value, documents in self._db.execute(sql):
            for kind, count in counts_of(value).items():
                counts[kind] += count * documents
        return dict(counts)

    def sources(self) -> list[str]:
        """Return the different values of the metadata `source`: the files that documents came from."""
        return [
            row[0] for row in self._db.execute("SELECT DISTINCT value FROM meta WHERE key = 'source' ORDER BY value")
        ]

    def of_source(self, source: str) -> list[str]:
        """Return the ids of the chunks whose documents came from a file, in order, at most 1,000."""
        documents = self._db.execute("SELECT doc_id FROM meta WHERE key = 'source' AND value = ?", (source,)).fetchall()
        rows = self._select("SELECT number, chunk_id FROM chunks WHERE doc_id IN ", [row[0] for row in documents])
        return [chunk_id for _, chunk_id in sorted(rows)[:1000]]

    def meta_values(self) -> dict[str, list[tuple[str, int]]]:
        """Return the metadata keys with their most frequent values and document counts, for filter menus."""
        sql = "SELECT key, value, count(*) AS n FROM meta GROUP BY key, value ORDER BY key, n DESC, value"
        out: dict[str, list[tuple[str, int]]] = {}
        for key, value, count in self._db.execute(sql):
            out.setdefault(key, []).append((value, count))
        return out

    def matching(self, filters: Mapping[str, Any]) -> frozenset[str]:
        """Return the ids of all chunks whose document meets the conditions on every key (`quarry.indexer.storage.texts.conditions`).

        A value with `*` is a pattern; `doc_id` and `title` count as keys. A key that no document has in this case matches one
        that differs in case only.

        Raises:
            UnknownFilter: If a key occurs in no document; the message names the known ones.
            BadFilter: If an operator is unknown, or a bound is compared with text.
        """
        documents: set[str] | None = None
        for key, wanted in filters.items():
            found = matching_documents(self._db, condition_of(key, wanted))
            documents = found if documents is None else documents & found
        if documents is None:
            return frozenset(row[0] for row in self._db.execute("SELECT chunk_id FROM chunks"))
        return frozenset(
            row[0] for row in self._select("SELECT chunk_id FROM chunks WHERE doc_id IN ", sorted(documents))
        )

    def documents_matching(self, filters: Mapping[str, Any]) -> list[str]:
        """Return the ids of all documents that match, in order. Raises as `matching` does."""
        chunk_ids = sorted(self.matching(filters))
        rows = self._select("SELECT doc_id FROM chunks WHERE chunk_id IN ", chunk_ids)
        return sorted({row[0] for row in rows})

    def _select(self, sql: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        for first in range(0, len(keys), _SQL_VARIABLES):
            part = keys[first : first + _SQL_VARIABLES]
            yield from self._db.execute(f"{sql} ({','.join('?' * len(part))})", list(part))
