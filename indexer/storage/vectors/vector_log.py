"""What a build has encoded so far, so that one that was interrupted goes on where it stopped: vectors by passage digest.

    INDEX/embeddings/FINGERPRINT.vectors    one row of float32 after the other
    INDEX/embeddings/FINGERPRINT.digests    for each row the digest of its passage and the CRC of the vector, 20 bytes

Both files only grow; a vector is written before its digest. A row counts when its digest is whole and its checksum agrees, so whatever
a crash left is cut off when the log is opened. The finished segment holds the vectors as well, so the log goes with the build.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.storage.vectors.digest_table import BYTES, DigestTable

_RECORD = np.dtype([("digest", np.uint8, BYTES), ("crc", "<u4")])
_CHECKED_AT_ONCE = 8192  # vectors


def checksums(vectors: Vectors) -> NDArray[np.uint32]:
    """Return the CRC of each row, shape (n,)."""
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    return np.fromiter((crc32(row) for row in rows), dtype=np.uint32, count=len(rows))


class VectorLog:
    """Vectors of one embedder that are in no finished segment yet. One process writes it: the holder of the writer lock."""

    def __init__(self, root: Path, fingerprint: str, dim: int) -> None:
        """Open the log of an embedder, or begin one.

        Args:
            root: The index folder.
            fingerprint: The embedder's.
            dim: Length of its vectors.
        """
        self.dim = dim
        self._paths = _paths(root, fingerprint)
        self._files: list[BinaryIO] = []  # opened by the first addition
        digests = self._sound()
        self._count = len(digests)
        self._table = DigestTable.of(digests)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def remove(root: Path, fingerprint: str) -> None:
        """Remove the log of an embedder; does nothing when there is none."""
        for path in _paths(root, fingerprint):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def find(self, digests: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the row of each digest, -1 where it is not here."""
        return self._table.find(digests)

    def read(self, rows: NDArray[np.int64]) -> Vectors:
        """Return vectors by row, shape (len(rows), dim)."""
        return np.array(self._mapped()[rows])

    def put(self, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Add vectors, shape (len(digests), dim).

        Raises:
            ValueError: If they have another shape.
            OSError: If they cannot be written; what was there before stays.
        """
        if vectors.shape != (len(digests), self.dim):
            raise ValueError(f"vectors have shape {vectors.shape}; expected ({len(digests)}, {self.dim})")
        if not self._files:
            self._paths[0].parent.mkdir(parents=True, exist_ok=True)
            for path in self._paths:
                path.touch()
                self._files.append(path.open("r+b", buffering=0))
        rows = np.ascontiguousarray(vectors, dtype="<f4")
        records = np.empty(len(digests), dtype=_RECORD)
        records["digest"] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, BYTES)
        records["crc"] = checksums(rows)
        for file, content in zip(self._files, (rows, records), strict=True):
            _write(file, self._count * (content.nbytes // max(1, len(digests))), content.tobytes())
        self._table.add(digests, self._count)
        self._count += len(digests)

    def _mapped(self) -> Vectors:
        if not self._count:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.memmap(self._paths[0], dtype="<f4", mode="r", shape=(self._count, self.dim))

    def _sound(self) -> NDArray[np.uint8]:
        """Return the digests of the rows that can be trusted, shape (n, 16): those before the first damaged one."""
        vectors, digests = self._paths
        if not vectors.is_file() or not digests.is_file():
            return np.zeros((0, BYTES), dtype=np.uint8)
        content = digests.read_bytes()
        records = np.frombuffer(content, dtype=_RECORD, count=len(content) // _RECORD.itemsize)
        self._count = min(len(records), vectors.stat().st_size // (4 * self.dim))
        for first in range(0, self._count, _CHECKED_AT_ONCE):
            part = slice(first, min(first + _CHECKED_AT_ONCE, self._count))
            wrong = np.flatnonzero(checksums(self._mapped()[part]) != records["crc"][part])
            if len(wrong):
                self._count = first + int(wrong[0])
                break
        return np.ascontiguousarray(records["digest"][: self._count])


def _write(file: BinaryIO, place: int, content: bytes) -> None:
    file.seek(place)
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _paths(root: Path, fingerprint: str) -> tuple[Path, Path]:
    folder = root / "embeddings"
    return folder / f"{fingerprint}.vectors", folder / f"{fingerprint}.digests"
