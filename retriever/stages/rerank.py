"""Two-stage retrieval: a reranker reorders the best candidates of a first stage within a time budget.

No failure of the reranker loses the query: the first stage's order stands and the ranking says why. Candidates are
scored in slices of the first stage's order, so that those not reached in time are the least promising ones.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.messages import Message
from quarry.retriever.base import CandidateReranker, Passages, Reranker, Retriever
from quarry.retriever.ranking import Hit, Query, Ranking, StageReport, StageScore
from quarry.retriever.stages.guard import THE_RERANKER, Guard


@dataclass(frozen=True, slots=True)
class RerankOptions:
    """How much to rerank.

    Attributes:
        depth: Candidates per query; beyond about 100 quality falls again ("Drowning in documents", arXiv 2411.11767).
        budget_ms: Wall time per query, None for no limit.
        slice_size: Candidates per call of the reranker; the budget is checked between calls.
        enough: Candidates after which stopping is no loss: a further call is made only if, at the speed measured so far, it ends
            within the budget. None for no such number.
    """

    depth: int = 50
    budget_ms: float | None = None
    slice_size: int = 16
    enough: int | None = None

    def __post_init__(self) -> None:
        if self.depth < 1 or self.slice_size < 1 or (self.budget_ms is not None and self.budget_ms <= 0):
            raise ValueError(f"{self}; expected depth and slice size of at least 1 and a budget above 0")


@dataclass(frozen=True, slots=True)
class TwoStage:
    """A Retriever: `first` finds candidates, `reranker` orders them.

    Scored candidates come first, by logit. The others keep the first stage's order below them: the i-th gets the lowest
    logit minus i, a number that only encodes this order, and no rerank evidence.
    """

    first: Retriever
    reranker: Reranker | CandidateReranker
    passages: Passages
    plan: RerankOptions = field(default_factory=RerankOptions)
    guard: Guard = field(default_factory=lambda: Guard(THE_RERANKER))

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k best passages after reranking."""
        depth = max(k, self.plan.depth)
        return [self.reranked(ranking, k) for ranking in self.first.retrieve(queries, depth, allowed=allowed)]

    def reranked(self, ranking: Ranking, k: int) -> Ranking:
        """Return the k best passages of a ranking after reranking its best candidates."""
        candidates = ranking.hits[: self.plan.depth]
        if not candidates:
            return ranking.with_stages(
                StageReport("rerank", "ran", Message.of("stages.no_candidates", "there were no candidates"))
            )
        if isinstance(self.reranker, CandidateReranker):
            return self._rerank_candidates(self.reranker, ranking, candidates, k)
        started = perf_counter()
        deadline = None if self.plan.budget_ms is None else started + self.plan.budget_ms / 1000
        scores: list[float] = []
        failure: Message | None = None
        for first in range(0, len(candidates), self.plan.slice_size):
            left = None if deadline is None else deadline - perf_counter()
            if left is not None and left <= 0:
                break
            part = candidates[first : first + self.plan.slice_size]
            if left is not None and self._stops_here(len(scores), len(part), perf_counter() - started, left):
                break
            failure = self._score_slice(self.reranker, ranking.query, part, scores, left)
            if failure:
                break
        elapsed = (perf_counter() - started) * 1000
        report = self.report(len(scores), len(candidates), failure, elapsed)
        if not scores:
            return Ranking.of(ranking.query, ranking.hits, k, (*ranking.stages, report))
        return Ranking.of(ranking.query, _reordered(ranking.hits, scores), k, (*ranking.stages, report))

    def _rerank_candidates(
        self, reranker: CandidateReranker, ranking: Ranking, candidates: Sequence[Hit], k: int
    ) -> Ranking:
        """Have all candidates scored in one call: their scores are relative to each other."""
        started = perf_counter()
        budget = None if self.plan.budget_ms is None else self.plan.budget_ms / 1000
        outcome = self.guard.run(lambda: reranker.rerank(ranking.query.text, candidates), budget)
        found, elapsed = outcome.value, (perf_counter() - started) * 1000
        if isinstance(found, Message):
            return Ranking.of(
                ranking.query, ranking.hits, k, (*ranking.stages, StageReport("rerank", "ran", found, elapsed))
            )
        failure = outcome.reason if found is None else _not_scores(found, len(candidates))
        scores = [] if failure or found is None else [float(score) for score in found]
        report = self.report(len(scores), len(candidates), failure, elapsed)
        hits = _reordered(ranking.hits, scores) if scores else ranking.hits
        return Ranking.of(ranking.query, hits, k, (*ranking.stages, report))

    def _score_slice(
        self, reranker: Reranker, query: Query, part: Sequence[Hit], scores: list[float], left: float | None
    ) -> Message | None:
        """Append the logits of some candidates; returns why that failed, or None."""

        def work() -> NDArray[np.float32]:
            texts = self.passages.texts([hit.chunk_id for hit in part])
            return np.asarray(reranker.score(query.text, texts), dtype=np.float32)

        outcome = self.guard.run(work, left)
        if outcome.value is None:
            return outcome.reason
        if wrong := _not_scores(outcome.value, len(part)):
            return wrong
        scores.extend(float(score) for score in outcome.value)
        return None

    def _stops_here(self, scored: int, wanted: int, elapsed: float, left: float) -> bool:
        """Whether enough are scored, and the next ones would not be in the seconds that are left."""
        return self.plan.enough is not None and scored >= self.plan.enough and elapsed / scored * wanted > left

    def _as_planned(self, scored: int, elapsed: float) -> Message:
        return Message.of(
            "stages.as_deep_as_time_allows",
            "the first {scored}: at {each:.0f} ms each, more would not fit into {milliseconds:.0f} ms",
            scored=scored,
            each=elapsed / scored,
            milliseconds=self.plan.budget_ms or 0.0,
        )

    def report(self, scored: int, wanted: int, failure: Message | None, elapsed: float) -> StageReport:
        """Return the report of a call that scored so many of the candidates in so many milliseconds."""
        if scored == wanted:
            return StageReport("rerank", "ran", None, elapsed, scored)
        if failure is None and self.plan.enough is not None and scored >= self.plan.enough:
            return StageReport("rerank", "ran", self._as_planned(scored, elapsed), elapsed, scored)
        if not scored:
            why = failure or Message.of("stages.no_time_left", "no time was left for it")
            return StageReport("rerank", "failed", first_order_stands(why), elapsed, 0)
        why = failure or Message.of(
            "stages.budget_used",
            "the time budget of {milliseconds:.0f} ms was used up",
            milliseconds=self.plan.budget_ms or 0.0,
        )
        reason = Message.of(
            "stages.partly_reranked",
            "{scored} of {wanted} candidates were reranked ({why}); the others keep their order below them",
            scored=scored,
            wanted=wanted,
            why=why,
        )
        return StageReport("rerank", "partial", reason, elapsed, scored)


def first_order_stands(why: Message) -> Message:
    """Return what it means that no candidate was reranked, and why that is so."""
    return Message.of("stages.first_order_stands", "the order of the first stage stands, because {why}", why=why)


def _not_scores(scores: NDArray[np.float32], count: int) -> Message | None:
    """Return what is wrong with the scores of `count` candidates, or None."""
    if scores.shape == (count,) and np.isfinite(scores).all():
        return None
    return Message.of(
        "stages.odd_scores",
        "the reranker returned {shape} scores, not all of them finite",
        expected="{wanted} finite numbers",
        shape="x".join(map(str, scores.shape)) or "no",
        wanted=count,
    )


def _reordered(hits: Sequence[Hit], scores: Sequence[float]) -> list[Hit]:
    ranks = {
        row: rank
        for rank, row in enumerate(sorted(range(len(scores)), key=lambda row: (-scores[row], hits[row].chunk_id)), 1)
    }
    out: list[Hit] = []
    lowest = min(scores)
    for row, hit in enumerate(hits):
        if row < len(scores):
            evidence = replace(hit.evidence, rerank=StageScore(ranks[row], scores[row]))
            out.append(Hit(hit.chunk_id, scores[row], "rerank", evidence))
        else:
            out.append(Hit(hit.chunk_id, lowest - (row - len(scores) + 1), "rerank", hit.evidence))
    return out
