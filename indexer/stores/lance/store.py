"""The LanceDB store: vectors in a Lance table with scalar indexes on chunk and document id.

Up to 100,000 vectors search is exact; above, `flush` builds an IVF-HNSW-SQ index and tunes it, with exact rescoring
(refine), until recall@10 against exact search reaches 0.95. Rows that are not indexed yet are found by scan.

`flush` copies the rows into a new table, which compacts them, and seals it with its version. Additions after that are
later versions of the sealed table; opening goes to the sealed version, so what was not flushed is rolled back.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.sealing import unseal
from quarry.indexer.stores.base import Neighbour
from quarry.indexer.stores.checks import (
    TARGET_RECALL,
    check_addition,
    check_search,
    ids_of,
    precise_similarities,
    recall,
    recall_missed,
    tuning_queries,
    vectors_message,
)
from quarry.indexer.stores.lance.rows import (
    Effort,
    batches,
    best_of,
    by_id,
    connect,
    id_filters,
    nearest,
    rows_of,
    schema_of,
    translated,
)
from quarry.indexer.stores.lance.table import check_table
from quarry.indexer.stores.lance.trial import remember, try_apart
from quarry.indexer.stores.sealed import (
    HEADER_NAME,
    Header,
    State,
    check_tuned,
    new_state,
    no_header,
    numbered,
    other_content,
    unreadable,
)

KIND = "lance"
_INDEX_FROM = 100_000
_TUNING_QUERIES = 100
_UNTUNED = {"index": "none", "search": 0, "refine": 1, "recall@10": 1.0}


class LanceStore:
    """A VectorStore on LanceDB."""

    def __init__(self, folder: Path, dim: int, facts: dict[str, Any]) -> None:
        self._folder = folder
        self._dim = dim
        self._facts = facts
        self._table: Any = None
        self._pinned = False  # to the sealed version; the first change goes on from there
        self._count = 0
        self._ids: dict[str, None] | None = {}  # None when they are in the table and were not read yet

    @classmethod
    def create(cls, folder: Path, dim: int) -> Self:
        """Make an empty store. Raises ValueError if dim < 1."""
        if dim < 1:
            raise ValueError(f"dim is {dim}; expected at least 1")
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, dim, dict(_UNTUNED))
        path = State(folder).path("vectors", ".lance")
        store._table = connect(folder).create_table(path.stem, schema=schema_of(dim))
        return store

    @classmethod
    def open(cls, folder: Path, *, verified: bool = False) -> Self:
        """Open what `flush` wrote; a table of somebody else is read by another process first (`trial`).

        Raises:
            IndexFormatError: If it is not such a store or is damaged.
        """
        Header.read(folder, KIND, verified=verified)
        try_apart(folder)
        return cls.open_here(folder, verified=True)

    @classmethod
    def open_here(cls, folder: Path, *, verified: bool = False) -> Self:
        """Open what `flush` wrote, whoever made it. Raises IndexFormatError when it is not such a store or is damaged."""
        header = Header.read(folder, KIND, verified=verified)
        if header is None:
            return cls._of_first_format(folder)
        facts = dict(header.facts)
        version = facts.pop("version", None)
        return cls._of_table(
            numbered(folder, "vectors", header.number, ".lance"), version, facts, (header.count, header.dim)
        )

    @classmethod
    def _of_table(cls, path: Path, version: int | None, facts: dict[str, Any], shape: tuple[int, int]) -> Self:
        """Open a table at a version, or at its newest, and compare its shape (rows, dim)."""
        if not path.is_dir():
            missing = Message.of("stores.missing", "it is missing")
            raise unreadable(path, missing, Message.of("stores.lance_table", "the folder of a Lance table"))
        header = path.parent / HEADER_NAME
        check_tuned(facts, header)
        check_table(path, version, facts["index"], shape)
        store = cls(path.parent, shape[1], facts)
        database = connect(path.parent)
        with translated(path):
            store._table = database.open_table(path.stem)
            store._table.checkout(store._table.version if version is None else version)
            store._pinned = True
            length = store._table.schema.field("vector").type.list_size
            store._count = store._table.count_rows()
        if (store._count, length) != shape:
            raise other_content(path, vectors_message(store._count, length), vectors_message(*shape))
        store._ids = None
        return store

    def _all(self) -> dict[str, None]:
        """All ids, in the order of the table; of an opened store they are read when they are first needed.

        Raises:
            IndexFormatError: If the table cannot be read, or holds an id twice.
        """
        if self._ids is None:
            with translated(self._folder):
                rows = self._table.search().select(["id"]).limit(None).to_arrow() if self._count else None
            self._ids = dict.fromkeys(rows["id"].to_pylist() if rows is not None else [])
            if len(self._ids) != self._count:
                path = self._folder / f"{self._table.name}.lance"
                found, wanted = vectors_message(len(self._ids), self._dim), vectors_message(self._count, self._dim)
                raise other_content(path, found, wanted)
        return self._ids

    @classmethod
    def _of_first_format(cls, folder: Path) -> Self:
        path = folder / "lance.json"
        try:
            content = unseal(path)
        except (FileNotFoundError, NotADirectoryError) as err:
            raise no_header(folder) from err
        count, dim, facts = content.get("count"), content.get("dim"), content.get("search")
        if not isinstance(count, int) or not isinstance(dim, int) or not isinstance(facts, dict):
            raise IndexFormatError(
                "stores.lance_facts",
                "{path} has no valid count, dim and search",
                do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
                path=path,
            )
        store = cls._of_table(folder / "lance" / "vectors.lance", None, facts, (count, dim))
        store._folder = folder
        return store

    def __len__(self) -> int:
        return self._count

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._dim

    @property
    def ids(self) -> Sequence[str]:
        """All chunk ids."""
        return list(self._all())

    def holds(self, chunk_id: str) -> bool:
        """Whether an id is stored."""
        return chunk_id in self._all()

    def similarities(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        """Return similarities that depend on nothing but the two vectors; see `VectorStore.similarities`."""
        found: dict[str, float] = {}
        for names, vectors in by_id(self._table, ids, self._folder):
            found.update(zip(names, precise_similarities(query, vectors).tolist(), strict=True))
        return [found[chunk_id] for chunk_id in ids]

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return stored vectors by row number, shape (len(rows), dim)."""
        ids = self.ids
        wanted = [ids[row] for row in rows.tolist()]
        found: dict[str, Vectors] = {}
        for names, vectors in by_id(self._table, wanted, self._folder):
            found.update(zip(names, vectors, strict=True))
        return np.array([found[name] for name in wanted], dtype=np.float32).reshape(-1, self._dim)

    def count_all(self) -> int:
        """Read every column of every row, and return how many rows there are. Raises IndexFormatError if one cannot be read."""
        with translated(self._folder):
            return sum(batch.num_rows for batch in batches(self._table))

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest: index type, tuned effort, recall@10, table version, rows not indexed."""
        indexed = self._facts["index"] != "none"
        unindexed = self._table.index_stats("vector_idx").num_unindexed_rows if indexed else 0
        return {"kind": KIND, "count": len(self), **self._facts, "version": self._table.version, "unindexed": unindexed}

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add all or nothing. Raises ValueError on a duplicate id, a wrong shape or a non-finite value."""
        check_addition(ids, vectors, self._dim, self._all())
        if not ids:
            return
        self._unpin()
        self._table.add(rows_of(ids, vectors))
        self._all().update(dict.fromkeys(ids))
        self._count += len(ids)

    def remove(self, ids: Collection[str]) -> int:
        """Remove these; return how many were there."""
        gone = sorted(self._all().keys() & set(ids))
        if gone:
            self._unpin()
        for where in id_filters(gone):
            self._table.delete(where)
        for chunk_id in gone:
            del self._all()[chunk_id]
        self._count -= len(gone)
        return len(gone)

    def _unpin(self) -> None:
        """Continue from the sealed version: what an earlier process added without a flush is dropped."""
        if self._pinned:
            self._table.restore()
            self._pinned = False

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks; see `VectorStore.search`. Raises ValueError if k < 1 or queries is not (n, dim)."""
        check_search(queries, k, self._dim)
        if not self._count:
            return [[] for _ in range(len(queries))]
        if allowed is None:
            return [best_of(self._nearest(query, k, None), k) for query in queries]
        wanted = sorted(self._all().keys() & set(allowed))
        filters = list(id_filters(wanted))
        return [best_of([row for where in filters for row in self._nearest(query, k, where)], k) for query in queries]

    def _nearest(self, query: Vectors, k: int, where: str | None, *, exact: bool = False) -> list[Neighbour]:
        facts = self._facts
        effort = None if exact or facts["index"] == "none" else Effort(facts["search"], facts["refine"])
        return nearest(self._table, query, k, where, self._folder, effort)

    def flush(self) -> None:
        """Copy the rows into a new table, build and tune its indexes, and seal it; a crash leaves what was flushed before."""
        from lancedb.index import BTree, HnswSq

        before = self._table, self._pinned, self._facts
        try:
            with new_state(self._folder) as state:
                name = state.path("vectors", ".lance").stem
                rows = batches(self._table) if self._count else None
                self._table = connect(self._folder).create_table(name, data=rows, schema=schema_of(self._dim))
                self._pinned, self._facts = False, dict(_UNTUNED)
                for column in ("id", "doc_id") if self._count else ():
                    self._table.create_index(column, config=BTree(), replace=True)
                if self._count > _INDEX_FROM:
                    self._table.create_index(
                        "vector", config=HnswSq(distance_type="dot", m=20, ef_construction=200), replace=True
                    )
                    self._facts["index"] = "ivf-hnsw-sq"
                    self._tune()
                state.seal(KIND, self._dim, len(self), {**self._facts, "version": self._table.version})
            remember(self._folder)
        except BaseException:
            self._table, self._pinned, self._facts = before
            raise

    def _tune(self) -> None:
        sample = (
            self._table.search().select(["vector"]).limit(2 * _TUNING_QUERIES).to_arrow()["vector"].combine_chunks()
        )
        queries = tuning_queries(sample.values.to_numpy().reshape(-1, self._dim), _TUNING_QUERIES)
        truth = ids_of([best_of(self._nearest(query, 10, None, exact=True), 10) for query in queries])
        for refine in (10, 30):
            for probes in (1, 4, 16, 64):
                self._facts |= {"search": probes, "refine": refine}
                reached = recall(truth, self.search(queries, 10))
                self._facts["recall@10"] = round(reached, 4)
                if reached >= TARGET_RECALL:
                    return
        self._facts["note"] = recall_missed().as_json()
