"""Two rerankers in turn: late interaction orders the candidates, and a cross-encoder the first of them.

A cross-encoder costs thousands of times as much per passage, so it reads what late interaction put first: 20 passages, or as many of the
last ten of these as fit into what is left of the time budget at the speed measured on the first ten. Where late interaction leaves
the order as it is, the cross-encoder reads as many as it does alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from quarry.retriever.ranking import Hit, Query, Ranking
from quarry.retriever.stages.both_languages import BothLanguages
from quarry.retriever.stages.rerank import TwoStage

DEEPEST = 20  # "the first 10 to 20": the second half as time allows
ENOUGH = 10
_SLICE = 5  # half of what is always read, so that the speed is known in time


@dataclass(frozen=True, slots=True)
class Cascade:
    """A Retriever.

    Attributes:
        late: Late interaction on a first stage.
        last: The cross-encoder; its plan has the budget of both.
    """

    late: TwoStage | BothLanguages
    last: TwoStage

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k best passages after both."""
        depth = max(k, self.late.plan.depth, self.last.plan.depth)
        return [self._both(ranking, k) for ranking in self.late.retrieve(queries, depth, allowed=allowed)]

    def _both(self, ranking: Ranking, k: int) -> Ranking:
        *before, report = ranking.stages
        named = replace(ranking, stages=(*before, replace(report, stage="late")))
        plan = self.last.plan
        if plan.budget_ms is not None:
            plan = replace(plan, budget_ms=max(1.0, plan.budget_ms - report.milliseconds))
        if any(hit.evidence.rerank for hit in ranking.hits):
            plan = replace(plan, depth=min(plan.depth, DEEPEST), slice_size=_SLICE, enough=ENOUGH)
            named = replace(named, hits=tuple(_late(hit) for hit in named.hits))
        return replace(self.last, plan=plan).reranked(named, k)


def _late(hit: Hit) -> Hit:
    """Return the hit with what late interaction gave it under its own name: `rerank` is the cross-encoder's now."""
    return replace(hit, evidence=replace(hit.evidence, late=hit.evidence.rerank, rerank=None))
