"""The texts of a generation in the making: the segments of the live one, less what is removed, and a new segment, the head.

Nothing of a live segment is changed or copied: what is added goes into the head, what is removed is written down in the new
generation's `contents.sqlite`, and what is changed is both. So an update costs what changed, not what is there. `absorb` moves what is
left of a segment into the head, which is how segments are merged.
"""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from quarry.indexer.corpus.walk import SourceFile
from quarry.indexer.records import Chunk, Document
from quarry.indexer.storage.layout import CHUNKS_NAME, CONTENTS_NAME
from quarry.indexer.storage.texts.chunk_schema import create_tables
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.contents import SCHEMA, attach_segments, create_views, uri_of
from quarry.indexer.storage.texts.document_rows import document_sha256, insert_document, insert_meta
from quarry.indexer.storage.texts.file_table import file_row
from quarry.indexer.storage.texts.finished import write_finished
from quarry.indexer.storage.texts.generation_texts import GenerationTexts
from quarry.indexer.storage.texts.head_terms import SCHEMA_NAME, TERMS_NAME, make_terms, put_terms
from quarry.indexer.storage.texts.packing import unpacked_digest
from quarry.indexer.storage.texts.removals import Removals, segments_left
from quarry.indexer.storage.texts.segment_texts import COLUMNS, SegmentTexts

BUILT_NAME = "built.tmp"  # the head's texts while they can be changed
_MODULUS = 1 << 256
_OF_DOCUMENT = ("documents", "chunks", "meta")
_WRITING = "PRAGMA {schema}.journal_mode=MEMORY; PRAGMA {schema}.synchronous=OFF;"


def version_number(doc_id: str, version: str) -> int:
    """Return what a document's id and version add to the digest of a corpus."""
    return int.from_bytes(sha256(f"{doc_id}\0{version}\n".encode("utf-8", "surrogatepass")).digest(), "big")


class WorkingTable(GenerationTexts):
    """Files, documents and chunks of the generation that is being built."""

    def __init__(self, connection: sqlite3.Connection, path: Path, segments: Sequence[SegmentTexts]) -> None:
        super().__init__(connection, path)
        self._finished = list(segments)
        self._head = SegmentTexts.of(connection, "head", 1 + max((each.number for each in segments), default=0))
        self._removals = Removals(connection, path.parent)
        self._total = 0
        self._counts_changes = True  # of an index that is new, everything is
        self._added: Counter[bytes] = Counter()  # digests of passages; a changed document adds and removes
        self._removed: Counter[bytes] = Counter()

    @classmethod
    def start(cls, building: Path, head: Path, live: Path | None, total: str = "") -> Self:
        """Begin a generation; what a generation of an older format holds is all taken into the head.

        Args:
            building: Its folder, empty.
            head: The folder of the new segment, empty.
            live: The folder of the generation that is continued; None without one.
            total: That generation's `corpus_sha256`.
        """
        path, chunks = building / CONTENTS_NAME, head / BUILT_NAME
        old = live / CHUNKS_NAME if live and not (live / CONTENTS_NAME).is_file() else None
        if live and not old:
            shutil.copyfile(live / CONTENTS_NAME, path)
        _make_head(chunks, old)
        make_terms(head / TERMS_NAME, old)
        db = sqlite3.connect(uri_of(path, immutable=False), uri=True, isolation_level=None)
        db.executescript(_WRITING.format(schema="main"))
        if not live or old:
            db.executescript(SCHEMA)
        segments = attach_segments(db, building)
        db.execute("ATTACH ? AS head", (uri_of(chunks, immutable=False),))
        db.execute(f"ATTACH ? AS {SCHEMA_NAME}", (uri_of(head / TERMS_NAME, immutable=False),))
        for schema in ("head", SCHEMA_NAME):
            db.executescript(_WRITING.format(schema=schema))
        if old:
            db.execute("INSERT INTO main.roots SELECT prefix, path FROM head.roots")
        table = cls(db, path, [replace(segment, filtered=True) for segment in segments])
        table._make_views()
        table._counts_changes = live is not None
        table._total = int(total, 16) if total else 0
        return table

    # Roots and files

    def put_file(self, file: SourceFile) -> None:
        """Record a file as read; nothing is written when it is recorded so already."""
        if self.file(file.path) != file:
            self._forget_file(file.path)
            self._db.execute("INSERT INTO head.files VALUES (?, ?, ?, ?, ?, ?)", file_row(file))

    def forget_version(self, path: str) -> None:
        """Make the next run read a file again, although it has not changed; its documents stay."""
        known = self.file(path)
        if known is not None:
            self.put_file(replace(known, size=-1, mtime_ns=0, sha256=""))

    def remove_file(self, path: str) -> int:
        """Forget a file and its documents; return how many documents it had."""
        documents = list(self.documents_of(path))
        self.remove_documents(documents)
        self._forget_file(path)
        return len(documents)

    def _forget_file(self, path: str) -> None:
        self._db.execute("DELETE FROM head.files WHERE path = ?", (path,))
        for segment in self._finished:
            self._removals.file(segment, path)

    # Documents and chunks

    def put_document(
        self, file: str, document: Document, chunks: Sequence[Chunk], terms: Sequence[Sequence[str]]
    ) -> None:
        """Add a document with its chunks, replacing all of an older version."""
        self.remove_documents([document.doc_id])
        insert_document(self._db, "head", file, document, chunks)
        put_terms(self._db, [chunk.chunk_id for chunk in chunks], terms)
        self._count(document.doc_id, document_sha256(document), 1)
        if self._counts_changes:
            self._added.update(self._digests_in_head(document.doc_id))

    def remove_documents(self, doc_ids: Iterable[str]) -> None:
        """Remove documents with their chunks and metadata; unknown ids are fine."""
        for doc_id in doc_ids:
            self._remove_from_head(doc_id)
            for segment in self._finished:
                removed = self._removals.document(segment, doc_id)
                if removed is not None:
                    self._count(doc_id, removed.sha256, -1)
                    self._removed.update(removed.digests)

    def set_owner(self, doc_id: str, file: str) -> None:
        """Record another file as the one that a document came from; the document moves into the head."""
        for segment in self._finished:
            if self._removals.has_document(segment, doc_id):
                for table in ("documents", "chunks"):
                    self._move(segment, table, "t.doc_id = ?", (doc_id,))
                insert_meta(self._db, "head", self.document(doc_id))
                self._removals.document(segment, doc_id)
        self._db.execute("UPDATE head.documents SET file = ? WHERE doc_id = ?", (file, doc_id))

    def _remove_from_head(self, doc_id: str) -> None:
        sql = "SELECT sha256 FROM head.documents WHERE doc_id = ?"
        row = self._db.execute(sql, (doc_id,)).fetchone()
        if row is None:
            return
        self._count(doc_id, unpacked_digest(row[0]), -1)
        self._removed.update(self._digests_in_head(doc_id))
        mine = "SELECT chunk_id FROM head.chunks WHERE doc_id = ?"
        self._db.execute(f"DELETE FROM {SCHEMA_NAME}.passages WHERE chunk_id IN ({mine})", (doc_id,))  # noqa: S608 (fixed names)
        for table in _OF_DOCUMENT:
            self._db.execute(f"DELETE FROM head.{table} WHERE doc_id = ?", (doc_id,))  # noqa: S608 (fixed names)

    def _digests_in_head(self, doc_id: str) -> list[bytes]:
        rows = self._db.execute("SELECT digest FROM head.chunks WHERE doc_id = ?", (doc_id,))
        return [row[0] for row in rows]

    # What came of it

    def corpus_sha256(self) -> str:
        """Return a digest of all document ids and versions; neither their order nor the segments change it.

        It is a sum of digests modulo 2**256 (a multiset hash: Clarke et al., ASIACRYPT 2003), so that a change costs what changed.
        """
        return f"{self._total:064x}"

    def _count(self, doc_id: str, version: str, sign: int) -> None:
        self._total = (self._total + sign * version_number(doc_id, version)) % _MODULUS

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and of chunks."""
        numbers = {segment.number for segment in self._finished}
        counts = [left for number, left in segments_left(self._db).items() if number in numbers]
        counts.append(self.head_counts())
        return sum(documents for documents, _ in counts), sum(passages for _, passages in counts)

    def head_counts(self) -> tuple[int, int]:
        """Return the numbers of documents and of chunks in the head."""
        documents = self._db.execute("SELECT count(*) FROM head.documents").fetchone()[0]
        return documents, self._db.execute("SELECT count(*) FROM head.chunks").fetchone()[0]

    def needs_head(self) -> bool:
        """Whether anything is in the head, be it the entry of a file. A generation has one segment at least, if an empty one."""
        sql = "SELECT EXISTS (SELECT 1 FROM head.documents) OR EXISTS (SELECT 1 FROM head.files)"
        return not self._finished or bool(self._db.execute(sql).fetchone()[0])

    def changed_passages(self) -> int:
        """Return how many passages of a live generation were added or removed; one that was removed and came back is neither."""
        return (self._added - self._removed).total() + (self._removed - self._added).total()

    def removed_passages(self) -> int:
        """Return how many passages of the segments are not there any more."""
        return int(self._db.execute("SELECT count(*) FROM main.removed_rows").fetchone()[0])

    def language_counts(self) -> dict[str, int]:
        """Return how many passages of each language there are."""
        mine = Counter(dict(self._db.execute("SELECT lang, count(*) FROM head.chunks GROUP BY lang")))
        return dict(mine + Counter(super().language_counts()))

    # Segments

    def left(self) -> dict[int, int]:
        """Return how many passages are left in each segment, by its number."""
        return {number: passages for number, (_, passages) in segments_left(self._db).items()}

    def absorb(self, numbers: Iterable[int]) -> None:
        """Move what is left of some segments into the head; they are no part of this generation any more."""
        taken = set(numbers)
        for segment in [segment for segment in self._finished if segment.number in taken]:
            for table in COLUMNS:
                removed, key = ("removed_files", "path") if table == "files" else ("removed_documents", "doc_id")
                gone = f"SELECT 1 FROM main.{removed} r WHERE r.segment = {segment.number} AND r.{key} = t.{key}"  # noqa: S608 (fixed names)
                self._move(segment, table, f"NOT EXISTS ({gone})", ())
            self._removals.forget(segment)
            self._finished.remove(segment)
        self._make_views()

    def settle(self) -> None:
        """Leave out segments without documents, and write down which rows of the others are removed.

        Raises:
            IndexFormatError: If a segment cannot be read.
        """
        self.absorb([number for number, (documents, _) in segments_left(self._db).items() if not documents])
        self._removals.settle()

    def number_head(self) -> int:
        """Make the head a segment of this generation, and return its number; `name_segment` names it when it is finished."""
        number = 1 + max((segment.number for segment in self._finished), default=0)
        self._db.execute("INSERT INTO main.segments VALUES (?, '', ?, ?)", (number, *self.head_counts()))
        sql = "INSERT INTO main.languages SELECT ?, lang, count(*) FROM head.chunks GROUP BY lang"
        self._db.execute(sql, (number,))
        return number

    def _move(self, segment: SegmentTexts, table: str, where: str, values: Sequence[Any]) -> None:
        columns = ", ".join(COLUMNS[table])
        picked = ", ".join(f"t.{name}" for name in COLUMNS[table])
        insert = "INSERT OR IGNORE" if table == "meta" else "INSERT"  # older segments may say the same twice
        sql = f"{insert} INTO head.{table} ({columns}) SELECT {picked} FROM temp.{segment.view(table)} t WHERE {where}"  # noqa: S608 (fixed names)
        self._db.execute(f"{sql} ORDER BY t.number" if table == "documents" else sql, values)  # as they were read
        if table == "chunks":  # their terms stay where they are until the postings of the head are written
            (name,) = self._db.execute("SELECT name FROM main.segments WHERE number = ?", (segment.number,)).fetchone()
            moved = f"SELECT t.chunk_id, ? FROM temp.{segment.view('chunks')} t WHERE {where}"  # noqa: S608 (fixed names)
            self._db.execute(f"INSERT INTO {SCHEMA_NAME}.passages (chunk_id, segment) {moved}", (name, *values))

    def _make_views(self) -> None:
        self._segments = [*self._finished, self._head]
        create_views(self._db, self._segments)


def finish_texts(head: Path) -> None:
    """Write the texts of the new segment as they stay, once they are settled and the table is closed.

    Raises:
        IndexFormatError: As `write_finished`.
    """
    write_finished(uri_of(head / BUILT_NAME, immutable=False), uri_of(head / CHUNKS_NAME, immutable=False))
    (head / BUILT_NAME).unlink()


def name_segment(generation: Path, number: int, name: str) -> None:
    """Write the name of a finished segment into the `contents.sqlite` of a generation in the making."""
    db = sqlite3.connect(generation / CONTENTS_NAME, isolation_level=None)
    try:
        db.executescript(_WRITING.format(schema="main"))
        db.execute("UPDATE segments SET name = ? WHERE number = ?", (name, number))
    finally:
        db.close()


def _make_head(path: Path, old: Path | None) -> None:
    """Make the head's database: empty, or with all that an index of an older format holds."""
    if old is not None:
        source = ChunkTable.open(old)
        try:
            ChunkTable.copy(source, path).close()
        finally:
            source.close()
        return
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size = 1024")  # it is written and read once, and most often holds a document or two
    create_tables(db)
    db.close()
