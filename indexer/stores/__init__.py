"""Vector stores: `auto`, `exact`, `faiss` and `lance`, behind one protocol.

    ids and unit vectors -> `add`, checked first             base (the protocol), checks
    -> kept as they are, or indexed and tuned by `flush`     exact (exact_files, additions), auto (codes); faiss_store, lance_store
    -> data files, then the header that names them           sealed
    queries -> `search`: the k most similar, by cosine       each store; approximate ones rescore exactly, on all cores (shares)
    the stores of a generation's segments, asked as one       union; parts opens them with texts and terms

The door is `store_class`. Heavy libraries load only when their store is asked for.
"""

from importlib import import_module

from quarry.indexer.stores.base import Neighbour, VectorStore, WritableStore

_CLASSES = {
    "auto": ("quarry.indexer.stores.auto", "AutoStore"),
    "exact": ("quarry.indexer.stores.exact", "ExactStore"),
    "faiss": ("quarry.indexer.stores.faiss_store", "FaissStore"),
    "lance": ("quarry.indexer.stores.lance_store", "LanceStore"),
}
STORE_KINDS = tuple(_CLASSES)

__all__ = ["STORE_KINDS", "Neighbour", "VectorStore", "WritableStore", "store_class"]


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
    if kind not in _CLASSES:
        raise ValueError(f"unknown store {kind!r}; expected {', '.join(STORE_KINDS)}")
    module, name = _CLASSES[kind]
    found: type[WritableStore] = getattr(import_module(module), name)
    return found
