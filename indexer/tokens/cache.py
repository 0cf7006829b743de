"""Compressed token states by passage digest: kept once, for all generations of an index.

One file per embedder fingerprint below `INDEX/embeddings/`, beside the vectors. The projection that made the rows is in the same
file, so that the two cannot be parted; so are the weights of terms and the digest of the heads, for a model that has heads of its
own (`quarry.indexer.models.forward.m3`). A passage without a row is no damage: it was indexed without token states, and a search
says so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self
from zlib import crc32

import numpy as np

from quarry.indexer.embedder import TermWeights
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.vectors.blob_cache import BlobCache, BlobTable
from quarry.indexer.tokens.projection import Projection, TokenBytes, states_of

_PROJECTION = """
CREATE TABLE IF NOT EXISTS projection
    (id INTEGER PRIMARY KEY CHECK (id = 1), width INTEGER NOT NULL, dim INTEGER NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS heads (id INTEGER PRIMARY KEY CHECK (id = 1), digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS terms (digest BLOB PRIMARY KEY, weights BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
"""
_TERM = np.dtype([("id", "<u4"), ("weight", "<f2")])


def _damaged(path: Path, what: Message) -> IndexFormatError:
    return IndexFormatError(
        "tokens.damaged",
        "{path} is damaged ({what})",
        expected="the token states of earlier runs",
        do="Remove this file and index again: texts and vectors are untouched, and the states are computed once more",
        path=path,
        what=what,
    )


_TABLE = BlobTable(
    "tokens",
    "states",
    _damaged,
    Message.of("tokens.crc", "stored token states do not match their checksum"),
    _PROJECTION,
)

_TERMS = BlobTable(
    "terms", "weights", _damaged, Message.of("tokens.terms_crc", "stored weights of terms do not match their checksum")
)


class TokenSource(Protocol):
    """Token states by passage digest, for reading: of an index, or of a lake."""

    def projection(self) -> Projection | None:
        """Return the projection that made the rows; None without one."""
        ...

    def heads(self) -> str:
        """Return the digest of the model's own heads that made the rows; empty for layer states."""
        ...

    def get(self, digests: Sequence[bytes], dim: int) -> list[TokenBytes | None]:
        """Return the states of passages in order, each of shape (n_tokens, dim); None for one that has none."""
        ...

    def terms(self, digests: Sequence[bytes]) -> list[TermWeights | None]:
        """Return the weights of terms of passages in order; None for one that has none."""
        ...


class TokenCache:
    """Token states of one embedder, keyed by `passage_digest`. A reader and the writer may work at the same time."""

    def __init__(self, blobs: BlobCache) -> None:
        self._blobs = blobs
        self._terms = BlobCache(blobs.db, blobs.path, _TERMS)

    @staticmethod
    def path(root: Path, fingerprint: str) -> Path:
        """Return the file of an embedder."""
        return root / "embeddings" / f"{fingerprint}.tokens-2.sqlite"

    @classmethod
    def open(cls, root: Path, fingerprint: str) -> Self:
        """Open or make the file of one embedder, for writing.

        Raises:
            IndexFormatError: If it is damaged.
        """
        return cls(BlobCache.open(cls.path(root, fingerprint), _TABLE))

    @classmethod
    def read(cls, root: Path, fingerprint: str) -> Self:
        """Open an existing file for reading, from any thread.

        Raises:
            FileNotFoundError: If there is none.
            IndexFormatError: If it is damaged.
        """
        return cls(BlobCache.read(cls.path(root, fingerprint), _TABLE))

    @classmethod
    def remove(cls, root: Path, fingerprint: str) -> None:
        """Remove the file of an embedder that no generation uses; does nothing when there is none."""
        BlobCache.remove(cls.path(root, fingerprint))

    def close(self) -> None:
        """Close the file."""
        self._blobs.close()

    def projection(self) -> Projection | None:
        """Return the projection that made the rows; None in a new file. Raises IndexFormatError when it is damaged."""
        with self._blobs.damage_named():
            found = self._blobs.db.execute("SELECT width, dim, data, crc FROM projection").fetchone()
        if found is None:
            return None
        width, dim, data, crc = found
        if crc32(data) != crc or len(data) != 4 * width * (dim + 1):
            what = Message.of("tokens.projection_crc", "its projection does not match its checksum")
            raise _damaged(self._blobs.path, what)
        values = np.frombuffer(data, dtype="<f4")
        return Projection(values[:width].copy(), values[width:].reshape(width, dim).copy())

    def heads(self) -> str:
        """Return the digest of the model's own heads that made the rows; empty for layer states, and in older files."""
        with self._blobs.damage_named():
            known = self._blobs.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'heads'").fetchone()
            found = self._blobs.db.execute("SELECT digest FROM heads").fetchone() if known else None
        return str(found[0]) if found else ""

    def keep(self, projection: Projection, heads: str = "") -> None:
        """Write the projection, and the digest of the heads where the model has its own. Rows that others made go."""
        data = b"".join(part.astype("<f4").tobytes() for part in (projection.mean, projection.basis))
        row = (len(projection.mean), projection.dim, data, crc32(data))
        with self._blobs.transaction():
            for table in ("tokens", "terms", "heads"):
                self._blobs.db.execute(f"DELETE FROM {table}")  # noqa: S608 (names of ours)
            if heads:
                self._blobs.db.execute("INSERT INTO heads VALUES (1, ?)", (heads,))
            self._blobs.db.execute("INSERT OR REPLACE INTO projection VALUES (1, ?, ?, ?, ?)", row)

    def missing(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return those digests that have no token states here."""
        return self._blobs.missing(digests)

    def put(self, digests: Sequence[bytes], states: Sequence[TokenBytes]) -> None:
        """Store the states of passages, in one transaction."""
        self._blobs.put(digests, [one.tobytes() for one in states])

    def put_terms(self, digests: Sequence[bytes], terms: Sequence[TermWeights]) -> None:
        """Store the weights of terms of passages, in one transaction. It comes before `put`: a passage with states is done."""
        self._terms.put(digests, [packed_terms(one) for one in terms])

    def terms(self, digests: Sequence[bytes]) -> list[TermWeights | None]:
        """Return the weights of terms of passages in order, in half precision; None for one that has none here.

        Raises:
            IndexFormatError: If stored weights do not match their checksum.
        """
        found: dict[bytes, TermWeights] = {}
        for digest, blob in self._terms.get(digests):
            if len(blob) % _TERM.itemsize:
                raise self._terms.mismatch()
            found[digest] = unpacked_terms(blob)
        return [found.get(digest) for digest in digests]

    def get(self, digests: Sequence[bytes], dim: int) -> list[TokenBytes | None]:
        """Return the states of passages in order, each of shape (n_tokens, dim); None for one that has none here.

        Raises:
            IndexFormatError: If stored states do not match their checksum.
        """
        found: dict[bytes, TokenBytes] = {}
        for digest, blob in self._blobs.get(digests):
            if len(blob) % dim:
                raise self._blobs.mismatch()
            found[digest] = states_of(blob, dim)
        return [found.get(digest) for digest in digests]

    def size(self) -> int:
        """Return the bytes that all token states take."""
        return self._blobs.size()


def packed_terms(terms: TermWeights) -> bytes:
    """Return the weights of terms as bytes, in half precision."""
    rows = np.empty(len(terms.ids), dtype=_TERM)
    rows["id"], rows["weight"] = terms.ids, terms.weights
    return rows.tobytes()


def unpacked_terms(content: bytes) -> TermWeights:
    """Return the weights of terms that `packed_terms` made."""
    rows = np.frombuffer(content, dtype=_TERM)
    return TermWeights(rows["id"].astype(np.int64), rows["weight"].astype(np.float32))
