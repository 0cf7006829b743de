"""Where each stage of a search puts a document: the rank of its best passage, below the cut, too."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self

from quarry.indexer.stores.base import among
from quarry.retriever.ranking import Hit, Query, Ranking, StageScore
from quarry.retriever.searcher import Searcher, document_of
from quarry.retriever.stages.hybrid import FUSION_DEPTH
from quarry.retriever.why_not.search import Search

DEEPEST = 5_000
"""Passages of a route that are looked through."""


@dataclass(frozen=True, slots=True)
class Places:
    """Ranks, from 1, of a document's best passage; None where a stage does not have it.

    Attributes:
        dense: Among the `DEEPEST` passages nearest in meaning.
        bm25: Among the `DEEPEST` best by words; None when the document has no word of the question.
        fusion: Among the fused candidates; None for a single route, and for a document that is none of them.
        last: In the order that is shown, below the cut, too.
        candidates: Passages that each route hands on.
        foreign: By meaning among the passages in another language than the question, of which dense search hands on as many
            again; None for a document in the question's own language, and in an index of one language.
    """

    dense: int | None
    bm25: int | None
    fusion: int | None
    last: int | None
    candidates: int
    foreign: int | None = None

    @classmethod
    def of(cls, searcher: Searcher, search: Search, doc_ids: Collection[str]) -> Self:
        """Look a document up in the rankings of a search."""
        depth = max(search.k, FUSION_DEPTH)

        def ranked(searched: Search, most: int) -> Ranking:
            (ranking,) = searcher.rank([Query(search.question, search.question)], most, searched.options)
            return ranking

        near = ranked(search.but(route="dense", rerank=False), DEEPEST)
        words = _of_document(ranked(search.but(route="bm25", rerank=False), DEEPEST), doc_ids)
        served = _of_document(ranked(search, depth), doc_ids)
        return cls(
            dense=_best(_of_document(near, doc_ids), lambda hit: hit.evidence.dense),
            bm25=_best(words, lambda hit: hit.evidence.bm25),
            fusion=_best(served, lambda hit: hit.evidence.fusion),
            last=served[0][0] if served else None,
            candidates=depth,
            foreign=_among_foreign(searcher, near, doc_ids),
        )

    @property
    def best_route(self) -> int | None:
        """The better rank of the two routes."""
        return min((rank for rank in (self.dense, self.bm25) if rank is not None), default=None)

    @property
    def handed_on(self) -> bool:
        """Whether a route has it among its candidates."""
        ranks = (self.best_route, self.foreign)
        return any(rank is not None and rank <= self.candidates for rank in ranks)


def _of_document(ranking: Ranking, doc_ids: Collection[str]) -> list[tuple[int, Hit]]:
    return [(rank, hit) for rank, hit in enumerate(ranking.hits, start=1) if document_of(hit.chunk_id) in doc_ids]


def _among_foreign(searcher: Searcher, near: Ranking, doc_ids: Collection[str]) -> int | None:
    languages = searcher.pipeline.languages
    if languages is None:
        return None
    ids = [hit.chunk_id for hit in near.hits]
    foreign = among(languages.foreign(near.query.text), ids)
    ranks = (
        rank
        for rank, chunk_id in enumerate((one for one in ids if one in foreign), start=1)
        if document_of(chunk_id) in doc_ids
    )
    return next(ranks, None)


def _best(hits: Sequence[tuple[int, Hit]], of: Callable[[Hit], StageScore | None]) -> int | None:
    return min((score.rank for score in (of(hit) for _, hit in hits) if score is not None), default=None)
