"""Embeddings of the questions that were just asked, so that judging what was found does not encode a question again."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder

_KEPT = 256  # questions per embedder
_RECENT: WeakKeyDictionary[Embedder, OrderedDict[str, NDArray[np.float32]]] = WeakKeyDictionary()
_LOCK = Lock()


def embed_asked(embedder: Embedder, questions: Sequence[str]) -> NDArray[np.float32]:
    """Encode questions, shape (questions, dim), and keep the embeddings for `vector_of`."""
    vectors = embedder.embed_queries(list(questions))
    with _LOCK:
        kept = _RECENT.setdefault(embedder, OrderedDict())
        kept.update(zip(questions, vectors, strict=True))
        while len(kept) > _KEPT:
            kept.popitem(last=False)
    return vectors


def vector_of(embedder: Embedder, question: str) -> NDArray[np.float32]:
    """Return a question's embedding, shape (dim,): the one that the search made, where it is still there."""
    with _LOCK:
        recent = _RECENT.get(embedder)
        kept = None if recent is None else recent.get(question)
    if kept is not None:
        return kept
    vector: NDArray[np.float32] = embedder.embed_queries([question])[0]
    return vector
