"""The exact store: every vector compared with every query by one matrix product. The reference for all other stores."""

from collections.abc import Collection, Sequence
from json import dumps, loads
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from indexer.durable import write_atomic
from indexer.embedder import Vectors
from indexer.errors import IndexFormatError
from indexer.stores.base import Neighbour

KIND = "exact"
_FACTS_NAME, _VECTORS_NAME = "store.json", "vectors.npy"
_BLOCK_BYTES = 64 << 20  # similarities held at once


class ExactStore:
    """Vectors as one float32 matrix, memory-mapped when opened."""

    def __init__(self, folder: Path, ids: list[str], matrix: Vectors) -> None:
        self._folder = folder
        self._ids = ids
        self._matrix = matrix
        self._added: list[Vectors] = []
        self._rows: dict[str, int] = {chunk_id: row for row, chunk_id in enumerate(ids)}
        self._id_order: NDArray[np.int64] | None = None

    @classmethod
    def create(cls, folder: Path, dim: int) -> Self:
        """Make an empty store. Raises ValueError if dim < 1."""
        if dim < 1:
            raise ValueError(f"dim is {dim}; expected at least 1")
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, [], np.zeros((0, dim), dtype=np.float32))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `flush` wrote. Raises IndexFormatError when it is not such a store or is damaged."""
        try:
            facts = loads((folder / _FACTS_NAME).read_text(encoding="utf-8"))
            matrix = np.load(folder / _VECTORS_NAME, mmap_mode="r", allow_pickle=False)
            ids, expected = facts["ids"], (len(facts["ids"]), facts["dim"])
            kind = facts["kind"]
        except (OSError, ValueError, KeyError, TypeError, EOFError) as err:
            raise IndexFormatError(f"{folder} is no readable exact store ({err}); index again or roll back") from err
        if kind != KIND or matrix.shape != expected or matrix.dtype != np.float32:
            raise IndexFormatError(
                f"{folder} holds a {kind!r} store with vectors {matrix.shape}; expected {KIND!r} and {expected}. Index again"
            )
        return cls(folder, ids, matrix)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self._matrix.shape[1])

    @property
    def ids(self) -> Sequence[str]:
        """All chunk ids, in insertion order."""
        return self._ids

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest."""
        return {"kind": KIND, "index": "flat", "count": len(self), "recall@10": 1.0, "unindexed": 0}

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add all or nothing. Raises ValueError on a duplicate id, a wrong shape or a non-finite value."""
        check_addition(ids, vectors, self.dim, self._rows)
        self._added.append(np.array(vectors, dtype=np.float32))
        for chunk_id in ids:
            self._rows[chunk_id] = len(self._ids)
            self._ids.append(chunk_id)
        self._id_order = None

    def remove(self, ids: Collection[str]) -> int:
        """Remove these; return how many were there."""
        gone = {chunk_id for chunk_id in ids if chunk_id in self._rows}
        if gone:
            keep = [row for row, chunk_id in enumerate(self._ids) if chunk_id not in gone]
            self._matrix = self._vectors()[keep]
            self._ids = [self._ids[row] for row in keep]
            self._rows = {chunk_id: row for row, chunk_id in enumerate(self._ids)}
            self._id_order = None
        return len(gone)

    def _vectors(self) -> Vectors:
        if self._added:
            self._matrix = np.concatenate([self._matrix, *self._added])
            self._added = []
        return self._matrix

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return stored vectors by row number, shape (len(rows), dim)."""
        return np.asarray(self._vectors()[rows])

    def rows_of(self, ids: Collection[str]) -> NDArray[np.int64]:
        """Return the row numbers of those ids that are stored, increasing."""
        return np.array(sorted(self._rows[chunk_id] for chunk_id in ids if chunk_id in self._rows), dtype=np.int64)

    def best_of(self, query: Vectors, rows: NDArray[np.int64], k: int) -> list[Neighbour]:
        """Return the k best of some rows for one query of shape (dim,), by exact similarity."""
        return self._best(self.vectors_of(rows) @ query, min(k, len(rows)), rows)

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks for each query, exactly; see `VectorStore.search`.

        Raises:
            ValueError: If k < 1 or queries is not (n, dim).
        """
        check_search(queries, k, self.dim)
        matrix = self._vectors()
        rows: NDArray[np.int64] | None = None
        if allowed is not None:
            rows = self.rows_of(allowed)
            matrix = matrix[rows]
        if not len(matrix):
            return [[] for _ in range(len(queries))]
        block = max(1, _BLOCK_BYTES // (4 * len(matrix)))
        found: list[list[Neighbour]] = []
        for first in range(0, len(queries), block):
            similarities = queries[first : first + block] @ matrix.T
            found.extend(self._best(row, min(k, len(matrix)), rows) for row in similarities)
        return found

    def _best(self, similarities: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None) -> list[Neighbour]:
        n = len(similarities)
        threshold = np.partition(similarities, n - k)[n - k]
        local = np.flatnonzero(similarities >= threshold)
        stored = local if rows is None else rows[local]
        order = np.lexsort((self._order_of_ids()[stored], -similarities[local]))[:k]
        return [Neighbour(self._ids[stored[i]], float(similarities[local[i]])) for i in order]

    def _order_of_ids(self) -> NDArray[np.int64]:
        if self._id_order is None:
            order = sorted(range(len(self._ids)), key=self._ids.__getitem__)
            self._id_order = np.empty(len(order), dtype=np.int64)
            self._id_order[order] = np.arange(len(order))
        return self._id_order

    def flush(self) -> None:
        """Write everything to the folder, durably; the facts last."""
        temp = self._folder / f".{_VECTORS_NAME}.tmp.npy"
        with temp.open("wb") as handle:
            np.save(handle, self._vectors(), allow_pickle=False)
        temp.replace(self._folder / _VECTORS_NAME)
        facts = {"kind": KIND, "dim": self.dim, "ids": self._ids}
        write_atomic(self._folder / _FACTS_NAME, dumps(facts, ensure_ascii=False).encode())


def check_addition(ids: Sequence[str], vectors: Vectors, dim: int, known: Collection[str]) -> None:
    """Refuse an addition that would leave a store inconsistent, before anything is changed.

    Raises:
        ValueError: On a wrong shape, a non-finite value, or an id that is stored already or given twice.
    """
    if vectors.ndim != 2 or vectors.shape != (len(ids), dim):
        raise ValueError(f"vectors have shape {vectors.shape}; expected ({len(ids)}, {dim})")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ValueError(f"the vector of {ids[row]!r} is not finite; nothing was added")
    seen: set[str] = set()
    for chunk_id in ids:
        if chunk_id in seen or chunk_id in known:
            raise ValueError(
                f"the id {chunk_id!r} is there already; expected new ids. Nothing was added: remove it first"
            )
        seen.add(chunk_id)


def check_search(queries: Vectors, k: int, dim: int) -> None:
    """Refuse a search with a wrong shape or k.

    Raises:
        ValueError: If k < 1 or queries is not (n, dim).
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise ValueError(f"queries have shape {queries.shape}; expected (n, {dim})")


def tuning_queries(vectors: Vectors, count: int) -> Vectors:
    """Make queries for tuning an approximate index: halfway between two stored vectors, where real queries lie too.

    Returns:
        Unit rows, shape (min(count, len(vectors)), dim); the same for the same vectors.
    """
    rng = np.random.default_rng(0)
    rows = rng.choice(len(vectors), size=(min(count, len(vectors)), 2))
    between = np.asarray(vectors[rows[:, 0]]) + np.asarray(vectors[rows[:, 1]])
    unit: Vectors = between / np.maximum(np.linalg.norm(between, axis=1, keepdims=True), 1e-9)
    return unit.astype(np.float32)
