"""The two first stages: dense retrieval over the stored vectors, and BM25 over the index's own terms."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from time import perf_counter

from quarry.indexer.embedder import Embedder
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.messages import Message
from quarry.indexer.stores.base import VectorStore
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking, StageReport, StageScore
from quarry.retriever.stages.languages import Languages, Near


@dataclass(frozen=True, slots=True)
class DenseRetriever:
    """A Retriever over vectors. The embedder is loaded at the first query, so that opening an index is quick."""

    embedder: Callable[[], Embedder]
    store: VectorStore
    languages: Languages | None = None

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k passages of highest cosine for each query; in an index of two languages, after evening them out."""
        if not queries:
            return []
        started = perf_counter()
        texts = [query.text for query in queries]
        vectors = self.embedder().embed_queries(texts)
        if self.languages is None:
            found = [
                [Near(chunk_id, similarity, 0.0) for chunk_id, similarity in neighbours]
                for neighbours in self.store.search(vectors, k, allowed=allowed)
            ]
        else:
            found = self.languages.search(self.store, texts, vectors, k, allowed)
        share = (perf_counter() - started) * 1000 / len(queries)
        return [
            Ranking.of(query, _hits(near), k, (StageReport("dense", "ran", _raised(near), share, len(near)),))
            for query, near in zip(queries, found, strict=True)
        ]


def _hits(near: Sequence[Near]) -> list[Hit]:
    return [
        Hit(
            one.chunk_id,
            one.cosine + one.raised,
            "dense",
            Evidence(dense=StageScore(rank, one.cosine), raised=one.raised),
        )
        for rank, one in enumerate(near, start=1)
    ]


def _raised(near: Sequence[Near]) -> Message | None:
    most = max((one.raised for one in near), default=0.0)
    if not most:
        return None
    return Message.of("stages.languages_evened", "passages in the other language were raised by {most:.3f}", most=most)


@dataclass(frozen=True, slots=True)
class LexicalRetriever:
    """A Retriever over terms. It never returns a passage that shares no term with the query."""

    index: LexicalIndex
    analyzer: Analyzer

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k passages of highest BM25 score for each query."""
        return [self._retrieve_one(query, k, allowed) for query in queries]

    def _retrieve_one(self, query: Query, k: int, allowed: Collection[str] | None) -> Ranking:
        started = perf_counter()
        found = self.index.search(self.analyzer.query_tokens(query.text), k, allowed=allowed)
        hits = [
            Hit(hit.chunk_id, hit.score, "bm25", Evidence(bm25=StageScore(rank, hit.score), terms=hit.terms))
            for rank, hit in enumerate(found, start=1)
        ]
        elapsed = (perf_counter() - started) * 1000
        return Ranking.of(query, hits, k, (StageReport("bm25", "ran", milliseconds=elapsed, candidates=len(hits)),))
