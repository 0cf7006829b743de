"""The second stage of an index in two languages: late interaction for the passages in the other language than the question.

Passages in the question's own language share words with it, and their order stands. Those in the other language are ordered among
themselves by z(similarity) + 1.5 * z(MaxSim), in the places that they had, and raised by how far the best of them stands out
(`quarry.retriever.stages.standout`), now with MaxSim beside the cosines:

    target = lead of cosines + 0.5 * lead of MaxSim - 3 * coverage

MaxSim is `quarry.retriever.rerankers.late_interaction`. A question that is in neither language, and one for which a language has
too few candidates, is left to the ordinary second stage, and so is a model with heads of its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.language import language_of
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.messages import Message
from quarry.indexer.storage.measured import Probes
from quarry.retriever.ranking import Hit, Query, Ranking, StageReport, StageScore
from quarry.retriever.rerankers.late_interaction import MAXSIM_WEIGHT, LateInteraction, z_scores
from quarry.retriever.stages.balance import coverage_of_hits, is_dense_left_out
from quarry.retriever.stages.languages import Languages
from quarry.retriever.stages.rerank import RerankOptions, TwoStage
from quarry.retriever.stages.standout import CANDIDATES, Sides, ahead, raise_other, similarity

BY_MAXSIM = 0.5  # weight of MaxSim's lead beside that of cosines
BY_COVERAGE = 3.0  # weight of the coverage where MaxSim speaks, too
_EVERY = 250  # more than a hundred of each route and 25 of the other language


@dataclass(frozen=True, slots=True)
class BothLanguages:
    """A Retriever over an index of two languages.

    Attributes:
        stage: The ordinary second stage, with the first one in it.
        late: Late interaction over the index's token states.
        languages: Of the index.
        probes: What the index measured on itself.
        index: Where idf comes from.
        analyzer: Of the index.
    """

    stage: TwoStage
    late: LateInteraction
    languages: Languages
    probes: Probes
    index: LexicalIndex
    analyzer: Analyzer

    @property
    def plan(self) -> RerankOptions:
        """How much is reranked, in both languages together."""
        return self.stage.plan

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k best passages after late interaction."""
        depth = max(k, self.plan.depth, _EVERY)
        return [self._rerank(ranking, k) for ranking in self.stage.first.retrieve(queries, depth, allowed=allowed)]

    def _rerank(self, ranking: Ranking, k: int) -> Ranking:
        sides = self._sides(ranking)
        if sides is None or self.late.has_heads():
            return self.stage.reranked(ranking, k)
        scored = [*sides.own, *sides.other]
        budget = None if self.plan.budget_ms is None else self.plan.budget_ms / 1000
        outcome = self.stage.guard.run(
            lambda: self.late.similarities(ranking.query.text, [hit.chunk_id for hit in scored]), budget
        )
        if outcome.value is None:
            report = self.stage.report(0, len(scored), outcome.reason, outcome.milliseconds)
            return Ranking.of(ranking.query, ranking.hits, k, (*ranking.stages, report))
        hits, by = self._ordered(ranking, sides, outcome.value)
        reason = Message.of(
            "stages.other_language_raised",
            "passages in the other language were ordered by their tokens and raised by {most:.2f}",
            most=by,
        )
        report = StageReport("rerank", "ran", reason if by else None, outcome.milliseconds, len(scored))
        return Ranking.of(ranking.query, _with_evidence(hits, scored), k, (*ranking.stages, report))

    def _sides(self, ranking: Ranking) -> Sides | None:
        foreign = self.languages.foreign(ranking.query.text)
        if not foreign or is_dense_left_out(self.probes, language_of(ranking.query.text)):
            return None
        return Sides.of(ranking.hits, foreign, min(CANDIDATES, self.plan.depth // 2))

    def _ordered(self, ranking: Ranking, sides: Sides, found: NDArray[np.float32]) -> tuple[list[Hit], float]:
        """Order and raise the other language's passages by the MaxSim of both sides; shape (len(own) + len(other),)."""
        ours, theirs = found[: len(sides.own)], found[len(sides.own) :]
        near = np.array([similarity(hit) for hit in sides.other], dtype=np.float32)
        order = np.argsort(-(z_scores(near) + MAXSIM_WEIGHT * z_scores(theirs)), kind="stable")
        places = sorted((hit.score for hit in sides.other), reverse=True)
        scores = {sides.other[row].chunk_id: place for row, place in zip(order.tolist(), places, strict=True)}
        hits = [replace(hit, score=scores.get(hit.chunk_id, hit.score)) for hit in ranking.hits]
        coverage = coverage_of_hits(self.analyzer.tokens(ranking.query.text), self.index, ranking.hits)
        lead = sides.lead() + BY_MAXSIM * (ahead(theirs.tolist()) - ahead(ours.tolist()))
        return raise_other(hits, sides, lead / self.probes.spread - BY_COVERAGE * coverage)


def _with_evidence(hits: Sequence[Hit], scored: Sequence[Hit]) -> list[Hit]:
    """Return hits of the second stage; those whose tokens were compared have its rank and score in their evidence."""
    compared = {hit.chunk_id for hit in scored}
    ordered = sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id))
    out = []
    for rank, hit in enumerate(ordered, start=1):
        place = StageScore(rank, hit.score)
        evidence = replace(hit.evidence, rerank=place) if hit.chunk_id in compared else hit.evidence
        out.append(Hit(hit.chunk_id, hit.score, "rerank", evidence))
    return out
