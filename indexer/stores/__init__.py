"""Vector stores: `auto`, `exact`, `faiss` and `lance`, and on a server `milvus` and `qdrant`, behind one protocol.

    ids and unit vectors -> `add`, checked first             base (the protocol), checks
    -> kept as they are, or indexed and tuned by `flush`     exact, auto, faiss, lance
    -> data files, then the header that names them           sealed
    candidates from a server, vectors of one's own            served
    queries -> `search`: the k most similar, by cosine       each store; approximate ones rescore exactly, on all cores (shares)
    the stores of a generation's segments, asked as one       union; parts opens them with texts and terms

The door is `store_class`. Heavy libraries load only when their store is asked for.
"""

from importlib import import_module
from pathlib import Path

from quarry.indexer.stores.base import Neighbour, VectorStore, WritableStore

_CLASSES = {
    "auto": ("quarry.indexer.stores.auto.store", "AutoStore"),
    "exact": ("quarry.indexer.stores.exact.store", "ExactStore"),
    "faiss": ("quarry.indexer.stores.faiss.store", "FaissStore"),
    "lance": ("quarry.indexer.stores.lance.store", "LanceStore"),
}
STORE_KINDS = tuple(_CLASSES)
_SERVED = {
    "milvus": ("quarry.indexer.stores.served.store", "MilvusStore"),
    "qdrant": ("quarry.indexer.stores.served.store", "QdrantStore"),
}
SERVED_KINDS = tuple(_SERVED)
"""Stores that need the address of a server."""
_ALL = _CLASSES | _SERVED
ALL_KINDS = tuple(_ALL)
"""What a manifest may name."""

__all__ = [
    "ALL_KINDS",
    "SERVED_KINDS",
    "STORE_KINDS",
    "Neighbour",
    "VectorStore",
    "WritableStore",
    "new_store",
    "store_class",
]


def new_store(kind: str, folder: Path, dim: int, uri: str = "") -> WritableStore:
    """Make an empty store in a new or empty folder.

    Args:
        kind: See `STORE_KINDS` and `SERVED_KINDS`.
        folder: Where.
        dim: Length of the vectors, at least 1.
        uri: The address of the server, for a store that needs one.

    Raises:
        ValueError: If the kind is unknown or dim < 1.
        SettingsError: If a store that needs a server is given no usable address.
        MissingExtraError: If the server's client is not installed.
    """
    if kind not in _SERVED:
        return store_class(kind).create(folder, dim)
    from quarry.indexer.stores.served.store import MilvusStore, QdrantStore

    return (MilvusStore if kind == "milvus" else QdrantStore).create(folder, dim, uri)


def store_class(kind: str) -> type[WritableStore]:
    """Return the store class of a kind.

    Raises:
        ValueError: If the kind is unknown.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> store = store_class("exact").create(Path("vectors"), 2)
        >>> store.add(["a#0-5", "b#0-5"], np.array([[1, 0], [0, 1]], dtype=np.float32))
        >>> store.search(np.array([[1, 0]], dtype=np.float32), k=1)
        [[Neighbour(chunk_id='a#0-5', similarity=1.0)]]
    """
    if kind not in _ALL:
        raise ValueError(f"unknown store {kind!r}; expected {', '.join(ALL_KINDS)}")
    module, name = _ALL[kind]
    found: type[WritableStore] = getattr(import_module(module), name)
    return found
