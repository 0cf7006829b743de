"""One bit per number of a vector: what may be near a query is found by counting different signs, in a 32nd of the bytes.

A bit says on which side of the mean vector a number lies (sign random projections: Charikar, STOC 2002; with one bit per number and
exact rescoring: Gao and Long, RaBitQ, SIGMOD 2024). The query keeps two bits per number, its sign and whether it is large; a
difference where it is large counts three times. On random vectors, the worst case, this halves twice what has to be rescored.

    codes.000001.npy    uint64, (words, n): the bits of 64 numbers of each vector, one row after the other
    center.000001.npy   float32, (dim,): the mean
"""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.auto.bits import packed, words_of
from quarry.indexer.stores.checks import shape_message
from quarry.indexer.stores.exact.files import load_array
from quarry.indexer.stores.exact.mapped import blocks
from quarry.indexer.stores.sealed import State, numbered, other_content
from quarry.indexer.stores.shares import in_shares

_AT_ONCE = 16_384  # vectors compared at once: what is worked on stays in the processor's cache
_LARGE = 1.45  # times the median: the best border between small and large of normally distributed numbers (Max, 1960)
_WEIGHT_OF_LARGE = 3
_SHARE = 65_536  # vectors that are worth a thread


class SignCodes:
    """The signs of all vectors of a store.

    Args:
        planes: Shape (words, n).
        center: Shape (dim,).
    """

    def __init__(self, planes: NDArray[np.uint64], center: NDArray[np.float32]) -> None:
        self._planes, self._center = np.asarray(planes), center  # no memmap: indexing one costs ten times as much

    @classmethod
    def write(cls, matrix: Vectors, state: State) -> Self:
        """Write the codes of a matrix of shape (n, dim) as data files of a state that is still to be sealed."""
        total = np.zeros(matrix.shape[1], dtype=np.float64)
        for _, rows in blocks(matrix):
            total += rows.sum(axis=0, dtype=np.float64)
        center = (total / max(1, len(matrix))).astype(np.float32)
        np.save(state.path("center", ".npy"), center, allow_pickle=False)
        shape = (words_of(matrix.shape[1]), len(matrix))
        planes = open_memmap(state.path("codes", ".npy"), mode="w+", dtype=np.uint64, shape=shape)
        for first, rows in blocks(matrix):
            planes[:, first : first + len(rows)] = packed(rows > center).T
        planes.flush()
        return cls(planes, center)

    @classmethod
    def open(cls, folder: Path, number: int, shape: tuple[int, int]) -> Self:
        """Map the codes of a flush, for a matrix of a shape (n, dim).

        Raises:
            IndexFormatError: If a file is missing or damaged.
        """
        codes, middle = (numbered(folder, stem, number, ".npy") for stem in ("codes", "center"))
        planes, center = load_array(codes, np.uint64, 2), load_array(middle, np.float32, 1)
        for path, found, wanted in (
            (codes, planes, (words_of(shape[1]), shape[0])),
            (middle, center, (shape[1],)),
        ):
            if found.shape != wanted:
                raise other_content(path, shape_message(found.dtype, found.shape), shape_message(found.dtype, wanted))
        return cls(planes, center)

    def __len__(self) -> int:
        return int(self._planes.shape[1])

    @property
    def center(self) -> NDArray[np.float32]:
        """The mean of the vectors, shape (dim,)."""
        return self._center

    def signs_of(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the signs of some vectors, shape (words, len(rows))."""
        return np.take(self._planes, rows, axis=1)

    def ranks(self, query: Vectors, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many candidates `nearest` must be asked for until it returns each of some rows, shape (len(rows),)."""
        differences, histogram = self._differences(query - self._center)
        below = np.concatenate([np.zeros(1, np.int64), histogram.cumsum()])
        ranks: NDArray[np.int64] = below[differences[rows]] + 1
        return ranks

    def nearest(self, query: Vectors, count: int, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return the rows whose signs differ least from those of a query, ascending.

        Args:
            query: Shape (dim,).
            count: How many at least; all that are as near as the last are returned.
            among: The rows that may come out, ascending; None for all.
        """
        differences, histogram = self._differences(query - self._center)
        if among is not None:
            differences = differences[among]
            histogram = np.bincount(differences)
        if count >= len(differences):
            return np.arange(len(differences)) if among is None else among
        reached = np.searchsorted(histogram.cumsum(), count)
        rows: NDArray[np.int64] = np.flatnonzero(differences <= reached)
        return rows if among is None else among[rows]

    def _differences(self, query: Vectors) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """How much each vector differs from a query less the center, shape (n,), and how many differ so much."""
        sizes = np.abs(query)
        signs, large = packed(query[np.newaxis] > 0)[0], packed((sizes > _LARGE * np.median(sizes))[np.newaxis])[0]
        out = np.empty(len(self), dtype=np.uint16)
        most = _WEIGHT_OF_LARGE * 64 * len(signs)

        def count(share: slice) -> NDArray[np.int64]:
            histogram = np.zeros(most + 1, dtype=np.int64)
            for first in range(share.start, share.stop, _AT_ONCE):
                rows = slice(first, min(first + _AT_ONCE, share.stop))
                _count_into(out[rows], self._planes[:, rows], signs, large)
                histogram += np.bincount(out[rows], minlength=most + 1)
            return histogram

        return out, np.sum(in_shares(count, len(out), _SHARE), axis=0)


def _count_into(
    out: NDArray[np.uint16], planes: NDArray[np.uint64], signs: NDArray[np.uint64], large: NDArray[np.uint64]
) -> None:
    """Count the differences of some vectors, shape (words, n), without making arrays for each step."""
    other = np.empty(len(out), dtype=np.uint64)
    different, heavy = np.empty(len(out), dtype=np.uint8), np.empty(len(out), dtype=np.uint8)
    out[:] = 0
    for plane, sign, large_ones in zip(planes, signs, large, strict=True):
        np.bitwise_xor(plane, sign, out=other)
        np.bitwise_count(other, out=different)
        np.bitwise_and(other, large_ones, out=other)
        np.bitwise_count(other, out=heavy)
        np.multiply(heavy, np.uint8(_WEIGHT_OF_LARGE - 1), out=heavy)
        np.add(different, heavy, out=different)  # at most 64 * 3
        np.add(out, different, out=out)
