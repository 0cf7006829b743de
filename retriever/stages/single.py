"""The two first stages: dense retrieval over the stored vectors, and BM25 over the index's own terms."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from time import perf_counter

from quarry.indexer.embedder import Embedder
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.stores.base import VectorStore
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking, StageReport, StageScore


@dataclass(frozen=True, slots=True)
class DenseRetriever:
    """A Retriever over vectors. The embedder is loaded at the first query, so that opening an index is quick."""

    embedder: Callable[[], Embedder]
    store: VectorStore

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k passages of highest cosine for each query."""
        if not queries:
            return []
        started = perf_counter()
        vectors = self.embedder().embed_queries([query.text for query in queries])
        found = self.store.search(vectors, k, allowed=allowed)
        share = (perf_counter() - started) * 1000 / len(queries)
        return [
            Ranking.of(
                query,
                [
                    Hit(chunk_id, similarity, "dense", Evidence(dense=StageScore(rank, similarity)))
                    for rank, (chunk_id, similarity) in enumerate(neighbours, start=1)
                ],
                k,
                (StageReport("dense", "ran", milliseconds=share, candidates=len(neighbours)),),
            )
            for query, neighbours in zip(queries, found, strict=True)
        ]


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
