"""Stores are found by their kind."""

import pytest

from quarry.indexer.stores import STORE_KINDS, store_class


def test_every_kind_has_its_class():
    assert [store_class(kind).__name__ for kind in STORE_KINDS] == [
        "AutoStore",
        "ExactStore",
        "FaissStore",
        "LanceStore",
    ]


def test_an_unknown_store_is_refused():
    with pytest.raises(ValueError, match="unknown store 'chroma'; expected auto, exact, faiss, lance, milvus, qdrant"):
        store_class("chroma")
