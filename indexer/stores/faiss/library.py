"""FAISS indexes: made, written, read and searched. The only module that imports faiss.

Three kinds: `flat` compares every vector, `hnsw-sq8` walks a graph of vectors in bytes, `ivf-pq` looks into some lists of vectors in
fewer bytes still. The library is untyped here: its stubs lack the search parameters.
"""

from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.messages import Message
from quarry.indexer.stores.checks import vectors_message
from quarry.indexer.stores.faiss.file import limited_to
from quarry.indexer.stores.sealed import other_content, unreadable

IndexKind = Literal["flat", "hnsw-sq8", "ivf-pq"]
_POINTS_PER_CENTROID = 39  # FAISS wants this many to train one, and prints warnings below
IVF_LEAST = 16 * _POINTS_PER_CENTROID  # vectors; product quantization cannot be trained on fewer


def make_index(kind: IndexKind, vectors: Vectors, dim: int) -> Any:
    """Return an index of vectors, shape (n, dim)."""
    faiss = _faiss()
    if kind == "flat":
        index = faiss.IndexFlatIP(dim)
    elif kind == "hnsw-sq8":
        index = faiss.index_factory(dim, "HNSW32,SQ8", faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
    else:
        lists = max(1, min(int(4 * len(vectors) ** 0.5), len(vectors) // _POINTS_PER_CENTROID))
        # 256 centroids per sub-vector want 9,984 training points; below that 16 centroids do
        bits = "" if len(vectors) >= 256 * _POINTS_PER_CENTROID else "x4"
        parts = next(parts for parts in range(max(1, dim // 4), 0, -1) if dim % parts == 0)
        index = faiss.index_factory(dim, f"IVF{lists},PQ{parts}{bits}np", faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    return index


def write_index(index: Any, path: Path) -> None:
    """Write an index."""
    _faiss().write_index(index, str(path))


def read_index(path: Path, count: int, dim: int) -> Any:
    """Read an index of so many vectors of this length.

    Raises:
        IndexFormatError: If FAISS cannot read it, or it holds other vectors.
    """
    faiss = _faiss()
    try:
        with limited_to(path, faiss):
            index = faiss.read_index(str(path))
    except (RuntimeError, MemoryError) as err:
        wanted = Message.of("stores.faiss_index", "a FAISS index")
        raise unreadable(path, Message.plain(str(err)), wanted) from err
    if (index.ntotal, index.d) != (count, dim):
        raise other_content(path, vectors_message(index.ntotal, index.d), vectors_message(count, dim))
    return index


def on_gpus(index: Any) -> Any | None:
    """Return the index on the GPUs; None without faiss-gpu or a GPU."""
    faiss = _faiss()
    if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0:
        return faiss.index_cpu_to_all_gpus(index)
    return None


def set_effort(index: Any, effort: int) -> None:
    """Set how many candidates a search of the graph keeps, or how many lists it looks into."""
    if hasattr(index, "hnsw"):
        index.hnsw.efSearch = effort
    elif hasattr(index, "nprobe"):
        index.nprobe = effort


def nearest(index: Any, queries: Vectors, count: int) -> NDArray[np.int64]:
    """Return row numbers of the nearest vectors, shape (len(queries), count); -1 where there are no more."""
    rows: NDArray[np.int64] = index.search(np.ascontiguousarray(queries, dtype=np.float32), count)[1]
    return rows


def nearest_of(
    index: Any, queries: Vectors, count: int, rows: NDArray[np.int64], *, kind: IndexKind, effort: int
) -> NDArray[np.int64]:
    """Return what `nearest` returns, among some rows only."""
    faiss = _faiss()
    selector = faiss.IDSelectorBatch(rows)
    if kind == "hnsw-sq8":
        parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=max(effort, count))
    elif kind == "ivf-pq":
        parameters = faiss.SearchParametersIVF(sel=selector, nprobe=effort)
    else:
        parameters = faiss.SearchParameters(sel=selector)
    found: NDArray[np.int64] = index.search(np.ascontiguousarray(queries), count, params=parameters)[1]
    return found


def _faiss() -> Any:
    return import_module("faiss")
