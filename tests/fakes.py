"""Small deterministic stand-ins for models: no torch, no network. They are never the subject of a test."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import EmbedderSpec, Progress, Vectors
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.models.token_spans import ScriptTokens


class WordEmbedder:
    """Each word or Chinese bigram is hashed to a fixed random direction; a text is their sum, of unit length."""

    def __init__(self, revision: str = "1", dim: int = 64) -> None:
        self.spec = EmbedderSpec("tests/words", revision, dim, 512, "mean")
        self.tokens = ScriptTokens()
        self.texts_encoded = 0
        self._analyzer = analyzer("bigram")

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts)

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        self.texts_encoded += len(texts)
        if progress is not None:
            progress(len(texts))
        return self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), self.spec.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in self._analyzer.tokens(text) or ["\0"]:
                out[row] += _direction(f"{self.spec.revision}{word}", self.spec.dim)
        return out / np.linalg.norm(out, axis=1, keepdims=True)


@lru_cache(maxsize=1 << 16)
def _direction(word: str, dim: int) -> NDArray[np.float32]:
    seed = int.from_bytes(sha256(word.encode()).digest()[:8])
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)


class OverlapReranker:
    """Scores a passage by the share of the query's terms in it."""

    name = "tests/overlap"

    def __init__(self) -> None:
        self.passages_scored = 0

    def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        self.passages_scored += len(passages)
        wanted = set(analyzer("bigram").tokens(query))
        shares = [
            len(wanted.intersection(analyzer("bigram").tokens(passage))) / max(1, len(wanted)) for passage in passages
        ]
        return np.array(shares, dtype=np.float32)
