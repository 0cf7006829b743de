"""Embeddings by passage digest: a passage is encoded once, whatever generations and stores hold it.

One SQLite file per embedder fingerprint below `INDEX/embeddings/`. Every finished slice is committed, so an interrupted build
resumes, and a store can be rebuilt, or replaced by another kind, without a forward pass. The fingerprint leaves out the
precision: one text in float32 and in bfloat16 has a cosine above 0.9999, so machines of both kinds may fill one index.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message

_SQL_VARIABLES = 500
_SCHEMA = """CREATE TABLE IF NOT EXISTS vectors
    (digest BLOB PRIMARY KEY, vector BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID"""


def passage_digest(text: str) -> bytes:
    """Return the 16-byte digest that identifies a passage text."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


class VectorCache:
    """Vectors of one embedder, keyed by `passage_digest`."""

    def __init__(self, connection: sqlite3.Connection, dim: int, path: Path) -> None:
        self._db = connection
        self._path = path
        self.dim = dim

    @classmethod
    def open(cls, root: Path, fingerprint: str, dim: int) -> Self:
        """Open the cache of one embedder in an index folder, or create it.

        Raises:
            IndexFormatError: If the file is damaged.
        """
        folder = root / "embeddings"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{fingerprint}.sqlite"
        db = sqlite3.connect(path, isolation_level=None)
        with _damage_named(path):
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(_SCHEMA)
        return cls(db, dim, path)

    @staticmethod
    def remove(root: Path, fingerprint: str) -> None:
        """Remove the cache of an embedder that no generation uses; does nothing when there is none."""
        for ending in ("", "-wal", "-shm"):
            (root / "embeddings" / f"{fingerprint}.sqlite{ending}").unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def missing(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return the digests without a vector. Raises IndexFormatError when the file is damaged."""
        absent = set(digests)
        with _damage_named(self._path):
            for part in _batches(digests):
                marks = ",".join("?" * len(part))
                sql = f"SELECT digest FROM vectors WHERE digest IN ({marks})"  # noqa: S608 (question marks only)
                rows = self._db.execute(sql, part)
                absent.difference_update(row[0] for row in rows)
        return absent

    def put(self, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Store vectors, shape (len(digests), dim), in one transaction.

        Raises:
            ValueError: If they have another shape.
            IndexFormatError: If the file is damaged.
        """
        if vectors.shape != (len(digests), self.dim):
            raise ValueError(f"vectors have shape {vectors.shape}; expected ({len(digests)}, {self.dim})")
        blobs = [row.tobytes() for row in vectors.astype("<f4", copy=False)]
        rows = [(digest, blob, crc32(blob)) for digest, blob in zip(digests, blobs, strict=True)]
        with _damage_named(self._path):
            self._db.execute("BEGIN")
            try:
                self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have ended it
                    self._db.execute("ROLLBACK")
                raise

    def get(self, digests: Sequence[bytes]) -> Vectors:
        """Return the vectors in order, shape (len(digests), dim).

        Raises:
            KeyError: If a digest has no vector here.
            IndexFormatError: If a stored vector does not match its checksum.
        """
        rows: dict[bytes, list[int]] = {}
        for row, digest in enumerate(digests):
            rows.setdefault(digest, []).append(row)
        out = np.empty((len(digests), self.dim), dtype=np.float32)
        for part in _batches(list(rows)):
            marks = ",".join("?" * len(part))
            with _damage_named(self._path):
                sql = f"SELECT digest, vector, crc FROM vectors WHERE digest IN ({marks})"  # noqa: S608 (question marks only)
                found = self._db.execute(sql, part).fetchall()
            for digest, blob, crc in found:
                if not isinstance(blob, bytes) or crc32(blob) != crc or len(blob) != 4 * self.dim:
                    raise _damaged(self._path, Message.of("storage.crc", "a stored vector does not match its checksum"))
                out[rows.pop(digest)] = np.frombuffer(blob, dtype="<f4")
        if rows:
            raise KeyError(f"{len(rows)} passages have no embedding yet, first {next(iter(rows)).hex()}")
        return out


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as err:
        if err.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _damaged(path, Message.plain(str(err))) from err
        raise


def _damaged(path: Path, what: Message) -> IndexFormatError:
    return IndexFormatError(
        "storage.damaged_vectors",
        "{path} is damaged ({what})",
        expected="the embeddings of earlier runs",
        do="Remove this file and index again: the live generation is untouched, its passages are encoded once more",
        path=path,
        what=what,
    )


def _batches(digests: Sequence[bytes]) -> Iterator[list[bytes]]:
    stream = iter(digests)
    while part := list(islice(stream, _SQL_VARIABLES)):
        yield part
