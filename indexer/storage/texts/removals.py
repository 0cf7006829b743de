"""What is removed from the segments of a generation in the making, written into its `contents.sqlite`."""

import sqlite3
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lexical.index import LexicalSegment
from quarry.indexer.storage.layout import LEXICAL_NAME
from quarry.indexer.storage.texts.contents import texts_of
from quarry.indexer.storage.texts.packing import unpacked_digest
from quarry.indexer.storage.texts.segment_texts import SegmentTexts

_TABLES = ("removed_documents", "removed_files", "removed_rows", "removed_names", "languages")


@dataclass(frozen=True, slots=True)
class RemovedDocument:
    """A document that was taken out of a segment: its version, and the digests of its passages."""

    sha256: str
    digests: tuple[bytes, ...]


class Removals:
    """Removes documents and files from segments.

    Args:
        db: The connection that `contents.sqlite` is open on for writing, with the segments attached.
        generation: The generation's folder.
    """

    def __init__(self, db: sqlite3.Connection, generation: Path) -> None:
        self._db = db
        self._generation = generation
        self._passages: dict[
            SegmentTexts, list[tuple[str, bytes | None]]
        ] = {}  # removed since the last `settle`: id and name

    def has_document(self, segment: SegmentTexts, doc_id: str) -> bool:
        """Whether a document is in a segment and was not removed from it."""
        there = replace(segment, filtered=True).has_document("?")
        return bool(self._db.execute(f"SELECT {there}", (doc_id,)).fetchone()[0])

    def document(self, segment: SegmentTexts, doc_id: str) -> RemovedDocument | None:
        """Remove a document from a segment; None when it is not in it."""
        if not self.has_document(segment, doc_id):
            return None
        number = segment.number
        self._db.execute("INSERT INTO main.removed_documents VALUES (?, ?)", (number, doc_id))
        sql = f"SELECT chunk_id, name, digest, lang FROM temp.{segment.view('chunks')} WHERE doc_id = ?"  # noqa: S608 (fixed names)
        rows = self._db.execute(sql, (doc_id,)).fetchall()
        self._passages.setdefault(segment, []).extend((row[0], row[1]) for row in rows)
        for lang, passages in Counter(row[3] for row in rows).items():
            fewer = "UPDATE main.languages SET passages = passages - ? WHERE segment = ? AND lang = ?"
            self._db.execute(fewer, (passages, number, lang))
        fewer = "UPDATE main.segments SET documents = documents - 1, passages = passages - ? WHERE number = ?"
        self._db.execute(fewer, (len(rows), number))
        sql = f"SELECT sha256 FROM temp.{segment.view('documents')} WHERE doc_id = ?"  # noqa: S608 (fixed names)
        version = self._db.execute(sql, (doc_id,)).fetchone()[0]
        return RemovedDocument(unpacked_digest(version), tuple(row[2] for row in rows))

    def file(self, segment: SegmentTexts, path: str) -> None:
        """Remove a file's entry from a segment; nothing when it is not in it."""
        found = f"SELECT ?, path FROM temp.{segment.view('files')} WHERE path = ?"  # noqa: S608 (fixed names)
        self._db.execute(f"INSERT OR IGNORE INTO main.removed_files {found}", (segment.number, path))

    def forget(self, segment: SegmentTexts) -> None:
        """Take a segment out of the generation, with all that is written about it."""
        number = segment.number
        self._db.execute("DELETE FROM main.segments WHERE number = ?", (number,))
        for table in _TABLES:
            self._db.execute(f"DELETE FROM main.{table} WHERE segment = ?", (number,))  # noqa: S608 (fixed names)
        self._passages.pop(segment, None)

    def settle(self) -> None:
        """Write down which rows of the segments' vectors and terms, and which of their names, the removed passages were.

        Raises:
            IndexFormatError: If the terms of a segment cannot be read.
        """
        for segment, passages in self._passages.items():
            number = segment.number
            (name,) = self._db.execute("SELECT name FROM main.segments WHERE number = ?", (number,)).fetchone()
            folder = texts_of(self._generation, name).parent
            ids = LexicalSegment.open(folder / LEXICAL_NAME).ids
            rows = [(number, ids.find(chunk_id)) for chunk_id, _ in passages]
            if any(row is None for _, row in rows):
                raise torn_segment(folder)
            self._db.executemany("INSERT INTO main.removed_rows VALUES (?, ?)", rows)
            names = {name for _, name in passages if name is not None}
            empty = [(number, name) for name in names if not self._is_used(segment, name)]
            self._db.executemany("INSERT INTO main.removed_names VALUES (?, ?)", empty)
        self._passages.clear()

    def _is_used(self, segment: SegmentTexts, name: bytes) -> bool:
        return self._db.execute(replace(segment, filtered=True).named(), (name, 1)).fetchone() is not None


def torn_segment(folder: Path) -> IndexFormatError:
    """Make the error for a segment whose texts and terms differ."""
    return IndexFormatError(
        "storage.torn_segment",
        "segment {folder} is damaged: a passage of its texts is not among its terms",
        do="See `quarry doctor INDEX`, roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
        folder=folder,
    )


def segments_left(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """Return how many documents and passages are left in each segment, by its number."""
    sql = "SELECT number, documents, passages FROM main.segments ORDER BY number"
    return {number: (documents, passages) for number, documents, passages in db.execute(sql)}
