"""Where each stage of a search puts a document: the rank of its best passage, below the cut, too."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self

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
    """

    dense: int | None
    bm25: int | None
    fusion: int | None
    last: int | None
    candidates: int

    @classmethod
    def of(cls, searcher: Searcher, search: Search, doc_ids: Collection[str]) -> Self:
        """Look a document up in the rankings of a search."""
        depth = max(search.k, FUSION_DEPTH)

        def hits(searched: Search, most: int) -> list[tuple[int, Hit]]:
            (ranking,) = searcher.rank([Query(search.question, search.question)], most, searched.options)
            return _of_document(ranking, doc_ids)

        served = hits(search, depth)
        return cls(
            dense=_best(hits(search.but(route="dense", rerank=False), DEEPEST), lambda hit: hit.evidence.dense),
            bm25=_best(hits(search.but(route="bm25", rerank=False), DEEPEST), lambda hit: hit.evidence.bm25),
            fusion=_best(served, lambda hit: hit.evidence.fusion),
            last=served[0][0] if served else None,
            candidates=depth,
        )

    @property
    def best_route(self) -> int | None:
        """The better rank of the two routes."""
        return min((rank for rank in (self.dense, self.bm25) if rank is not None), default=None)


def _of_document(ranking: Ranking, doc_ids: Collection[str]) -> list[tuple[int, Hit]]:
    return [(rank, hit) for rank, hit in enumerate(ranking.hits, start=1) if document_of(hit.chunk_id) in doc_ids]


def _best(hits: Sequence[tuple[int, Hit]], of: Callable[[Hit], StageScore | None]) -> int | None:
    return min((score.rank for score in (of(hit) for _, hit in hits) if score is not None), default=None)
