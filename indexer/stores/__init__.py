"""Vector stores: `exact`, `faiss` and `lance`, behind one protocol. Heavy libraries load only when their store is asked for."""

from importlib import import_module

from quarry.indexer.stores.base import Neighbour, VectorStore

_CLASSES = {
    "exact": ("quarry.indexer.stores.exact", "ExactStore"),
    "faiss": ("quarry.indexer.stores.faiss_store", "FaissStore"),
    "lance": ("quarry.indexer.stores.lance_store", "LanceStore"),
}
STORE_KINDS = tuple(_CLASSES)

__all__ = ["STORE_KINDS", "Neighbour", "VectorStore", "store_class"]


def store_class(kind: str) -> type[VectorStore]:
    """Return the store class of a kind.

    Raises:
        ValueError: If the kind is unknown.
    """
    if kind not in _CLASSES:
        raise ValueError(f"unknown store {kind!r}; expected {', '.join(STORE_KINDS)}")
    module, name = _CLASSES[kind]
    found: type[VectorStore] = getattr(import_module(module), name)
    return found
