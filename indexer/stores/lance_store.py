"""The LanceDB store: vectors in a Lance table with scalar indexes on chunk and document id. The only module that imports lancedb.

Up to 100,000 vectors search is exact; above, `flush` builds an IVF-HNSW-SQ index and tunes it, with exact rescoring
(refine), until recall@10 against exact search reaches 0.95. Rows that are not indexed yet are found by scan.
"""

import os
from collections.abc import Collection, Sequence
from datetime import timedelta
from json import dumps, loads
from pathlib import Path
from typing import Any, Self

import numpy as np

from indexer.durable import write_atomic
from indexer.embedder import Vectors
from indexer.errors import IndexFormatError
from indexer.stores.base import Neighbour
from indexer.stores.exact import check_addition, check_search, tuning_queries

KIND = "lance"
TARGET_RECALL = 0.95
_FACTS_NAME, _DATABASE, _TABLE = "lance.json", "lance", "vectors"
_INDEX_FROM = 100_000
_IDS_PER_FILTER = 2_000  # ids in one `id IN (...)`; more are searched in parts and merged
_TIES = 16  # rows read past k, so that equal similarities at the cut come in id order
_TUNING_QUERIES = 100


class LanceStore:
    """A VectorStore on LanceDB."""

    def __init__(self, folder: Path, dim: int, facts: dict[str, Any]) -> None:
        os.environ.setdefault("LANCE_LOG", "error")
        import lancedb

        self._folder = folder
        self._dim = dim
        self._facts = facts
        self._db = lancedb.connect(str(folder / _DATABASE), read_consistency_interval=timedelta(seconds=0))
        self._table: Any = None
        self._ids: list[str] = []
        self._known: set[str] = set()

    @classmethod
    def create(cls, folder: Path, dim: int) -> Self:
        """Make an empty store. Raises ValueError if dim < 1."""
        if dim < 1:
            raise ValueError(f"dim is {dim}; expected at least 1")
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, dim, {"index": "none", "search": 0, "refine": 1, "recall@10": 1.0})
        store._table = store._db.create_table(_TABLE, schema=store._schema())
        return store

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `flush` wrote. Raises IndexFormatError when it is not such a store or is damaged."""
        try:
            facts = loads((folder / _FACTS_NAME).read_text(encoding="utf-8"))
            store = cls(folder, facts["dim"], facts["search"])
            store._table = store._db.open_table(_TABLE)
            store._ids = (
                store._table.search().select(["id"]).limit(None).to_arrow()["id"].to_pylist() if facts["count"] else []
            )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as err:
            raise IndexFormatError(f"{folder} is no readable LanceDB store ({err}); index again or roll back") from err
        store._known = set(store._ids)
        if len(store._ids) != facts["count"]:
            raise IndexFormatError(
                f"{folder} holds {len(store._ids)} vectors, expected {facts['count']}; index again or roll back"
            )
        return store

    def _schema(self) -> Any:
        import pyarrow as pa

        vector = pa.list_(pa.float32(), self._dim)
        return pa.schema([pa.field("id", pa.utf8()), pa.field("doc_id", pa.utf8()), pa.field("vector", vector)])

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._dim

    @property
    def ids(self) -> Sequence[str]:
        """All chunk ids."""
        return self._ids

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest: index type, tuned effort, recall@10, table version, rows not indexed."""
        indexed = self._facts["index"] != "none"
        unindexed = self._table.index_stats("vector_idx").num_unindexed_rows if indexed else 0
        return {"kind": KIND, "count": len(self), **self._facts, "version": self._table.version, "unindexed": unindexed}

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add all or nothing. Raises ValueError on a duplicate id, a wrong shape or a non-finite value."""
        import pyarrow as pa

        check_addition(ids, vectors, self._dim, self._known)
        if not ids:
            return
        values = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
        documents = [chunk_id.rpartition("#")[0] or chunk_id for chunk_id in ids]
        columns = [pa.array(ids), pa.array(documents), pa.FixedSizeListArray.from_arrays(values, self._dim)]
        self._table.add(pa.Table.from_arrays(columns, schema=self._schema()))
        self._ids.extend(ids)
        self._known.update(ids)

    def remove(self, ids: Collection[str]) -> int:
        """Remove these; return how many were there."""
        gone = sorted(self._known.intersection(ids))
        for first in range(0, len(gone), _IDS_PER_FILTER):
            self._table.delete(_id_filter(gone[first : first + _IDS_PER_FILTER]))
        self._known.difference_update(gone)
        self._ids = [chunk_id for chunk_id in self._ids if chunk_id in self._known]
        return len(gone)

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks; see `VectorStore.search`. Raises ValueError if k < 1 or queries is not (n, dim)."""
        check_search(queries, k, self._dim)
        if not self._ids:
            return [[] for _ in range(len(queries))]
        if allowed is None:
            return [_best(self._rows(query, k, None), k) for query in queries]
        wanted = sorted(self._known.intersection(allowed))
        parts = [wanted[first : first + _IDS_PER_FILTER] for first in range(0, len(wanted), _IDS_PER_FILTER)]
        return [
            _best([row for part in parts for row in self._rows(query, k, _id_filter(part))], k) for query in queries
        ]

    def _rows(self, query: Vectors, k: int, where: str | None, *, exact: bool = False) -> list[Neighbour]:
        search = self._table.search(np.ascontiguousarray(query, dtype=np.float32)).distance_type("dot")
        if self._facts["index"] == "none" or exact:
            search = search.bypass_vector_index()
        else:
            search = search.nprobes(self._facts["search"]).refine_factor(self._facts["refine"])
            search = search.ef(2 * (k + _TIES) * self._facts["refine"])
        if where is not None:
            search = search.where(where, prefilter=True)
        table = search.select(["id", "_distance"]).limit(k + _TIES).to_arrow()
        distances = table["_distance"].to_pylist()
        return [Neighbour(i, 1.0 - distance) for i, distance in zip(table["id"].to_pylist(), distances, strict=True)]

    def flush(self) -> None:
        """Compact the table, build its indexes, tune the vector index when there is one, and write the facts last."""
        from lancedb.index import BTree, HnswSq

        if self._ids:
            self._table.optimize(cleanup_older_than=timedelta(days=7))
            for column in ("id", "doc_id"):
                self._table.create_index(column, config=BTree(), replace=True)
            if len(self._ids) > _INDEX_FROM:
                self._table.create_index(
                    "vector", config=HnswSq(distance_type="dot", m=20, ef_construction=200), replace=True
                )
                self._facts["index"] = "ivf-hnsw-sq"
                self._tune()
        facts = {"kind": KIND, "dim": self._dim, "count": len(self._ids), "search": self._facts}
        write_atomic(self._folder / _FACTS_NAME, dumps(facts).encode())

    def _tune(self) -> None:
        sample = (
            self._table.search().select(["vector"]).limit(2 * _TUNING_QUERIES).to_arrow()["vector"].combine_chunks()
        )
        queries = tuning_queries(sample.values.to_numpy().reshape(-1, self._dim), _TUNING_QUERIES)
        truth = [{hit.chunk_id for hit in _best(self._rows(query, 10, None, exact=True), 10)} for query in queries]
        for refine in (10, 30):
            for probes in (1, 4, 16, 64):
                self._facts |= {"search": probes, "refine": refine}
                found = [{hit.chunk_id for hit in hits} for hits in self.search(queries, 10)]
                recall = sum(len(a & b) / len(a) for a, b in zip(truth, found, strict=True)) / len(truth)
                self._facts["recall@10"] = round(recall, 4)
                if recall >= TARGET_RECALL:
                    return
        self._facts["note"] = f"recall@10 of {TARGET_RECALL} was not reached; use --store exact for full recall"


def _best(rows: list[Neighbour], k: int) -> list[Neighbour]:
    return sorted(rows, key=lambda row: (-row.similarity, row.chunk_id))[:k]


def _id_filter(ids: Sequence[str]) -> str:
    quoted = ", ".join("'" + chunk_id.replace("'", "''") + "'" for chunk_id in ids)
    return f"id IN ({quoted})"
