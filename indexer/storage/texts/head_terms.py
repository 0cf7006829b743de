"""Where the terms of a new segment's passages are while it is built: analyzed in this build, or in the postings of another segment.

    SEGMENT/terms.tmp   SQLite: passages (number, chunk_id, segment, terms)

A passage that comes out of another segment is named with that segment, and its terms are taken from the postings there; so texts
need not keep them. The file goes when the new segment's postings are written.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.storage.texts.contents import uri_of
from quarry.indexer.storage.texts.packing import packed, unpacked

TERMS_NAME = "terms.tmp"
SCHEMA_NAME = "gathered"  # under which it is attached
_TABLE = "CREATE TABLE passages (number INTEGER PRIMARY KEY, chunk_id TEXT UNIQUE NOT NULL, segment TEXT, terms)"


def make_terms(path: Path, texts: Path | None = None) -> None:
    """Make the file, with the terms that a text database of an older format keeps."""
    db = sqlite3.connect(uri_of(path, immutable=False), uri=True, isolation_level=None)
    db.execute("PRAGMA journal_mode=MEMORY")
    db.execute("PRAGMA synchronous=OFF")
    db.execute(_TABLE)
    if texts is not None:
        db.execute("ATTACH ? AS old", (uri_of(texts, immutable=True),))
        db.execute("INSERT INTO passages (chunk_id, terms) SELECT chunk_id, terms FROM old.chunks")
    db.close()


def put_terms(db: sqlite3.Connection, chunk_ids: Sequence[str], terms: Sequence[Sequence[str]]) -> None:
    """Keep the analyzed terms of passages, where the file is attached."""
    rows = [(chunk_id, packed(" ".join(words))) for chunk_id, words in zip(chunk_ids, terms, strict=True)]
    db.executemany(f"INSERT INTO {SCHEMA_NAME}.passages (chunk_id, terms) VALUES (?, ?)", rows)  # noqa: S608 (a fixed name)


class HeadTerms:
    """The terms of a new segment's passages, in the order of their ids, once all texts are in."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file of a build that has settled its texts."""
        return cls(sqlite3.connect(path, isolation_level=None))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def segments(self) -> dict[str, int]:
        """Return the segments that terms are taken from, with how many passages each has here."""
        sql = "SELECT segment, count(*) FROM passages WHERE segment IS NOT NULL GROUP BY segment ORDER BY segment"
        return dict(self._db.execute(sql))

    def ids(self) -> Iterator[str]:
        """Yield the ids of all passages, in order."""
        for (chunk_id,) in self._db.execute("SELECT chunk_id FROM passages ORDER BY chunk_id"):
            yield chunk_id

    def ids_from(self, segment: str) -> Iterator[str]:
        """Yield the ids of the passages whose terms are in a segment, in order."""
        sql = "SELECT chunk_id FROM passages WHERE segment = ? ORDER BY chunk_id"
        for (chunk_id,) in self._db.execute(sql, (segment,)):
            yield chunk_id

    def analyzed(self) -> Iterator[list[str]]:
        """Yield the terms of the passages that were analyzed, in the order of their ids."""
        for (stored,) in self._db.execute("SELECT terms FROM passages WHERE segment IS NULL ORDER BY chunk_id"):
            words = unpacked(stored)
            yield words.split(" ") if words else []

    def order(self, segments: Sequence[str]) -> NDArray[np.int64]:
        """Return the place among all passages of each analyzed one, and then of each one from the segments, in turn."""
        numbers = {name: number for number, name in enumerate(segments, start=1)} | {None: 0}
        rows = self._db.execute("SELECT segment FROM passages ORDER BY chunk_id")
        sources = np.fromiter((numbers[row[0]] for row in rows), dtype=np.uint8)
        return np.argsort(sources, kind="stable").astype(np.int64)
