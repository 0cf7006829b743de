"""Two languages in one ranking: how far the best passage of each stands out, and how high the other language may stand for it.

The answer to a question stands out among the passages of its language; in the language that has no answer, the best passages are all
alike. So the lead of a language is its best similarity less the mean of its 25 best, in standard deviations of similarities in this
index, and

    target = lead of the other language - lead of the question's own - weight * coverage

`coverage` is the share of the query's idf mass that a passage matched (`quarry.retriever.stages.balance`). The five best passages of
the other language are raised together, so that the best of them stands by `target` above (or below) the best of the question's own
language; nothing is ever lowered. Differences of leads need no common scale of the two languages, as similarities themselves would.
The weights were chosen on mixed corpora and tested on families that were left out (docs/ranking.md, `tests.benchmarks.mixed`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Self

from quarry.retriever.ranking import Hit, StageScore

CANDIDATES = 25  # passages of each language that are compared
RAISED = 5  # passages of the other language that are raised
BY_COVERAGE = 2.0  # weight of the coverage where cosines alone speak
HIGHEST = 1.0  # of a target, on the scale of fused scores: the length of that scale
_LEAST = 5  # candidates of each language, below which there is nothing to stand out from
_KNOWN = 100  # dense hits whose cosines count for the own language, whatever the depth


@dataclass(frozen=True, slots=True)
class Sides:
    """Two languages in a fused ranking.

    Attributes:
        own: The best passages in the question's own language, by fused score, best first.
        other: Those in the other one, by similarity.
        least: The lowest cosine in the own language that dense search knows of: what only BM25 found is no nearer.
    """

    own: tuple[Hit, ...]
    other: tuple[Hit, ...]
    least: float

    @classmethod
    def of(cls, hits: Sequence[Hit], foreign: Collection[str], most: int = CANDIDATES) -> Self | None:
        """Take both sides out of a fused ranking; None when one of them has too few passages."""
        own = [hit for hit in hits if hit.chunk_id not in foreign]
        known = [hit.evidence.dense.score for hit in own if hit.evidence.dense and _is_known(hit)]
        other = [hit for hit in hits if hit.chunk_id in foreign and hit.evidence.dense]
        other.sort(key=lambda hit: (-similarity(hit), hit.chunk_id))
        if min(len(own), len(other), most) < _LEAST or not known:
            return None
        return cls(tuple(own[:most]), tuple(other[:most]), min(known))

    def lead(self) -> float:
        """Return how much more the best cosine of the other language stands out than that of the question's own."""
        own = [hit.evidence.dense.score if hit.evidence.dense and _is_known(hit) else self.least for hit in self.own]
        return ahead([hit.evidence.dense.score for hit in self.other if hit.evidence.dense]) - ahead(own)


def similarity(hit: Hit) -> float:
    """Return what dense search ranked a passage by."""
    cosine = hit.evidence.dense.score if hit.evidence.dense else 0.0
    return cosine + hit.evidence.raised + hit.evidence.named


def ahead(values: Sequence[float]) -> float:
    """Return how far the best of some values is above their mean.

    Example:
        >>> ahead([0.75, 0.5, 0.25])
        0.25
    """
    return max(values) - sum(values) / len(values)


def raise_other(hits: Sequence[Hit], sides: Sides, target: float) -> tuple[list[Hit], float]:
    """Raise the best passages of the other language.

    Args:
        hits: A ranking, best first.
        sides: Its two languages; the scores of the other's passages are taken from `hits`.
        target: How high the best of them is to stand above the best in the question's own language.

    Returns:
        The hits with their new scores, best first, and by how much they were raised, at least 0.
    """
    scores = {hit.chunk_id: hit.score for hit in hits}
    best = max(scores[hit.chunk_id] for hit in sides.other)
    by = max(0.0, scores[sides.own[0].chunk_id] + min(HIGHEST, target) - best)
    if not by:
        return list(hits), 0.0
    first = {hit.chunk_id for hit in sorted(sides.other, key=lambda hit: -scores[hit.chunk_id])[:RAISED]}
    raised = [replace(hit, score=hit.score + by) if hit.chunk_id in first else hit for hit in hits]
    return sorted(raised, key=lambda hit: (-hit.score, hit.chunk_id)), by


def fused_again(hits: Sequence[Hit]) -> list[Hit]:
    """Return raised hits, best first, as hits of the fusion: scores in [0, 1] and ranks from 1."""
    most = max(1.0, hits[0].score) if hits else 1.0
    return [
        replace(
            hit,
            score=hit.score / most,
            evidence=replace(hit.evidence, fusion=StageScore(rank, hit.score / most)),
        )
        for rank, hit in enumerate(hits, start=1)
    ]


def _is_known(hit: Hit) -> bool:
    return hit.evidence.dense is not None and hit.evidence.dense.rank <= _KNOWN
