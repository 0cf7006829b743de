"""How the candidates of a query are found by codes, and how many there must be.

    signs of all vectors       -> `first` candidates      codes
    signs and sizes of these   -> `second` candidates     second_bits
    the same, query unrounded  -> `last` candidates       second_bits
    vectors of these           -> the nearest             auto

The numbers are tuned when the codes are written, by queries between stored vectors, once for ten hits and once for a hundred.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log10
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.auto.codes import SignCodes
from quarry.indexer.stores.auto.second_bits import SecondBits
from quarry.indexer.stores.checks import tuning_queries
from quarry.indexer.stores.exact.mapped import blocks
from quarry.indexer.stores.sealed import Header, State
from quarry.indexer.stores.shares import in_shares

TUNING_QUERIES = 200
MANY_HITS_QUERIES = 50  # of them, for a hundred hits: five thousand places
FEWEST = 500  # candidates of the first step; of the second, a fifth of them
LARGEST_SHARE = 8  # of the vectors, one in so many is a candidate at most
PER_HIT = 20  # candidates of the first step at least for each hit that is asked for; of the second, a fifth of them
_OF_SECOND = 5
_FEW_HITS, _MANY_HITS = 10, 100
_AT_ONCE = 8192  # candidates of the first step estimated at once: what is worked on stays in the processor's cache
_CLOSELY_AT_ONCE = 512  # of the second
_FIRST_AIM = 0.99  # of the nearest are among the candidates of the first step
_SECOND_AIM = 0.985  # among those of the second
_AIM = 0.98  # among the last; so that other queries than the tuning ones reach 0.95 too

_Estimate = Callable[[Vectors, NDArray[np.int64]], NDArray[np.float32]]  # of a query for rows
_Kept = Callable[[Vectors], NDArray[np.int64]]  # rows that a step keeps for a query
_OfRows = Callable[
    [Vectors, NDArray[np.int64], NDArray[np.uint64]], NDArray[np.float32]
]  # the signs of these are given


@dataclass(frozen=True, slots=True)
class Depth:
    """How many candidates each step keeps; 0 for a step that a store from before it does not have."""

    first: int
    second: int
    last: int


class Candidates:
    """Finds the rows that may be nearest."""

    def __init__(self, signs: SignCodes, bits: SecondBits | None, depths: tuple[Depth, Depth]) -> None:
        """Put the steps together.

        Args:
            signs: The first step.
            bits: The second; None without one.
            depths: For ten hits, and for a hundred.
        """
        self._signs, self._bits, self._depths = signs, bits, depths

    @classmethod
    def write(cls, matrix: Vectors, state: State) -> tuple[Self, dict[str, Any]]:
        """Write the codes of a matrix as data files of a state that is still to be sealed, and tune the depths.

        Returns:
            The candidates, and what the header says of them: `search`, `steps`, `last` and `recall@10`.
        """
        signs = SignCodes.write(matrix, state)
        bits = SecondBits.write(matrix, signs.center, state)
        queries = tuning_queries(matrix, TUNING_QUERIES)
        truth = nearest_rows(matrix, queries, min(_MANY_HITS, len(matrix)))
        found = cls(signs, bits, (Depth(0, 0, 0), Depth(0, 0, 0)))
        ranks = np.array([signs.ranks(query, rows) for query, rows in zip(queries, truth, strict=True)])
        fewer = slice(None, MANY_HITS_QUERIES)
        found._depths = (
            found._tuned(queries, truth[:, :_FEW_HITS], ranks[:, :_FEW_HITS]),
            found._tuned(queries[fewer], truth[fewer], ranks[fewer]),
        )
        few = truth[:, :_FEW_HITS]
        hits = [np.isin(rows, found.of(query, few.shape[1])).sum() for query, rows in zip(queries, few, strict=True)]
        steps = [[depth.first, depth.second] for depth in found._depths]
        recall = round(float(np.sum(hits)) / few.size, 4)
        last = [depth.last for depth in found._depths]
        return found, {"search": last[0], "steps": steps, "last": last, "recall@10": recall}

    @classmethod
    def open(cls, folder: Path, header: Header) -> Self:
        """Map the codes that a header names.

        Raises:
            IndexFormatError: If a file is missing or damaged.
        """
        shape = header.count, header.dim
        signs, steps = SignCodes.open(folder, header.number, shape), header.facts.get("steps")
        if steps is None:
            depth = Depth(header.facts["search"], 0, 0)
            return cls(signs, None, (depth, depth))
        lasts = header.facts.get("last", (0, 0))
        few, many = (
            Depth(int(first), int(second), int(last)) for (first, second), last in zip(steps, lasts, strict=True)
        )
        return cls(signs, SecondBits.open(folder, header.number, shape), (few, many))

    def of(self, query: Vectors, hits: int, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return the rows that may be nearest to a query, ascending.

        Args:
            query: Shape (dim,).
            hits: How many are wanted.
            among: The rows that may come out, ascending; None for all.
        """
        depth = self._depth(hits)
        rows = self._signs.nearest(query, depth.first, among)
        if depth.second:
            rows = self._nearest(rows, depth.second, self._estimates, query)
        return self._nearest(rows, depth.last, self._close_estimates, query) if depth.last else rows

    def count(self, hits: int) -> int:
        """Return how many rows about `of` returns for so many hits."""
        depth = self._depth(hits)
        return depth.last or depth.second or depth.first

    def _depth(self, hits: int) -> Depth:
        """Between ten hits and a hundred, a power of the hits through what was tuned for both; above, as many more."""
        few, many = self._depths
        share = log10(min(max(hits, _FEW_HITS), _MANY_HITS) / _FEW_HITS) / log10(_MANY_HITS / _FEW_HITS)
        least, hundreds = PER_HIT * hits // _OF_SECOND, -(-hits // _MANY_HITS)

        def kept(one: int, other: int, least: int) -> int:
            between: float = one * (other / one) ** share
            return max(ceil(between * hundreds), least)

        return Depth(
            kept(few.first, many.first, PER_HIT * hits),
            kept(few.second, many.second, least) if self._bits is not None else 0,
            kept(few.last, many.last, least) if few.last and many.last else 0,
        )

    def _nearest(self, rows: NDArray[np.int64], count: int, estimate: _Estimate, query: Vectors) -> NDArray[np.int64]:
        """The rows with the highest estimates, ascending; all that are as high as the last."""
        if count >= len(rows):
            return rows
        found = estimate(query, rows)
        nearest: NDArray[np.int64] = rows[found >= np.partition(found, len(rows) - count)[len(rows) - count]]
        return nearest

    def _estimates(self, query: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._estimated(self._second_bits().estimates, query, rows, _AT_ONCE)

    def _close_estimates(self, query: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._estimated(self._second_bits().close_estimates, query, rows, _CLOSELY_AT_ONCE)

    def _estimated(self, by: _OfRows, query: Vectors, rows: NDArray[np.int64], at_once: int) -> NDArray[np.float32]:
        left, out = query - self._signs.center, np.empty(len(rows), dtype=np.float32)

        def estimate(share: slice) -> None:
            for first in range(share.start, share.stop, at_once):
                part = slice(first, min(first + at_once, share.stop))
                out[part] = by(left, rows[part], self._signs.signs_of(rows[part]))

        in_shares(estimate, len(rows), at_once)
        return out

    def _second_bits(self) -> SecondBits:
        if self._bits is None:
            raise ValueError("there is no second step")
        return self._bits

    def _tuned(self, queries: Vectors, truth: NDArray[np.int64], ranks: NDArray[np.int64]) -> Depth:
        """Choose the depths for as many hits as there are rows for a query.

        Args:
            queries: Shape (n, dim).
            truth: The rows nearest to each, best first, shape (n, hits).
            ranks: Where these come among the candidates of the first step, likewise.
        """
        most = max(FEWEST, len(self._signs) // LARGEST_SHARE)
        first = min(most, max(FEWEST, int(np.quantile(ranks, _FIRST_AIM, method="higher"))))

        def signs(query: Vectors) -> NDArray[np.int64]:
            return self._signs.nearest(query, first)

        second = self._reaching(_SECOND_AIM, self._estimates, signs, queries, truth)
        second = min(first, max(FEWEST // _OF_SECOND, second))

        def sizes(query: Vectors) -> NDArray[np.int64]:
            return self._nearest(signs(query), second, self._estimates, query)

        last = self._reaching(_AIM, self._close_estimates, sizes, queries, truth)
        return Depth(first, second, min(second, max(FEWEST // _OF_SECOND, last)))

    def _reaching(
        self, aim: float, estimate: _Estimate, before: _Kept, queries: Vectors, truth: NDArray[np.int64]
    ) -> int:
        """How many candidates a step must keep, of those that the step before kept, so that a share of the nearest is among them."""
        places = []
        for query, wanted in zip(queries, truth, strict=True):
            rows = before(query)
            estimates = estimate(query, rows)
            own = estimates[np.isin(rows, wanted)]
            places.append(np.searchsorted(np.sort(-estimates), -own) + 1)
            places.append(np.full(len(wanted) - len(own), len(self._signs)))  # lost before
        return int(np.quantile(np.concatenate(places), aim, method="higher"))


def nearest_rows(matrix: Vectors, queries: Vectors, count: int) -> NDArray[np.int64]:
    """Return the rows most similar to each query, exactly, best first; shape (n_queries, count)."""
    values = np.zeros((len(queries), 0), dtype=np.float32)
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    for first, block in blocks(matrix):
        similarities = queries @ block.T
        kept = np.argpartition(-similarities, min(count, len(block)) - 1, axis=1)[:, :count]
        values = np.concatenate([values, np.take_along_axis(similarities, kept, axis=1)], axis=1)
        rows = np.concatenate([rows, kept + first], axis=1)
        best = np.argsort(-values, axis=1)[:, :count]
        values, rows = np.take_along_axis(values, best, axis=1), np.take_along_axis(rows, best, axis=1)
    return rows
