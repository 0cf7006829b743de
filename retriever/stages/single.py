"""The two first stages: dense retrieval over the stored vectors, and BM25 over the index's own terms."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from time import perf_counter

from quarry.indexer.embedder import Embedder
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.messages import Message
from quarry.indexer.stores.base import VectorStore, among
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking, StageReport, StageScore, Status
from quarry.retriever.stages.asked_vectors import embed_asked
from quarry.retriever.stages.languages import Languages, Near
from quarry.retriever.stages.names import NEAREST, Asked, Names
from quarry.retriever.stages.query_shift import RecordedShift


@dataclass(frozen=True, slots=True)
class DenseRetriever:
    """A Retriever over vectors. The embedder is loaded at the first query, so that opening an index is quick.

    Attributes:
        embedder: Returns the index's.
        store: The vectors of the passages.
        languages: Of the index; None for one.
        names: Its titles and headings; None without.
        without: Why there are no titles to raise passages by, for the report.
        shift: What judgements taught about questions; None where nothing was learned.
        of_others: How many passages of the other language than the question's come out at least, beyond the k best if need be.
    """

    embedder: Callable[[], Embedder]
    store: VectorStore
    languages: Languages | None = None
    names: Names | None = None
    without: Message | None = None
    of_others: int = 0
    shift: RecordedShift | None = None

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k passages of highest cosine for each query, after evening out two languages and raising by titles."""
        if not queries:
            return []
        started = perf_counter()
        texts = [query.text for query in queries]
        vectors, told, whole = embed_asked(self.embedder(), texts), None, True
        if self.shift is not None:
            vectors, told, whole = self.shift.apply(vectors)
        depth = max(k, self.of_others, 0 if self.names is None else NEAREST)
        if self.languages is None:
            found = [
                [Near(chunk_id, similarity) for chunk_id, similarity in neighbours]
                for neighbours in self.store.search(vectors, depth, allowed=allowed)
            ]
        else:
            found = self.languages.search(self.store, texts, vectors, depth, allowed)
        if self.names is not None:
            found = [
                self.names.raise_by(Asked(text, vector, allowed), near)
                for text, vector, near in zip(texts, vectors, found, strict=True)
            ]
        found = [self._cut(near, k, text) for text, near in zip(texts, found, strict=True)]
        share = (perf_counter() - started) * 1000 / len(queries)
        status: Status = "ran" if whole else "partial"
        return [
            Ranking.of(
                query,
                _hits(near),
                max(k, len(near)),
                (StageReport("dense", status, _both(told, _how(near) or self.without), share, len(near)),),
            )
            for query, near in zip(queries, found, strict=True)
        ]

    def _cut(self, near: Sequence[Near], k: int, question: str) -> list[Near]:
        """Keep the k best, and further ones of the other language until there are enough of them."""
        if self.languages is None or not self.of_others:
            return list(near[:k])
        foreign = among(self.languages.foreign(question), [one.chunk_id for one in near])
        missing = self.of_others - sum(one.chunk_id in foreign for one in near[:k])
        others = [one for one in near[k:] if one.chunk_id in foreign] if missing > 0 else []
        return [*near[:k], *others[: max(0, missing)]]


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


def _both(told: Message | None, how: Message | None) -> Message | None:
    if told is None or how is None:
        return told or how
    return Message.of("stages.moved_and", "{moved}; {how}", moved=told, how=how)


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
