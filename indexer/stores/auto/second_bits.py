"""A second bit per number, for the candidates that the signs have found: what is read of the vectors themselves shrinks tenfold.

With the sign it says in which quarter of the normal distribution a number lies; the levels of the quarters are those of the best
quantizer with four (Max, 1960). The query is quantized likewise, so that a product is four counts of bits; for the few that are nearest by
that, it is taken as it is. Each vector has one factor that makes the estimate unbiased: its squared length over its product with its
own code (RaBitQ: Gao and Long, SIGMOD 2024).

    sizes.000001.npy     uint64, (n, words): 1 where a number is large
    factors.000001.npy   float32, (n,)
"""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.auto.bits import packed, unpacked, words_of
from quarry.indexer.stores.checks import shape_message
from quarry.indexer.stores.exact.files import load_array
from quarry.indexer.stores.exact.mapped import blocks, release
from quarry.indexer.stores.sealed import State, numbered, other_content

_BORDER = 0.9816  # between small and large, in standard deviations (Max, 1960)
_RATIO = 3  # of the level of large numbers to that of small ones: 1.510 and 0.4528
_MORE = _RATIO - 1


class SecondBits:
    """Which numbers of all vectors of a store are large.

    Args:
        sizes: Shape (n, words).
        factors: Shape (n,).
    """

    def __init__(self, sizes: NDArray[np.uint64], factors: NDArray[np.float32]) -> None:
        self._sizes, self._factors = np.asarray(sizes), np.asarray(factors)

    @classmethod
    def write(cls, matrix: Vectors, center: NDArray[np.float32], state: State) -> Self:
        """Write those of a matrix of shape (n, dim), less its mean, as data files of a state that is still to be sealed."""
        shape = (len(matrix), words_of(matrix.shape[1]))
        sizes = open_memmap(state.path("sizes", ".npy"), mode="w+", dtype=np.uint64, shape=shape)
        factors = np.zeros(len(matrix), dtype=np.float32)
        for first, rows in blocks(matrix):
            part = slice(first, first + len(rows))
            left = rows - center
            magnitudes = np.abs(left)
            large = _are_large(left, magnitudes)
            sizes[part] = packed(large)
            own = magnitudes.sum(axis=1) + (_RATIO - 1) * np.where(large, magnitudes, 0).sum(axis=1)
            factors[part] = (left * left).sum(axis=1) / np.maximum(own, 1e-12)
            release(sizes)
        sizes.flush()
        np.save(state.path("factors", ".npy"), factors, allow_pickle=False)
        return cls(sizes, factors)

    @classmethod
    def open(cls, folder: Path, number: int, shape: tuple[int, int]) -> Self:
        """Map those of a flush, for a matrix of a shape (n, dim).

        Raises:
            IndexFormatError: If a file is missing or damaged.
        """
        paths = [numbered(folder, stem, number, ".npy") for stem in ("sizes", "factors")]
        sizes, factors = load_array(paths[0], np.uint64, 2), load_array(paths[1], np.float32, 1)
        for path, array, wanted in (
            (paths[0], sizes, (shape[0], words_of(shape[1]))),
            (paths[1], factors, (shape[0],)),
        ):
            if array.shape != wanted:
                raise other_content(path, shape_message(array.dtype, array.shape), shape_message(array.dtype, wanted))
        return cls(sizes, factors)

    def estimates(self, query: Vectors, rows: NDArray[np.int64], signs: NDArray[np.uint64]) -> NDArray[np.float32]:
        """Return how near vectors are to a query, in a measure that grows with the similarity; shape (len(rows),).

        Args:
            query: Less the mean, shape (dim,).
            rows: Which vectors.
            signs: The signs of these, shape (words, len(rows)).
        """
        large = packed(_are_large(query[np.newaxis], np.abs(query)[np.newaxis]))[0]
        signs_of_query = packed(query[np.newaxis] > 0)[0]
        total = np.full(len(rows), len(query) + _MORE * int(np.bitwise_count(large).sum()), dtype=np.int32)
        for own, sizes, sign, heavy in zip(signs, self._sizes[rows].T, signs_of_query, large, strict=True):
            total += _products(own ^ sign, np.ascontiguousarray(sizes), heavy)
        return self._factors[rows] * total.astype(np.float32)

    def close_estimates(
        self, query: Vectors, rows: NDArray[np.int64], signs: NDArray[np.uint64]
    ) -> NDArray[np.float32]:
        """Return what `estimates` does with the query as it is, not quantized: a third of the error, at 2.5 times the time.

        Comparing a query as it is with quantized vectors is asymmetric distance computation (Jegou et al., PAMI 2011).
        """
        levels = unpacked(self._sizes[rows], len(query)).view(np.int8)
        levels *= _MORE
        levels += 1
        directions = unpacked(signs.T, len(query)).view(np.int8)
        directions *= 2
        directions -= 1
        levels *= directions
        found: NDArray[np.float32] = self._factors[rows] * (levels.astype(np.float32) @ query)
        return found


def _products(other: NDArray[np.uint64], sizes: NDArray[np.uint64], heavy: np.uint64) -> NDArray[np.int16]:
    """The sum over 64 numbers of the products of both levels, less what is the same for all vectors, shape (n,).

    A level is 1 or _RATIO, a product negative where the signs differ.

    Args:
        other: Where the signs differ, shape (n,).
        sizes: Where the vectors' numbers are large, shape (n,).
        heavy: Where the query's are.
    """
    both = sizes & heavy
    found: NDArray[np.int16] = _MORE * (_counted(sizes) - 2 * _counted(other & sizes))
    found += _MORE**2 * (_counted(both) - 2 * _counted(other & both))
    found -= 2 * (_counted(other) + _MORE * _counted(other & heavy))
    return found


def _counted(words: NDArray[np.uint64]) -> NDArray[np.int16]:
    counts: NDArray[np.int16] = np.bitwise_count(words).astype(np.int16)
    return counts


def _are_large(left: Vectors, magnitudes: Vectors) -> NDArray[np.bool_]:
    spread = np.sqrt(np.mean(left * left, axis=1, keepdims=True))
    large: NDArray[np.bool_] = magnitudes > _BORDER * spread
    return large
