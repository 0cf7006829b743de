"""Which vectors a segment has, by passage digest, so that no later build encodes these passages again.

    encoded/FINGERPRINT.vectors.digests.npy   uint8, (n, 16), ascending
    encoded/FINGERPRINT.vectors.rows.npy      uint32, (n, 2): the row in the store `vectors`, and the CRC of the vector

and the same of the store `names`. The fingerprint is that of the embedder. Every vector that is taken from here is compared with its
checksum, so damage of a segment is never copied into another one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.storage.vectors.digest_table import BYTES, DigestTable, as_rows
from quarry.indexer.storage.vectors.vector_log import checksums

ENCODED_NAME = "encoded"


class RowStore(Protocol):
    """Vectors by row."""

    def __len__(self) -> int: ...

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return stored vectors, shape (len(rows), dim)."""
        ...


class RowsWriter:
    """Gathers the digests and checksums of the vectors that go into one store, in the order of its rows."""

    def __init__(self) -> None:
        self._digests: list[NDArray[np.uint8]] = []
        self._sums: list[NDArray[np.uint32]] = []

    def add(self, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Add the next vectors of the store."""
        self._digests.append(as_rows(digests))
        self._sums.append(checksums(vectors))

    def write(self, segment: Path, fingerprint: str, store: str) -> None:
        """Write the files of one store, `vectors` or `names`, into the segment's folder."""
        folder = segment / ENCODED_NAME
        folder.mkdir(exist_ok=True)
        digests, rows = DigestTable.of(np.concatenate([np.zeros((0, BYTES), np.uint8), *self._digests])).sorted()
        sums = np.concatenate([np.zeros(0, np.uint32), *self._sums])
        facts = np.stack([rows.astype(np.uint32), sums[rows]], axis=1)
        np.save(folder / f"{fingerprint}.{store}.digests.npy", digests, allow_pickle=False)
        np.save(folder / f"{fingerprint}.{store}.rows.npy", facts, allow_pickle=False)


class EncodedRows:
    """Rows of a store by digest, with the checksums of their vectors."""

    def __init__(self, table: DigestTable, rows: NDArray[np.integer], sums: NDArray[np.uint32] | None) -> None:
        """Put them together.

        Args:
            table: Numbers of digests.
            rows: For each number the row in the store.
            sums: For each number the checksum; None where none were kept and all files were compared with their records.
        """
        self._table, self._rows, self._sums = table, rows, sums

    @classmethod
    def open(cls, segment: Path, fingerprint: str, store: str) -> Self | None:
        """Map what `RowsWriter` wrote; None where a segment has nothing of this embedder, or nothing that can be read."""
        folder = segment / ENCODED_NAME
        try:
            digests, facts = (
                np.load(folder / f"{fingerprint}.{store}.{part}.npy", mmap_mode="r", allow_pickle=False)
                for part in ("digests", "rows")
            )
        except (OSError, ValueError, EOFError):  # `doctor` names the damage; here the passages are encoded once more
            return None
        if digests.dtype != np.uint8 or facts.dtype != np.uint32 or digests.shape[1:] != (BYTES,):
            return None
        if facts.shape != (len(digests), 2):
            return None
        return cls(DigestTable(digests, np.arange(len(digests))), facts[:, 0], facts[:, 1])

    @classmethod
    def of(cls, digests: NDArray[np.uint8]) -> Self:
        """Take digests of shape (n, 16) in the order of the store's rows, without checksums."""
        return cls(DigestTable.of(digests), np.arange(len(digests)), None)

    def read(self, digests: Sequence[bytes], store: RowStore) -> tuple[NDArray[np.int64], Vectors]:
        """Return which of the digests are here with a sound vector, as places in `digests`, ascending, and the vectors."""
        numbers = self._table.find(digests)
        here = np.flatnonzero(numbers >= 0)
        rows = self._rows[numbers[here]].astype(np.int64)
        here, rows = here[rows < len(store)], rows[rows < len(store)]  # a damaged row number is not there either
        vectors = store.vectors_of(rows)
        if self._sums is None:
            return here, vectors
        sound = checksums(vectors) == self._sums[numbers[here]]
        return here[sound], vectors[sound]
