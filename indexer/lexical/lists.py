"""The postings of a segment's terms, plain or packed."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.packed import PostingLists, Postings, df_of, dfs_of, lists_of, postings_of


class Lists(Protocol):
    """The postings of terms, by number. Raises TornPostings where they contradict themselves.

    Attributes:
        limits: Ascending numbers of shape (terms + 1,), apart by the room that each term's postings take.
    """

    limits: NDArray[Any]

    def one(self, number: int) -> Postings:
        """Return the postings of a term."""
        ...

    def df(self, number: int) -> int:
        """Return how many passages a term has."""
        ...

    def dfs(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return how many passages each of some terms has."""
        ...

    def some(self, first: int, stop: int) -> PostingLists:
        """Return the postings of some terms."""
        ...


class PlainLists:
    """Postings in memory, or of formats 1 and 2.

    Args:
        limits: Where the postings of each term begin, shape (terms + 1,).
        rows: Passages of all postings, shape (postings,).
        counts: Term frequencies of all postings, shape (postings,).
    """

    def __init__(self, limits: NDArray[Any], rows: NDArray[Any], counts: NDArray[Any]) -> None:
        self.limits, self._rows, self._counts = limits, rows, counts

    def one(self, number: int) -> Postings:
        """Return the postings of a term."""
        where = slice(int(self.limits[number]), int(self.limits[number + 1]))
        return Postings(self._rows[where], self._counts[where])

    def df(self, number: int) -> int:
        """Return how many passages a term has."""
        return int(self.limits[number + 1]) - int(self.limits[number])

    def dfs(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return how many passages each of some terms has."""
        limits = self.limits[first : stop + 1].astype(np.int64)
        sizes: NDArray[np.int64] = limits[1:] - limits[:-1]
        return sizes

    def some(self, first: int, stop: int) -> PostingLists:
        """Return the postings of some terms."""
        where = slice(int(self.limits[first]), int(self.limits[stop]))
        return PostingLists(self.dfs(first, stop), self._rows[where], self._counts[where])


class PackedLists:
    """Postings in blocks.

    Args:
        limits: Where the block of each term begins, shape (terms + 1,).
        blocks: Bytes of all blocks.
    """

    def __init__(self, limits: NDArray[Any], blocks: NDArray[np.uint8]) -> None:
        self.limits, self._blocks = limits, blocks

    def one(self, number: int) -> Postings:
        """Return the postings of a term."""
        return postings_of(self._blocks, self.limits.item(number), self.limits.item(number + 1))

    def df(self, number: int) -> int:
        """Return how many passages a term has."""
        return df_of(self._blocks, self.limits.item(number), self.limits.item(number + 1))

    def dfs(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return how many passages each of some terms has."""
        return dfs_of(*self._some(first, stop))

    def some(self, first: int, stop: int) -> PostingLists:
        """Return the postings of some terms."""
        return lists_of(*self._some(first, stop))

    def _some(self, first: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        places = self.limits[first : stop + 1].astype(np.int64)
        return self._blocks[places[0] : places[-1]], places - places[0]
