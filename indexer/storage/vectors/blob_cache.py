"""What was computed from a passage, by its digest: blobs with a checksum each, in one SQLite file.

Vectors (`vector_cache`) and token states (`quarry.indexer.tokens.cache`) are kept in it. A reader and the writer may work at the
same time. Every `put` is one transaction, so an interrupted build resumes.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from zlib import crc32

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message

_SQL_VARIABLES = 500


def passage_digest(text: str) -> bytes:
    """Return the 16-byte digest that identifies a passage text."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]


@dataclass(frozen=True, slots=True)
class BlobTable:
    """What a file holds.

    Attributes:
        name: The table's name.
        column: The name of its column of blobs.
        damaged: Makes the error for a damaged file out of its path and what is wrong with it.
        mismatch: What is wrong with a row whose checksum is.
        more: SQL of further tables in the same file.
    """

    name: str
    column: str
    damaged: Callable[[Path, Message], IndexFormatError]
    mismatch: Message
    more: str = ""

    @property
    def schema(self) -> str:
        """The SQL that makes the tables where they are missing."""
        columns = f"digest BLOB PRIMARY KEY, {self.column} BLOB NOT NULL, crc INTEGER NOT NULL"
        return f"CREATE TABLE IF NOT EXISTS {self.name} ({columns}) WITHOUT ROWID;{self.more}"


class BlobCache:
    """Blobs of one kind, keyed by `passage_digest`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, table: BlobTable) -> None:
        self.db = connection
        self.path = path
        self.table = table

    @classmethod
    def open(cls, path: Path, table: BlobTable) -> Self:
        """Open or make a file, for writing.

        Raises:
            IndexFormatError: If it is damaged.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        cache = cls(sqlite3.connect(path, isolation_level=None), path, table)
        with cache.damage_named():
            cache.db.execute("PRAGMA journal_mode=WAL")
            cache.db.execute("PRAGMA synchronous=NORMAL")
            cache.db.executescript(table.schema)
        return cache

    @classmethod
    def read(cls, path: Path, table: BlobTable) -> Self:
        """Open an existing file for reading, from any thread.

        Raises:
            FileNotFoundError: If there is none.
            IndexFormatError: If it is damaged.
        """
        if not path.is_file():
            raise FileNotFoundError(path)
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        cache = cls(db, path, table)
        with cache.damage_named():
            db.execute(f"SELECT 1 FROM {table.name} LIMIT 1")  # noqa: S608 (a name of ours)
        return cache

    @staticmethod
    def remove(path: Path) -> None:
        """Remove a file; does nothing when there is none."""
        for ending in ("", "-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def missing(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return the digests without a blob. Raises IndexFormatError when the file is damaged."""
        absent = set(digests)
        for (digest,) in self._rows("digest", digests):
            absent.discard(digest)
        return absent

    def put(self, digests: Sequence[bytes], blobs: Sequence[bytes]) -> None:
        """Store blobs in one transaction.

        Raises:
            ValueError: If there are not as many blobs as digests.
            IndexFormatError: If the file is damaged.
        """
        rows = [(digest, blob, crc32(blob)) for digest, blob in zip(digests, blobs, strict=True)]
        with self.transaction():
            self.db.executemany(f"INSERT OR REPLACE INTO {self.table.name} VALUES (?, ?, ?)", rows)  # noqa: S608 (a name of ours)

    def keep(self, digests: Collection[bytes]) -> None:
        """Forget all blobs but those of some digests. Raises IndexFormatError when the file is damaged."""
        with self.damage_named():
            stored = [row[0] for row in self.db.execute(f"SELECT digest FROM {self.table.name}")]  # noqa: S608 (a name of ours)
        with self.transaction():
            gone = [(digest,) for digest in stored if digest not in digests]
            self.db.executemany(f"DELETE FROM {self.table.name} WHERE digest = ?", gone)  # noqa: S608 (a name of ours)

    def get(self, digests: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield digest and blob of those that are here, each once, in no order.

        Raises:
            IndexFormatError: If a blob does not match its checksum, or the file is damaged.
        """
        for digest, blob, crc in self._rows(f"digest, {self.table.column}, crc", list(dict.fromkeys(digests))):
            if not isinstance(blob, bytes) or crc32(blob) != crc:
                raise self.mismatch()
            yield digest, blob

    def size(self) -> int:
        """Return the bytes that all blobs take. Raises IndexFormatError when the file is damaged."""
        sql = f"SELECT COALESCE(SUM(LENGTH({self.table.column})), 0) FROM {self.table.name}"  # noqa: S608 (names of ours)
        with self.damage_named():
            return int(self.db.execute(sql).fetchone()[0])

    def check(self) -> None:
        """Look for damage that hides rows. Raises IndexFormatError when there is some."""
        with self.damage_named():
            (verdict,) = self.db.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise self.table.damaged(self.path, Message.plain(str(verdict)))

    def mismatch(self) -> IndexFormatError:
        """Return the error for a row that is not what was written."""
        return self.table.damaged(self.path, self.table.mismatch)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done inside, or nothing of it.

        Raises:
            IndexFormatError: If the file is damaged.
        """
        with self.damage_named():
            self.db.execute("BEGIN")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # a full disk may have ended it
                    self.db.execute("ROLLBACK")
                raise

    @contextmanager
    def damage_named(self) -> Iterator[None]:
        """Turn SQLite's news of a damaged file into ours, which names it.

        Raises:
            IndexFormatError: If the file is damaged.
        """
        try:
            yield
        except sqlite3.DatabaseError as err:
            # errors of the sqlite3 module itself have no code
            if (getattr(err, "sqlite_errorcode", None) or 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise self.table.damaged(self.path, Message.plain(str(err))) from err
            raise

    def _rows(self, columns: str, digests: Sequence[bytes]) -> Iterator[tuple[Any, ...]]:
        for first in range(0, len(digests), _SQL_VARIABLES):
            part = digests[first : first + _SQL_VARIABLES]
            marks = ",".join("?" * len(part))
            sql = f"SELECT {columns} FROM {self.table.name} WHERE digest IN ({marks})"  # noqa: S608 (names of ours, marks)
            with self.damage_named():
                rows = self.db.execute(sql, part).fetchall()
            yield from rows
