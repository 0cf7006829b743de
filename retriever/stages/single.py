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
from quarry.retriever.stages.names import NEAREST, Asked, Names


@dataclass(frozen=True, slots=True)
class DenseRetriever:
    """A Retriever over vectors. The embedder is loaded at the first query, so that opening an index is quick.

    `without` is why there are no titles to raise passages by, for the report.
    """

    embedder: Callable[[], Embedder]
    store: VectorStore
    languages: Languages | None = None
    names: Names | None = None
    without: Message | None = None

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k passages of highest cosine for each query, after evening out two languages and raising by titles."""
        if not queries:
            return []
        started = perf_counter()
        texts = [query.text for query in queries]
        vectors = self.embedder().embed_queries(texts)
        depth = k if self.names is None else max(k, NEAREST)
        if self.languages is None:
            found = [
                [Near(chunk_id, similarity) for chunk_id, similarity in neighbours]
                for neighbours in self.store.search(vectors, depth, allowed=allowed)
            ]
        else:
            found = self.languages.search(self.store, texts, vectors, depth, allowed)
        if self.names is not None:
            found = [
                self.names.raise_by(Asked(text, vector, allowed), near, k)
                for text, vector, near in zip(texts, vectors, found, strict=True)
            ]
        share = (perf_counter() - started) * 1000 / len(queries)
        return [
            Ranking.of(
                query, _hits(near), k, (StageReport("dense", "ran", _how(near) or self.without, share, len(near)),)
            )
            for query, near in zip(queries, found, strict=True)
        ]


def _hits(near: Sequence[Near]) -> list[Hit]:
    return [
        Hit(
            one.chunk_id,
            one.score,
            "dense",
            Evidence(dense=StageScore(rank, one.cosine), raised=one.raised, named=one.named),
        )
        for rank, one in enumerate(near, start=1)
    ]


def _how(near: Sequence[Near]) -> Message | None:
    """Return what was added to similarities; None when nothing was."""
    raised = max((one.raised for one in near), default=0.0)
    named = max((one.named for one in near), default=0.0)
    by_language = Message.of(
        "stages.languages_evened", "passages in the other language were raised by {most:.3f}", most=raised
    )
    by_name = Message.of("stages.raised_by_titles", "titles raised passages by up to {most:.3f}", most=named)
    if raised and named:
        return Message.of("stages.raised_twice", "{language}; {title}", language=by_language, title=by_name)
    if named:
        return by_name
    return by_language if raised else None


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
