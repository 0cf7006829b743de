"""Vectors of a lake: nearest by Lance's index with exact rescoring, or by comparing all where there are few.

Few on storage far away are read once and held in memory, since each question would read all of them again.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.base import Neighbour
from quarry.indexer.stores.checks import check_search, precise_similarities
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.lake.held import HELD_UP_TO, held
from quarry.indexer.stores.lake.layout import KIND, VectorFacts
from quarry.indexer.stores.lake.objects import is_remote
from quarry.indexer.stores.lake.tables import Table, is_in, translated
from quarry.indexer.stores.lake.where import Where

_TIES = 16  # rows read past k, so that equal similarities at the cut come in id order
_MANY = 8  # questions, from which on one pass over all rows is cheaper than one each
_BLOCK = 8_192  # rows compared at once
_FEW = 2_000  # ids of a filter whose vectors are fetched and compared; more are searched in parts


class LakeVectors:
    """A VectorStore on a table of a lake.

    Args:
        table: With the columns `id` and `vector`.
        id: The name of the column of ids.
        dim: Length of the vectors.
        facts: How it is searched.
    """

    def __init__(self, table: Table, id: str, dim: int, facts: VectorFacts) -> None:  # noqa: A002 (what it is)
        self._table, self._id, self._dim, self._facts = table, id, dim, facts
        self._count = table.count()
        few = facts.index == "none" and self._count * dim * 4 <= HELD_UP_TO
        self._holds_all = few and is_remote(table.place)
        self._held: ExactStore | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._dim

    @property
    def ids(self) -> Sequence[str]:
        """All ids, in the order of the table; reads all of them."""
        return [row[self._id] for row in self._table.rows(None, [self._id])]

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest: index, effort, recall@10, version of the table."""
        facts = self._facts
        return {
            "kind": KIND,
            "count": self._count,
            "index": facts.index,
            "search": facts.probes,
            "refine": facts.refine,
            "recall@10": facts.recall,
            "version": int(self._table.lance.version),
        }

    def holds(self, chunk_id: str) -> bool:
        """Whether an id is stored."""
        return bool(self._table.count(is_in(self._id, [chunk_id])))

    def similarities(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        """Return similarities that depend on nothing but the two vectors; see `VectorStore.similarities`."""
        if self._holds_all:
            return self._memory().similarities(query, ids)
        found = self._compared(query, ids)
        return [found[chunk_id] for chunk_id in ids]

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return stored vectors by row number, shape (len(rows), dim)."""
        with translated(self._table.place):
            found = self._table.lance.take_offsets(rows.tolist()).select(["vector"]).to_arrow()
        order = np.argsort(
            np.argsort(rows, kind="stable"), kind="stable"
        )  # offsets come back in the order of the table
        vectors: Vectors = _matrix(found["vector"], self._dim)[order]
        return vectors

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar rows; see `VectorStore.search`. Raises ValueError if k < 1 or queries is not (n, dim)."""
        check_search(queries, k, self._dim)
        if not self._count:
            return [[] for _ in range(len(queries))]
        if self._holds_all:
            return self._memory().search(queries, k, allowed=None if allowed is None else set(allowed))
        if allowed is None or isinstance(allowed, Where):
            where = None if allowed is None else allowed.sql
            if self._facts.index == "none" and len(queries) >= _MANY:
                return self._in_one_pass(queries, k, where)
            return [_best(self._nearest(query, k, where), k) for query in queries]
        wanted = sorted(set(allowed))
        if len(wanted) <= _FEW:
            return self._among(queries, wanted, k)
        parts = [is_in(self._id, wanted[first : first + _FEW]) for first in range(0, len(wanted), _FEW)]
        return [_best([row for where in parts for row in self._nearest(query, k, where)], k) for query in queries]

    def _in_one_pass(self, queries: Vectors, k: int, where: str | None) -> list[list[Neighbour]]:
        """Compare every row with many questions, a block after another."""
        found: list[list[Neighbour]] = [[] for _ in queries]
        for batch in self._table.batches([self._id, "vector"], _BLOCK, where):
            names = batch[self._id].to_pylist()
            similar = queries @ batch["vector"].flatten().to_numpy().reshape(-1, self._dim).T
            for row, line in enumerate(similar if names else ()):
                least = np.partition(line, -k)[-k] if len(line) > k else line.min()
                hits = [Neighbour(names[place], float(line[place])) for place in np.flatnonzero(line >= least).tolist()]
                found[row] = _best([*found[row], *hits], k)
        return found

    def exact(self, query: Vectors, k: int) -> list[Neighbour]:
        """Return the k nearest by comparing every vector."""
        return _best(self._rows(query, k + _TIES, None, exact=True), k)

    def tuned(self, facts: VectorFacts) -> "LakeVectors":
        """Return the same, searched in another way."""
        return LakeVectors(self._table, self._id, self._dim, facts)

    def _among(self, queries: Vectors, ids: Sequence[str], k: int) -> list[list[Neighbour]]:
        rows = list(self._table.by(self._id, ids, [self._id, "vector"]))
        names = [row[self._id] for row in rows]
        vectors = np.array([row["vector"] for row in rows], dtype=np.float32).reshape(-1, self._dim)
        out = []
        for query in queries:
            similar = precise_similarities(query, vectors).tolist()
            out.append(_best([Neighbour(*pair) for pair in zip(names, similar, strict=True)], k))
        return out

    def _memory(self) -> ExactStore:
        if self._held is None:
            self._held = held(self._table, self._id, self._dim)
        return self._held

    def _compared(self, query: Vectors, ids: Sequence[str]) -> dict[str, float]:
        return {near.chunk_id: near.similarity for near in self._among(query[np.newaxis], ids, len(ids) or 1)[0]}

    def _nearest(self, query: Vectors, k: int, where: str | None) -> list[Neighbour]:
        """Return at least the k nearest rows, with all those that are exactly as near as the k-th."""
        count = k + _TIES
        while True:
            rows = self._rows(query, count, where)
            if len(rows) < count or _best(rows, k)[-1].similarity > min(row.similarity for row in rows):
                return rows
            count *= 4

    def _rows(self, query: Vectors, count: int, where: str | None, *, exact: bool = False) -> list[Neighbour]:
        search = self._table.lance.search(np.ascontiguousarray(query, dtype=np.float32), vector_column_name="vector")
        search = search.distance_type("dot")
        if exact or self._facts.index == "none":
            search = search.bypass_vector_index()
        else:
            search = search.nprobes(self._facts.probes).refine_factor(self._facts.refine)
        if where is not None:
            search = search.where(where, prefilter=True)
        with translated(self._table.place):
            found = search.select([self._id, "_distance"]).limit(count).to_arrow()
        pairs = zip(found[self._id].to_pylist(), found["_distance"].to_pylist(), strict=True)
        return [Neighbour(name, 1.0 - distance) for name, distance in pairs]


def _matrix(column: Any, dim: int) -> Vectors:
    values: Vectors = column.combine_chunks().values.to_numpy().reshape(-1, dim)
    return values


def _best(rows: list[Neighbour], k: int) -> list[Neighbour]:
    return sorted(rows, key=lambda row: (-row.similarity, row.chunk_id))[:k]
