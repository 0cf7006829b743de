"""The vectors of one of several indexes, by ids that carry its name."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.joined.ids import JoinedIds, NamedIds, apart, by_index, named
from quarry.indexer.stores.base import Neighbour, VectorStore


class NamedVectors:
    """A `VectorStore` for reading over the store of one index."""

    def __init__(self, index: str, store: VectorStore) -> None:
        self._index, self._store = index, store

    def __len__(self) -> int:
        return len(self._store)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._store.dim

    @property
    def ids(self) -> Sequence[str]:
        """All ids."""
        return NamedIds(self._index, self._store.ids)

    @property
    def details(self) -> dict[str, Any]:
        """Facts of the store."""
        return self._store.details

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks for each query; see `VectorStore.search`."""
        own = None if allowed is None else self._own(allowed)
        if own is not None and not own:
            return [[] for _ in range(len(queries))]
        found = self._store.search(queries, k, allowed=own)
        return [[Neighbour(named(self._index, near.chunk_id), near.similarity) for near in each] for each in found]

    def similarities(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        """Return similarities that depend on nothing but the vectors; see `VectorStore.similarities`."""
        return self._store.similarities(query, [apart(each)[1] for each in ids])

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return vectors by row number; see `VectorStore.vectors_of`."""
        return self._store.vectors_of(rows)

    def holds(self, chunk_id: str) -> bool:
        """Whether an id is there."""
        index, own = apart(chunk_id)
        return index == self._index and self._store.holds(own)

    def _own(self, allowed: Collection[str]) -> Collection[str]:
        if isinstance(allowed, JoinedIds):
            return allowed.of(self._index)
        return frozenset(by_index(allowed).get(self._index, ()))
