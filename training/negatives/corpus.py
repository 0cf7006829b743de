"""The passages that negatives are mined from: an opened index, or plain texts with an embedder. It chooses nothing.

Searching is done by the same retrievers that answer users, without time budgets, and a stage that fails is an error here:
negatives of another route than the one asked for would be worse than none.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, EmbedderSpec, Progress, TokenSpans, Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.lexical.analyzer import Analyzer, analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.lexical.choice import SAMPLE, suited_analyzer
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.opened import Index
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.exact.store import ExactStore
from quarry.retriever.base import Passages, Retriever
from quarry.retriever.ranking import Query, Ranking, Route
from quarry.retriever.searcher import document_of
from quarry.retriever.stages.hybrid import HybridRetriever, WithFallback
from quarry.retriever.stages.single import DenseRetriever, LexicalRetriever

_REMEMBERED = 50_000  # query vectors kept: 75 MB at 384 dimensions


class MiningCorpus:
    """Passages with their vectors and terms."""

    def __init__(
        self,
        ids: Sequence[str],
        passages: Passages,
        lexical: tuple[LexicalIndex, Analyzer],
        dense: tuple[VectorStore, Embedder] | None,
    ) -> None:
        self.ids = ids
        self._known = frozenset(ids)
        self._documents = frozenset(document_of(name) for name in ids) - {""}
        self._passages = passages
        self._lexical, self._analyzer = lexical
        self._store = dense[0] if dense else None
        self._embedder = _Remembering(dense[1]) if dense else None

    @classmethod
    def from_index(cls, index: Index, embedder: Embedder | None) -> Self:
        """Mine from an opened index (`searcher.index`).

        Args:
            index: The index.
            embedder: The one it was built with; None, or an index without vectors, leaves BM25 only.

        Raises:
            IndexMismatchError: If the embedder is not the index's.
        """
        ids, _ = index.chunks.digests()
        dense = None
        if embedder is not None and index.vectors is not None:
            index.check_embedder(embedder.spec)
            dense = (index.vectors, embedder)
        return cls(ids, index.chunks, (index.lexical, index.analyzer), dense)

    @classmethod
    def from_texts(cls, texts: Iterable[str], embedder: Embedder | None, *, progress: Progress | None = None) -> Self:
        """Mine from plain texts, each counted once. They are encoded here, once.

        Raises:
            ValueError: If there is no text.
        """
        unique = list(dict.fromkeys(text for text in texts if text.strip()))
        if not unique:
            raise ValueError("there are no texts to mine from; expected at least one")
        ids = [f"text-{number:09d}" for number in range(len(unique))]
        words = analyzer(suited_analyzer(unique[:SAMPLE]).analyzer)
        lexical = UnionIndex.build(ids, (words.passage_terms(text) for text in unique))
        dense = None
        if embedder is not None:
            store = ExactStore(Path(), list(ids), embedder.embed_documents(unique, progress=progress))
            dense = (store, embedder)
        return cls(ids, _Texts(dict(zip(ids, unique, strict=True))), (lexical, words), dense)

    def holds(self, name: str) -> bool:
        """Tell whether there is a passage, or a document, of this id."""
        return name in self._known or name in self._documents

    @property
    def has_vectors(self) -> bool:
        """Whether scores are cosines; BM25 scores otherwise."""
        return self._store is not None

    def rankings(self, queries: Sequence[str], pool: Route, depth: int) -> list[Ranking]:
        """Return the best passages for each query, at most `depth`.

        Raises:
            ModelError: If the pool needs vectors and there are none, or the embedder fails.
        """
        asked = [Query(str(number), text) for number, text in enumerate(queries)]
        found = self._retriever(pool).retrieve(asked, depth)
        failed = next((ranking.degraded for ranking in found if ranking.degraded), ())
        if failed:
            raise ModelError(
                "negatives.mining_failed",
                "mining from the pool {pool} failed: {why}",
                expected="every stage to run",
                pool=repr(pool),
                why=failed[0],
            )
        return found

    def scores(self, queries: Sequence[str], ids: Sequence[str]) -> list[dict[str, float]]:
        """Return how similar some passages are to each query: cosines, or BM25 scores where there are no vectors.

        Passages that are not in the corpus are left out.
        """
        known = [passage_id for passage_id in ids if passage_id in self._known]
        if not known:
            return [{} for _ in queries]
        if self._store is None or self._embedder is None:
            return [self._bm25_scores(query, known) for query in queries]
        found = self._store.search(self._embedder.embed_queries(queries), len(known), allowed=known)
        return [{neighbour.chunk_id: neighbour.similarity for neighbour in neighbours} for neighbours in found]

    def text_scores(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """Return the cosine of each (query, text) pair, encoded in one batch; None where there are no vectors."""
        if self._embedder is None or not pairs:
            return [None] * len(pairs)
        texts = list(dict.fromkeys(text for _, text in pairs))
        rows = {text: row for row, text in enumerate(texts)}
        vectors = self._embedder.embed_documents(texts)
        queries = self._embedder.embed_queries([query for query, _ in pairs])
        return [float(queries[place] @ vectors[rows[text]]) for place, (_, text) in enumerate(pairs)]

    def _bm25_scores(self, query: str, ids: list[str]) -> dict[str, float]:
        hits = self._lexical.search(self._analyzer.query_tokens(query), len(ids), allowed=ids)
        return dict.fromkeys(ids, 0.0) | {hit.chunk_id: hit.score for hit in hits}

    def texts(self, ids: Sequence[str]) -> list[str]:
        """Return passage texts in order. Raises KeyError naming a missing id."""
        return self._passages.texts(ids)

    def _retriever(self, pool: Route) -> Retriever:
        lexical = LexicalRetriever(self._lexical, self._analyzer)
        if pool == "bm25":
            return lexical
        store, embedder = self._store, self._embedder
        if store is None or embedder is None:
            raise ModelError(
                "negatives.no_vectors",
                "the pool {pool} needs vectors and an embedder, and there are none",
                expected="both",
                do="Use the pool 'bm25', or build the index with a model",
                pool=repr(pool),
            )
        dense = DenseRetriever(lambda: embedder, store)
        return (
            dense
            if pool == "dense"
            else HybridRetriever(WithFallback(dense, lexical), lexical, self._lexical, self._analyzer)
        )


class _Texts:
    """Passages in memory."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def texts(self, chunk_ids: Sequence[str]) -> list[str]:
        return [self._texts[chunk_id] for chunk_id in chunk_ids]


class _Remembering:
    """An Embedder that keeps the vectors of queries, so that each is encoded once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    @property
    def spec(self) -> EmbedderSpec:
        return self._embedder.spec

    @property
    def tokens(self) -> TokenSpans:
        return self._embedder.tokens

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        if len(self._vectors) > _REMEMBERED:
            self._vectors.clear()
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            self._vectors |= zip(new, self._embedder.embed_queries(new), strict=True)
        return np.stack([self._vectors[text] for text in texts]) if texts else self._embedder.embed_queries(())

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        return self._embedder.embed_documents(texts, progress=progress)
