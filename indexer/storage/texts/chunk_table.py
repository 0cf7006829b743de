"""The texts of one generation: files, documents, chunks and metadata, in one SQLite file.

Texts are stored only here, vectors only in the vector store, terms only in the lexical index. While a generation is being
built, one process writes the table; afterwards it is opened read-only and immutable, from any thread.

    roots and files       file_table
    documents             document_table
    passages              passage_table
    rows as written       document_rows
"""

import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.records import Chunk, Document
from quarry.indexer.storage.texts.chunk_schema import create_tables, prepare_copy
from quarry.indexer.storage.texts.contents import create_views, refuse_programs, uri_of
from quarry.indexer.storage.texts.document_rows import insert_document
from quarry.indexer.storage.texts.document_table import DocumentTable
from quarry.indexer.storage.texts.file_table import FileTable
from quarry.indexer.storage.texts.finished import is_finished
from quarry.indexer.storage.texts.packing import unpacked_digest
from quarry.indexer.storage.texts.segment_texts import SegmentTexts


class ChunkTable(FileTable, DocumentTable):
    """Files, documents and chunks of one generation."""

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
            segment = SegmentTexts("main")
            if is_finished(db, "main"):
                segment = SegmentTexts.of(db, "main")
                create_views(db, [segment])
            db.execute("SELECT number, digest FROM chunks LIMIT 1").fetchone()
        except sqlite3.DatabaseError as err:
            raise IndexFormatError(
                "storage.not_a_table",
                "{path} is not a chunk table ({error})",
                do="Index again, or roll back with `quarry generations INDEX --rollback`",
                path=path,
                error=str(err),
            ) from err
        return cls(db, path, [segment])

    def begin(self) -> None:
        """Start a transaction: everything until `commit` is one step."""
        self._db.execute("BEGIN")

    def commit(self) -> None:
        """End the transaction."""
        self._db.execute("COMMIT")

    def remove_file(self, path: str) -> int:
        """Forget a file and its documents; return how many documents it had."""
        documents = list(self.documents_of(path))
        self.remove_documents(documents)
        self._db.execute("DELETE FROM files WHERE path = ?", (path,))
        return len(documents)

    def put_document(
        self, file: str, document: Document, chunks: Sequence[Chunk], terms: Sequence[Sequence[str]]
    ) -> None:
        """Add a document with its chunks, replacing all of an older version; a table by itself keeps no terms."""
        del terms
        self.remove_documents([document.doc_id])
        insert_document(self._db, "main", file, document, chunks)

    def remove_documents(self, doc_ids: Iterable[str]) -> None:
        """Remove documents with their chunks and metadata; unknown ids are fine."""
        keys = [(doc_id,) for doc_id in doc_ids]
        for table in ("documents", "chunks", "meta"):
            self._db.executemany(f"DELETE FROM {table} WHERE doc_id = ?", keys)  # noqa: S608 (fixed names)

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and of chunks."""
        documents = self._db.execute("SELECT count(*) FROM main.documents").fetchone()[0]
        return documents, self._db.execute("SELECT count(*) FROM main.chunks").fetchone()[0]

    def corpus_sha256(self) -> str:
        """Return a digest of all document ids and versions; the order of indexing does not change it."""
        digest = sha256()
        for doc_id, version in self._db.execute("SELECT doc_id, sha256 FROM documents ORDER BY doc_id"):
            digest.update(f"{doc_id}\0{unpacked_digest(version)}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def repeated(self) -> list[str]:
        """Return ids of documents that are there more than once; in one table there are none."""
        return []

    def databases(self) -> list[Path]:
        """Return the files that the texts are in."""
        return [self.path]
