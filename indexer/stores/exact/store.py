"""The exact store: every vector compared with every query by one matrix product. The reference for all other stores."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.sealing import unseal
from quarry.indexer.stores.base import Neighbour
from quarry.indexer.stores.blas import one_thread
from quarry.indexer.stores.checks import check_addition, check_search, precise_similarities, rounding
from quarry.indexer.stores.exact.additions import Additions
from quarry.indexer.stores.exact.files import ASCENDING, StoredIds, checked_ids, load_ids, load_vectors, save_ids
from quarry.indexer.stores.sealed import (
    HEADER_NAME,
    Header,
    State,
    new_state,
    no_header,
    numbered,
    other_content,
)

KIND = "exact"
_BLOCK_BYTES = 64 << 20  # similarities held at once
_GROUP = 16  # similarities represented by their maximum while the best are sought
_MANY_QUERIES = 8  # from here on the product is worth several threads
_PRECISE_ROWS = 4096  # vectors held in double precision at once


class ExactStore:
    """Vectors as one float32 matrix, memory-mapped when opened."""

    kind = KIND  # that its header names

    def __init__(self, folder: Path, ids: StoredIds | list[str], matrix: Vectors) -> None:
        self._folder = folder
        self._ids = StoredIds(ids) if isinstance(ids, list) else ids
        self._matrix = matrix
        self._added = Additions(folder, int(matrix.shape[1]))

    @classmethod
    def create(cls, folder: Path, dim: int) -> Self:
        """Make an empty store. Raises ValueError if dim < 1."""
        if dim < 1:
            raise ValueError(f"dim is {dim}; expected at least 1")
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, StoredIds([]), np.zeros((0, dim), dtype=np.float32))

    @classmethod
    def open(cls, folder: Path, *, verified: bool = False) -> Self:
        """Open what `flush` wrote. Raises IndexFormatError when it is not such a store or is damaged."""
        return cls.of_header(folder, Header.read(folder, cls.kind, verified=verified))

    @classmethod
    def of_header(cls, folder: Path, header: Header | None) -> Self:
        """Open the vectors and ids that a header names; without a header, read a folder of format 1.

        Raises:
            IndexFormatError: If a file is missing or damaged, or they do not belong together.
        """
        if header is None:
            return cls._of_first_format(folder)
        vectors = numbered(folder, "vectors", header.number, ".npy")
        return cls(folder, load_ids(folder, header), load_vectors(vectors, (header.count, header.dim)))

    @classmethod
    def _of_first_format(cls, folder: Path) -> Self:
        path = folder / HEADER_NAME
        try:
            facts = unseal(path)
        except (FileNotFoundError, NotADirectoryError) as err:
            raise no_header(folder) from err
        kind, ids, dim = facts.get("kind"), facts.get("ids"), facts.get("dim")
        if kind != KIND or not isinstance(dim, int) or dim < 1:
            raise other_content(
                path,
                Message.of("stores.kind_and_dim", "kind {kind} and dim {dim}", kind=repr(kind), dim=repr(dim)),
                Message.of("stores.kind_and_number", "kind {kind} and a number", kind=repr(KIND)),
            )
        ids = checked_ids(ids, None, path)
        return cls(folder, StoredIds(ids), load_vectors(folder / "vectors.npy", (len(ids), dim)))

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

    def holds(self, chunk_id: str) -> bool:
        """Whether an id is stored."""
        return self._ids.row(chunk_id) is not None

    def similarities(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        """Return similarities that depend on nothing but the two vectors; see `VectorStore.similarities`.

        Raises:
            KeyError: If an id is not stored.
        """
        rows = [self._ids.row(chunk_id) for chunk_id in ids]
        if None in rows:
            raise KeyError(ids[rows.index(None)])
        values: list[float] = self._precise(query, np.array(rows, dtype=np.int64)).tolist()
        return values

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest."""
        return {"kind": self.kind, "index": "flat", "count": len(self), "recall@10": 1.0, "unindexed": 0}

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add all or nothing. Raises ValueError on a duplicate id, a wrong shape or a non-finite value."""
        check_addition(ids, vectors, self.dim, () if self._ids.follow(ids) else self._ids)
        self._added.add(vectors)
        self._ids.extend(ids)

    def remove(self, ids: Collection[str]) -> int:
        """Remove these; return how many were there."""
        gone = {chunk_id for chunk_id in ids if chunk_id in self._ids}
        if gone:
            stored = list(self._ids)
            keep = [row for row, chunk_id in enumerate(stored) if chunk_id not in gone]
            self._matrix = self._vectors()[keep]
            self._ids = StoredIds([stored[row] for row in keep])
        return len(gone)

    def _vectors(self) -> Vectors:
        if len(self._added):
            added = self._added.take()
            self._matrix = np.concatenate([self._matrix, added]) if len(self._matrix) else added
        return self._matrix

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return stored vectors by row number, shape (len(rows), dim)."""
        return np.asarray(self._vectors()[rows])

    def similarities_of(self, query: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the similarities of stored vectors with a query of shape (dim,), up to rounding; shape (len(rows),)."""
        vectors = self.vectors_of(rows)
        with one_thread():
            similarities: NDArray[np.float32] = vectors @ query
        return similarities

    def rows_of(self, ids: Collection[str]) -> NDArray[np.int64]:
        """Return the row numbers of those ids that are stored, increasing."""
        return self._ids.rows(ids)

    def best_of(
        self, query: Vectors, rows: NDArray[np.int64], k: int, *, complete: bool = False
    ) -> list[Neighbour] | None:
        """Return the k best of some candidate rows for one query of shape (dim,), by exact similarity.

        Args:
            query: The query.
            rows: The candidates, each once.
            k: How many to return at most.
            complete: Whether there are no other rows that could come out.

        Returns:
            None when the candidates end inside a run of equal similarities, so that others may belong before them.
        """
        similarities = self.similarities_of(query, rows)
        k = min(k, len(rows))
        if not complete:
            threshold = np.partition(similarities, len(rows) - k)[len(rows) - k]
            if similarities.min() >= threshold - rounding(self.dim, threshold):
                return None
        return self._best(query, similarities, k, rows)

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks for each query, exactly; see `VectorStore.search`.

        Raises:
            ValueError: If k < 1 or queries is not (n, dim).
        """
        check_search(queries, k, self.dim)
        rows = None if allowed is None else self.rows_of(allowed)
        return self._compared(queries, k, rows)

    def _compared(self, queries: Vectors, k: int, rows: NDArray[np.int64] | None) -> list[list[Neighbour]]:
        """Compare with all vectors, or with those of some rows."""
        matrix = self._vectors() if rows is None else self.vectors_of(rows)
        if not len(matrix):
            return [[] for _ in range(len(queries))]
        block = max(1, _BLOCK_BYTES // (4 * len(matrix)))
        found: list[list[Neighbour]] = []
        for first in range(0, len(queries), block):
            part = queries[first : first + block]
            with _threads_for(len(part)):
                lines = zip(part, part @ matrix.T, strict=True)
            found.extend(self._best(query, line, min(k, len(matrix)), rows) for query, line in lines)
        return found

    def _best(
        self, query: Vectors, similarities: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None
    ) -> list[Neighbour]:
        """Sort the k best, and compute again whatever rounding could have put in a wrong order.

        The last bits of a matrix product depend on where in the matrix a vector stands.
        """
        bound = _reached(similarities, k)
        local = np.flatnonzero(similarities >= bound - rounding(self.dim, bound))
        if len(local) < k:  # only what is not a number is not ordered, and the queries were checked
            raise IndexFormatError(
                "stores.not_finite",
                "a vector stored in {folder} is not finite",
                do="See `quarry doctor INDEX`, roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
                folder=self._folder,
            )
        values = similarities[local]
        order = np.argsort(-values)
        values = values[order]
        doubt = rounding(self.dim, values[k - 1])
        count = int(np.searchsorted(-values, doubt - values[k - 1], side="right"))  # those that may be among the k best
        values, local = values[:count], local[order[:count]]
        stored = local if rows is None else rows[local]
        close = values[:-1] - values[1:] <= doubt
        if close.any():
            unsure = np.zeros(len(values), dtype=np.bool_)
            unsure[:-1] = close
            unsure[1:] |= close
            values[unsure] = self._precise(query, stored[unsure])
            order = np.lexsort((self._ids.order()[stored], -values))
            stored, values = stored[order], values[order]
        return [
            Neighbour(self._ids[row], value)
            for row, value in zip(stored[:k].tolist(), values[:k].tolist(), strict=True)
        ]

    def _precise(self, query: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Similarities that depend on nothing but the two vectors: products and sums in double precision."""
        out = np.empty(len(rows), dtype=np.float32)
        for first in range(0, len(rows), _PRECISE_ROWS):
            part = slice(first, first + _PRECISE_ROWS)
            out[part] = precise_similarities(query, self.vectors_of(rows[part]))
        return out

    def flush(self) -> None:
        """Write everything to the folder, durably and as one step; a crash leaves what was flushed before."""
        with new_state(self._folder) as state:
            facts = self.write_into(state)
            state.seal(self.kind, self.dim, len(self), facts)

    def write_into(self, state: State) -> dict[str, Any]:
        """Write vectors and ids as data files of a state that is still to be sealed; return what its header says of them."""
        path = state.path("vectors", ".npy")
        if self._added.become(self._vectors(), path):
            self._matrix = load_vectors(path, (len(self), self.dim))
        else:
            with path.open("wb") as handle:
                np.save(handle, self._vectors(), allow_pickle=False)
        return {ASCENDING: save_ids(self._ids, state)}


def _threads_for(queries: int) -> AbstractContextManager[object]:
    """One thread for the product with a few queries: bound by memory, it gains nothing from more."""
    return one_thread() if queries < _MANY_QUERIES else nullcontext()


def _reached(similarities: NDArray[np.float32], k: int) -> float:
    """A value that at least k similarities reach: the k-th highest of the maxima of groups, or of all when there are few.

    It is slightly below the k-th best and much cheaper to find.
    """
    groups = len(similarities) // _GROUP
    if groups < k:
        return float(np.partition(similarities, len(similarities) - k)[len(similarities) - k])
    highest = similarities[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    return float(np.partition(highest, groups - k)[groups - k])
