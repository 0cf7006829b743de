"""Compressed token states by passage digest: kept once, for all generations of an index.

One SQLite file per embedder fingerprint below `INDEX/embeddings/`, beside the vectors. Every row carries a checksum, and the
projection that made the rows is in the same file, so that the two cannot be parted. A passage without a row is no damage: it was
indexed without token states, and a search says so.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.tokens.projection import Projection, TokenBytes

_SQL_VARIABLES = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (digest BLOB PRIMARY KEY, states BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS projection
    (id INTEGER PRIMARY KEY CHECK (id = 1), width INTEGER NOT NULL, dim INTEGER NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL);
"""


class TokenCache:
    """Token states of one embedder, keyed by `passage_digest`. A reader and the writer may work at the same time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._path = path

    @staticmethod
    def path(root: Path, fingerprint: str) -> Path:
        """Return the file of an embedder."""
        return root / "embeddings" / f"{fingerprint}.tokens.sqlite"

    @classmethod
    def open(cls, root: Path, fingerprint: str) -> Self:
        """Open or make the file of one embedder, for writing.

        Raises:
            IndexFormatError: If it is damaged.
        """
        path = cls.path(root, fingerprint)
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, isolation_level=None)
        with _damage_named(path):
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_SCHEMA)
        return cls(db, path)

    @classmethod
    def read(cls, root: Path, fingerprint: str) -> Self:
        """Open an existing file for reading, from any thread.

        Raises:
            FileNotFoundError: If there is none.
            IndexFormatError: If it is damaged.
        """
        path = cls.path(root, fingerprint)
        if not path.is_file():
            raise FileNotFoundError(path)
        with _damage_named(path):
            db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
            db.execute("SELECT 1 FROM tokens LIMIT 1")
        return cls(db, path)

    @classmethod
    def remove(cls, root: Path, fingerprint: str) -> None:
        """Remove the file of an embedder that no generation uses; nothing happens when there is none."""
        path = cls.path(root, fingerprint)
        for ending in ("", "-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def projection(self) -> Projection | None:
        """Return the projection that made the rows; None in a new file. Raises IndexFormatError when it is damaged."""
        with _damage_named(self._path):
            found = self._db.execute("SELECT width, dim, data, crc FROM projection").fetchone()
        if found is None:
            return None
        width, dim, data, crc = found
        if crc32(data) != crc or len(data) != 4 * width * (dim + 1):
            raise _damaged(self._path, "its projection does not match its checksum")
        values = np.frombuffer(data, dtype="<f4")
        return Projection(values[:width].copy(), values[width:].reshape(width, dim).copy())

    def keep(self, projection: Projection) -> None:
        """Write the projection. Rows that another one made go."""
        data = b"".join(part.astype("<f4").tobytes() for part in (projection.mean, projection.basis))
        with _damage_named(self._path), self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM tokens")
            row = (len(projection.mean), projection.dim, data, crc32(data))
            self._db.execute("INSERT OR REPLACE INTO projection VALUES (1, ?, ?, ?, ?)", row)

    def missing(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return those digests that have no token states here."""
        absent = set(digests)
        with _damage_named(self._path):
            for marks, part in _batches(digests):
                rows = self._db.execute(f"SELECT digest FROM tokens WHERE digest IN ({marks})", part)  # noqa: S608 (marks only)
                absent.difference_update(row[0] for row in rows)
        return absent

    def put(self, digests: Sequence[bytes], states: Sequence[TokenBytes]) -> None:
        """Store the states of passages, in one transaction."""
        blobs = [one.tobytes() for one in states]
        rows = [(digest, blob, crc32(blob)) for digest, blob in zip(digests, blobs, strict=True)]
        with _damage_named(self._path), self._db:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", rows)

    def get(self, digests: Sequence[bytes], dim: int) -> list[TokenBytes | None]:
        """Return the states of passages in order, each of shape (n_tokens, dim); None for one that has none here.

        Raises:
            IndexFormatError: If stored states do not match their checksum.
        """
        found: dict[bytes, NDArray[np.int8]] = {}
        for marks, part in _batches(list(dict.fromkeys(digests))):
            with _damage_named(self._path):
                rows = self._db.execute(f"SELECT digest, states, crc FROM tokens WHERE digest IN ({marks})", part)  # noqa: S608 (marks only)
                for digest, blob, crc in rows:
                    if not isinstance(blob, bytes) or crc32(blob) != crc or len(blob) % dim:
                        raise _damaged(self._path, "stored token states do not match their checksum")
                    found[digest] = np.frombuffer(blob, dtype=np.int8).reshape(-1, dim)
        return [found.get(digest) for digest in digests]

    def size(self) -> int:
        """Return the bytes that all token states take."""
        with _damage_named(self._path):
            return int(self._db.execute("SELECT COALESCE(SUM(LENGTH(states)), 0) FROM tokens").fetchone()[0])


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as err:
        if (err.sqlite_errorcode or 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _damaged(path, str(err)) from err
        raise


def _damaged(path: Path, what: str) -> IndexFormatError:
    return IndexFormatError(
        "tokens.damaged",
        "{path} is damaged ({what})",
        expected="the token states of earlier runs",
        do="Remove this file and index again: texts and vectors are untouched, and the states are computed once more",
        path=path,
        what=what,
    )


def _batches(digests: Sequence[bytes]) -> Iterator[tuple[str, Sequence[bytes]]]:
    for first in range(0, len(digests), _SQL_VARIABLES):
        part = digests[first : first + _SQL_VARIABLES]
        yield ",".join("?" * len(part)), part
