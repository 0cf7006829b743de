"""Rows of a Lance table: written with one schema, read with the errors of Lance explained."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.stores.base import Neighbour
from quarry.indexer.stores.lance.table import check_place

_IDS_PER_FILTER = 2_000  # ids in one `id IN (...)`; more are searched in parts and merged
_TIES = 16  # rows read past k, so that equal similarities at the cut come in id order; more when they do not suffice
_COPY_ROWS = 8_192  # rows read at once when all are


@dataclass(frozen=True, slots=True)
class Effort:
    """How far the vector index is searched: so many partitions, and so many candidates per hit compared exactly."""

    probes: int
    refine: int


def connect(folder: Path) -> Any:
    """Return the database of a folder. Raises AccessError when Lance cannot name the folder."""
    check_place(folder)
    os.environ.setdefault("LANCE_LOG", "error")
    import lancedb

    return lancedb.connect(str(folder))  # a table handle sees its own changes, and no other process makes any


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what Lance raises for a damaged table into an error that says what to do.

    Raises:
        IndexFormatError: Instead of anything else; a panic of Lance's Rust code has no importable class.
    """
    try:
        yield
    except Exception as err:
        raise IndexFormatError(
            "stores.lance_fails",
            "{path} cannot be read by LanceDB ({error})",
            expected="an undamaged Lance table",
            do="`quarry doctor INDEX` names the damaged file. Roll back with `quarry generations INDEX --rollback`, or index again "
            "with --rebuild",
            path=path,
            error=str(err)[:300],
        ) from err


def schema_of(dim: int) -> Any:
    """Return the schema of a table of vectors of this length."""
    import pyarrow as pa

    vector = pa.list_(pa.float32(), dim)
    return pa.schema([pa.field("id", pa.utf8()), pa.field("doc_id", pa.utf8()), pa.field("vector", vector)])


def rows_of(ids: Sequence[str], vectors: Vectors) -> Any:
    """Return vectors, shape (len(ids), dim), as rows to add."""
    import pyarrow as pa

    dim = vectors.shape[1]
    values = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
    documents = [chunk_id.rpartition("#")[0] or chunk_id for chunk_id in ids]
    columns = [pa.array(ids), pa.array(documents), pa.FixedSizeListArray.from_arrays(values, dim)]
    return pa.Table.from_arrays(columns, schema=schema_of(dim))


def batches(table: Any) -> Any:
    """Return all rows of a table, some thousands at a time."""
    return table.search().limit(None).to_batches(_COPY_ROWS)


def by_id(table: Any, ids: Sequence[str], folder: Path) -> Iterator[tuple[list[str], Vectors]]:
    """Yield ids and vectors of those that are stored, in any order. Raises IndexFormatError when they cannot be read."""
    for where in id_filters(ids):
        with translated(folder):
            rows = table.search().where(where).select(["id", "vector"]).limit(_IDS_PER_FILTER).to_arrow()
        dim = rows.schema.field("vector").type.list_size
        yield rows["id"].to_pylist(), rows["vector"].combine_chunks().values.to_numpy().reshape(-1, dim)


def nearest(
    table: Any, query: Vectors, k: int, where: str | None, folder: Path, effort: Effort | None
) -> list[Neighbour]:
    """Return at least the k nearest rows, with all those that are exactly as near as the k-th.

    Args:
        table: The table.
        query: Shape (dim,).
        k: How many are wanted.
        where: A filter.
        folder: The store's, for errors.
        effort: How far the vector index is searched; None compares every row.

    Raises:
        IndexFormatError: If the table cannot be read.
    """
    count = k + _TIES
    while True:
        rows = _rows(table, query, count, where, folder, effort)
        if len(rows) < count or best_of(rows, k)[-1].similarity > min(row.similarity for row in rows):
            return rows
        count *= 4


def best_of(rows: list[Neighbour], k: int) -> list[Neighbour]:
    """Return the k nearest of some rows; equal ones in the order of their ids."""
    return sorted(rows, key=lambda row: (-row.similarity, row.chunk_id))[:k]


def id_filters(ids: Sequence[str]) -> Iterator[str]:
    """Yield filters that let rows of these ids through, each of some thousands of them."""
    for first in range(0, len(ids), _IDS_PER_FILTER):
        part = ids[first : first + _IDS_PER_FILTER]
        quoted = ", ".join("'" + chunk_id.replace("'", "''") + "'" for chunk_id in part)
        yield f"id IN ({quoted})"


def _rows(
    table: Any, query: Vectors, count: int, where: str | None, folder: Path, effort: Effort | None
) -> list[Neighbour]:
    search = table.search(np.ascontiguousarray(query, dtype=np.float32)).distance_type("dot")
    if effort is None:
        search = search.bypass_vector_index()
    else:
        search = search.nprobes(effort.probes).refine_factor(effort.refine).ef(2 * count * effort.refine)
    if where is not None:
        search = search.where(where, prefilter=True)
    with translated(folder):
        found = search.select(["id", "_distance"]).limit(count).to_arrow()
    distances = found["_distance"].to_pylist()
    return [Neighbour(i, 1.0 - distance) for i, distance in zip(found["id"].to_pylist(), distances, strict=True)]
