"""The vector stores of several segments, asked as one: each finds its nearest, and the best of all come out.

A removed passage stays in the store of its segment. It is left out of what that store finds; the store is asked for more until
enough are left. Similarities of different stores that are as close as rounding are computed again from the vectors, so that equal
ones come in id order, as in one store.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.base import Neighbour, VectorStore
from quarry.indexer.stores.checks import check_search, rounding

_MARGIN = 16  # neighbours asked for beyond k, in a store that something was removed from


@dataclass(frozen=True)
class Part:
    """The store of one segment, less what was removed.

    Attributes:
        store: The vectors.
        removed: Ids that are not there any more.
    """

    store: VectorStore
    removed: frozenset[str] = field(default_factory=frozenset)

    def __len__(self) -> int:
        return len(self.store) - len(self.removed)

    def search(self, queries: Vectors, k: int, allowed: Collection[str] | None) -> list[list[Neighbour]]:
        """Find the most similar of those that are there, as `VectorStore.search` does."""
        if not len(self):
            return [[] for _ in range(len(queries))]
        if allowed is not None:
            allowed = self._among(allowed)
            return self.store.search(queries, k, allowed=allowed) if allowed else [[] for _ in range(len(queries))]
        if not self.removed:
            return self.store.search(queries, k)
        return [self._left(query, min(k, len(self))) for query in queries]

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Return the rows of what is there."""
        if not self.removed:
            return np.arange(len(self.store))
        return np.array([row for row, each in enumerate(self.store.ids) if each not in self.removed], dtype=np.int64)

    def _among(self, allowed: Collection[str]) -> Collection[str]:
        if not self.removed:
            return allowed
        return allowed - self.removed if isinstance(allowed, set | frozenset) else frozenset(allowed) - self.removed

    def _left(self, query: Vectors, k: int) -> list[Neighbour]:
        """The k nearest to a query of shape (dim,) that were not removed; there are as many."""
        count = k + _MARGIN
        while True:
            found = self.store.search(query[np.newaxis], min(count, len(self.store)))[0]
            left = [near for near in found if near.chunk_id not in self.removed]
            if len(left) >= k or count >= len(self.store):
                return left[:k]
            count *= 4


class UnionStore:
    """A `VectorStore` for reading over the stores of some segments. An id is in several of them only if all but one removed it."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Join stores.

        Args:
            parts: At least one.
        """
        self._parts = tuple(parts)

    @classmethod
    def of(cls, parts: Sequence[Part]) -> VectorStore | None:
        """Join stores; one that nothing was removed from is returned as it is, and None when there are none."""
        if len(parts) == 1 and not parts[0].removed:
            return parts[0].store
        return cls(parts) if parts else None

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._parts[0].store.dim

    @cached_property
    def ids(self) -> Sequence[str]:
        """All ids that are there, segment by segment."""
        return [each for part in self._parts for each in part.store.ids if each not in part.removed]

    @property
    def details(self) -> dict[str, Any]:
        """Facts of the largest store, with the counts of all and the lowest recall."""
        facts = [part.store.details for part in self._parts]
        largest = max(facts, key=lambda each: int(each["count"]))
        joined = {
            "count": len(self),
            "unindexed": sum(int(each["unindexed"]) for each in facts),
            "recall@10": min(float(each["recall@10"]) for each in facts),
        }
        return {**largest, **joined, "segments": len(self._parts)}

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks for each query; see `VectorStore.search`.

        Raises:
            ValueError: If k < 1, queries is not (n, dim), or a value is not finite.
            IndexFormatError: If a file that is read only now is damaged.
        """
        check_search(queries, k, self.dim)
        found = [part.search(queries, k, allowed) for part in self._parts]
        if len(found) == 1:
            return found[0]
        return [
            self._best(query, list(chain.from_iterable(lines)), k)
            for query, lines in zip(queries, zip(*found, strict=True), strict=True)
        ]

    def similarities(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        """Return similarities that depend on nothing but the vectors; see `VectorStore.similarities`."""
        known: dict[str, float] = {}
        for part in self._parts:
            mine = [each for each in ids if each not in part.removed and part.store.holds(each)]
            known.update(zip(mine, part.store.similarities(query, mine), strict=True))
        return [known[each] for each in ids]

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return vectors by row number, in the order of `ids`; shape (len(rows), dim)."""
        out, first = np.empty((len(rows), self.dim), dtype=np.float32), 0
        for part in self._parts:
            mine = (rows >= first) & (rows < first + len(part))
            out[mine] = part.store.vectors_of(part.rows[rows[mine] - first])
            first += len(part)
        return out

    def holds(self, chunk_id: str) -> bool:
        """Whether an id is there."""
        return any(chunk_id not in part.removed and part.store.holds(chunk_id) for part in self._parts)

    def _best(self, query: Vectors, found: list[Neighbour], k: int) -> list[Neighbour]:
        """The k best of what the parts found; an id that several hold, such as a title's, comes out once."""
        best = sorted({near.chunk_id: near for near in found}.values(), key=_order)
        if len(best) < 2:
            return best
        values = np.array([near.similarity for near in best], dtype=np.float32)
        doubt = rounding(self.dim, float(np.abs(values).max()))
        close = values[:-1] - values[1:] <= doubt
        if close.any():
            unsure = np.zeros(len(best), dtype=np.bool_)
            unsure[:-1] = close
            unsure[1:] |= close
            rows = np.flatnonzero(unsure)
            exact = self.similarities(query, [best[row].chunk_id for row in rows])
            for row, value in zip(rows.tolist(), exact, strict=True):
                best[row] = Neighbour(best[row].chunk_id, value)
            best.sort(key=_order)
        return best[:k]


def _order(near: Neighbour) -> tuple[float, str]:
    return -near.similarity, near.chunk_id
