"""Vectors that were added to a store and are not flushed yet: in memory while they are few, then in a file of the store's folder."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.lexical.growing import GrowingArray

_IN_MEMORY = 32 << 20  # bytes
_NAME = ".added.npy"  # of a build that was killed it may be left; the next large addition replaces it


class Additions:
    """Gathers vectors.

    Args:
        folder: The store's folder.
        dim: Length of the vectors.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        self._path, self._dim = folder / _NAME, dim
        self._parts: list[Vectors] = []
        self._count = 0
        self._open = ExitStack()
        self._file: GrowingArray | None = None
        self._taken: Vectors | None = None  # the content of the file, while it may still become the store's

    def __len__(self) -> int:
        """Return how many were added since `take`."""
        return self._count

    def add(self, vectors: Vectors) -> None:
        """Add vectors of shape (n, dim)."""
        self._count += len(vectors)
        if self._file is not None:
            self._file.append(vectors)
            return
        self._parts.append(np.array(vectors, dtype=np.float32))
        if 4 * self._dim * self._count > _IN_MEMORY:
            self._path.unlink(missing_ok=True)
            self._file = self._open.enter_context(GrowingArray(self._path, np.dtype(np.float32), self._dim))
            for part in self._parts:
                self._file.append(part)
            self._parts = []

    def take(self) -> Vectors:
        """Return what was added, mapped when it is in a file, and begin anew."""
        if self._file is None:
            found = np.concatenate(self._parts)
        else:
            self._open.close()
            found = self._taken = np.load(self._path, mmap_mode="r", allow_pickle=False)
        self._parts, self._file, self._count = [], None, 0
        return found

    def become(self, matrix: Vectors, path: Path) -> bool:
        """Make the file of the additions a data file of the store when it has exactly what the store has; return whether it did."""
        mine, self._taken = self._taken is matrix and self._path.is_file(), None
        if mine:
            self._path.rename(path)
        return mine
