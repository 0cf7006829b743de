"""Reading through a mapped matrix without keeping all of it in memory."""

import mmap
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors

_BLOCK_BYTES = 16 << 20


def blocks(matrix: Vectors) -> Iterator[tuple[int, Vectors]]:
    """Yield all rows in blocks, each with the number of its first row; pages of a mapped matrix are given back after each."""
    step = max(1, _BLOCK_BYTES // max(1, matrix.strides[0]))
    for first in range(0, len(matrix), step):
        yield first, matrix[first : first + step]
        release(matrix)


def release(matrix: NDArray[Any]) -> None:
    """Give back the resident pages of a mapped file; they stay in the system's cache. Does nothing for other arrays."""
    mapped = getattr(matrix, "_mmap", None)
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
