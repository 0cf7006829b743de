"""The texts of a finished generation, joined from its segments."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.layout import CHUNKS_NAME, CONTENTS_NAME
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.contents import (
    attach_segments,
    create_views,
    uri_of,
    with_removals,
)


class Label(NamedTuple):
    """A document with the file that it came from, and its metadata as JSON."""

    doc_id: str
    file: str
    meta: str


class GenerationTexts(ChunkTable):
    """Files, documents and chunks of all segments of a generation, less what was removed from them."""

    @classmethod
    def open(cls, path: Path, *, only: int | None = None) -> Self:
        """Open the texts by the generation's `contents.sqlite`, read-only, usable from any thread.

        Args:
            path: The database.
            only: The number of a segment: no other one is read. None for all.

        Raises:
            IndexFormatError: If a database is missing or is none.
        """
        try:
            db = sqlite3.connect(uri_of(path, immutable=True), uri=True, isolation_level=None, check_same_thread=False)
            segments = with_removals(db, attach_segments(db, path.parent))
            segments = [segment for segment in segments if only in (None, segment.number)]
            create_views(db, segments)
            db.execute("SELECT number, digest FROM chunks LIMIT 1").fetchone()
        except sqlite3.DatabaseError as err:
            raise _not_texts(path, err) from err
        return cls(db, path, segments)

    def labels(self) -> Iterator[Label]:
        """Yield every document with its metadata, as stored."""
        for row in self._db.execute("SELECT doc_id, file, meta FROM documents"):
            yield Label(*row)

    def copy_contents(self, target: sqlite3.Connection) -> None:
        """Copy what the generation consists of, without the texts, into another database."""
        self._db.backup(target, name="main")

    def databases(self) -> list[Path]:
        """Return the files that the texts are in."""
        listed = self._db.execute("PRAGMA database_list").fetchall()
        return [Path(file) for _, _, file in listed if file]

    def counts(self) -> tuple[int, int]:
        """Return the numbers of documents and of chunks, which are kept with the segments."""
        rows = self._db.execute("SELECT number, documents, passages FROM main.segments").fetchall()
        numbers = {segment.number for segment in self._segments}
        mine = [row for row in rows if row[0] in numbers]
        return sum(row[1] for row in mine), sum(row[2] for row in mine)

    def repeated(self) -> list[str]:
        """Return ids of documents that are in more than one segment, at most three; there are none in what a build writes."""
        rows = self._db.execute("SELECT number, documents FROM main.segments")
        size = {number: documents for number, documents in rows if isinstance(documents, int)}
        by_size = sorted(self._segments, key=lambda segment: size.get(segment.number, 0))
        for place, small in enumerate(by_size[:-1], start=1):
            # each document of a smaller one is looked up in the larger ones
            twice = " OR ".join(larger.has_document("d.doc_id") for larger in by_size[place:])
            sql = f"SELECT d.doc_id FROM ({small.rows('documents')}) d WHERE {twice} LIMIT 3"  # noqa: S608 (fixed names)
            found = [row[0] for row in self._db.execute(sql)]
            if found:
                return found
        return []

    def some_digests(self, count: int) -> list[bytes]:
        """Return the passage digests of the oldest and of the newest chunks, so many of each."""
        found: set[bytes] = set()
        for segments, order in ((self._segments, "ASC"), (self._segments[::-1], "DESC")):
            left = count
            for segment in segments:
                sql = f"SELECT digest FROM {segment.schema}.chunks ORDER BY number {order} LIMIT ?"  # noqa: S608 (fixed names)
                rows = self._db.execute(sql, (left,)).fetchall()
                found.update(row[0] for row in rows)
                left -= len(rows)
        return list(found)

    def segments(self) -> Iterator["SegmentState"]:
        """Yield the segments in the order of their numbers, with what was removed from each."""
        sql = "SELECT number, name, passages FROM main.segments ORDER BY number"
        for number, name, left in self._db.execute(sql).fetchall():
            rows = self._db.execute("SELECT row FROM main.removed_rows WHERE segment = ? ORDER BY row", (number,))
            names = self._db.execute("SELECT name FROM main.removed_names WHERE segment = ?", (number,))
            removed = np.fromiter((row[0] for row in rows), dtype=np.int64)
            yield SegmentState(number, name, left, removed, frozenset(row[0].hex() for row in names))

    def language_counts(self) -> dict[str, int]:
        """Return how many passages of each language there are."""
        return dict(self._db.execute("SELECT lang, sum(passages) FROM main.languages GROUP BY lang"))


class SegmentState:
    """A segment as a generation sees it.

    Attributes:
        number: Its number in the generation.
        name: Its folder's name.
        left: How many of its passages are there.
        removed: Rows of its passages that are not there any more, ascending.
        removed_names: Titles and headings under which nothing is left, as hex digests.
    """

    def __init__(
        self, number: int, name: str, left: int, removed: NDArray[np.int64], removed_names: frozenset[str]
    ) -> None:
        self.number, self.name, self.left, self.removed, self.removed_names = number, name, left, removed, removed_names


def open_texts(generation: Path) -> ChunkTable:
    """Open the texts of a generation by its folder, of today's format or an older one.

    Raises:
        IndexFormatError: If a file is missing or is no such database.
    """
    if (generation / CONTENTS_NAME).is_file():
        return GenerationTexts.open(generation / CONTENTS_NAME)
    return ChunkTable.open(generation / CHUNKS_NAME)


def repeated_documents(path: Path, repeated: list[str]) -> IndexFormatError:
    """Make the error for texts of which several versions are there.

    Args:
        path: The generation's `contents.sqlite`.
        repeated: The documents.
    """
    return IndexFormatError(
        "storage.repeated",
        "{path} is damaged: it has documents more than once, in several segments: {repeated}",
        expected="each document in one segment",
        do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
        path=path,
        repeated=[repr(each) for each in repeated],
    )


def wrong_removals(path: Path, segment: str, passages: int) -> IndexFormatError:
    """Make the error for removals that do not fit to a segment.

    Args:
        path: The generation's `contents.sqlite`.
        segment: The name of the segment.
        passages: How many it has.
    """
    return IndexFormatError(
        "storage.removals",
        "{path} is damaged: what it removes from segment {segment}, which has {passages:passage|passages}, is not in it",
        expected="rows of that segment, as many as it lacks",
        do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
        path=path,
        segment=segment,
        passages=passages,
    )


def _not_texts(path: Path, err: sqlite3.DatabaseError) -> IndexFormatError:
    return IndexFormatError(
        "storage.not_a_table",
        "{path} is not a chunk table ({error})",
        do="Index again, or roll back with `quarry generations INDEX --rollback`",
        path=path,
        error=str(err),
    )
