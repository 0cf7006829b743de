"""Fusing dense and BM25 candidates by their scores.

Reciprocal rank fusion (Cormack et al., SIGIR 2009) sees ranks only: when a Chinese question meets English pages, BM25's
first hit, matched by a stray number, counts as much as dense search's. Here each side's scores are scaled to [0, 1] per
query and combined convexly (Bruch et al., "An Analysis of Fusion Functions", TOIS 2023):

    score = (1 - weight) * scaled dense + weight * scaled BM25

`quarry.retriever.stages.balance` chooses the weight. With weight 1 the order is BM25's, with weight 0 dense search's; what
only the other side found follows below.

Only the first hundred of each side are scored, however many are asked for, so that the first ten are the same for k = 10
and k = 400; what lies deeper follows in the order of reciprocal ranks.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from quarry.retriever.ranking import Evidence, Hit, StageScore

_SCORED = 100  # hits of each side that are scored, whatever the depth; the dense scale is taken from them
_RRF_K = 60  # Cormack's constant
FOREIGN_SHARE = 0.8  # of its scaled similarity that a passage in another language has for a BM25 score
_TAIL = 1e-6  # the share of reciprocal ranks in the score: orders ties and what lies deeper than the scored hits


def fuse(
    dense: Sequence[Hit], bm25: Sequence[Hit], *, k: int, weight: float, foreign: Collection[str] = frozenset()
) -> list[Hit]:
    """Fuse two rankings of one query by weighted, scaled scores.

    Args:
        dense: Dense hits, best first.
        bm25: BM25 hits, best first.
        k: How many come out.
        weight: Of BM25, in [0, 1].
        foreign: Passages in another language than the query. BM25 cannot see them, so that its silence is no evidence: they
            get 0.8 of their scaled similarity for a BM25 score, unless BM25 alone orders.

    Returns:
        At most k hits of stage `fusion`, best first, scores in [0, 1], with the ranks and scores of both sides in their
        evidence. A passage that is not among the first hundred of a side gets 0 from it.

    Raises:
        ValueError: If k < 1 or the weight is not in [0, 1].
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"the weight of BM25 is {weight}; expected 0 to 1")
    by_dense = _dense_scale(dense[:_SCORED])
    top = bm25[0].score if bm25 else 1.0
    by_bm25 = {hit.chunk_id: hit.score / top for hit in bm25[:_SCORED]}
    dense_tail, bm25_tail = _reciprocal_ranks(dense), _reciprocal_ranks(bm25)
    scores = {}
    for chunk_id in dense_tail | bm25_tail:
        near, words = by_dense.get(chunk_id, 0.0), by_bm25.get(chunk_id, 0.0)
        if weight < 1 and chunk_id in foreign:
            words = max(words, FOREIGN_SHARE * near)
        scaled = (1 - weight) * near + weight * words
        tail = (1 - weight) * dense_tail.get(chunk_id, 0.0) + weight * bm25_tail.get(chunk_id, 0.0)
        last = dense_tail.get(chunk_id, 0.0) + bm25_tail.get(chunk_id, 0.0)  # of a route that does not count
        scores[chunk_id] = (1 - _TAIL) * scaled + _TAIL * ((1 - _TAIL) * tail + _TAIL * last)
    return _fused_hits(scores, dense, bm25, k)


def reciprocal_rank_fusion(dense: Sequence[Hit], bm25: Sequence[Hit], *, k: int) -> list[Hit]:
    """Fuse by ranks alone, sum of 1 / (60 + rank): the method that most systems use, for comparison.

    Raises:
        ValueError: If k < 1.
    """
    return _fused_hits(_reciprocal_ranks(dense, bm25), dense, bm25, k)


def _reciprocal_ranks(*sides: Sequence[Hit]) -> dict[str, float]:
    """Return the sum of 1 / (60 + rank) over the sides, for each passage that any of them found."""
    scores: dict[str, float] = {}
    for hits in sides:
        for rank, hit in enumerate(hits, start=1):
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + 1 / (_RRF_K + rank)
    return scores


def _dense_scale(hits: Sequence[Hit]) -> dict[str, float]:
    """Scale similarities so that the best is 1 and the last 0 (all 1 when they are equal)."""
    if not hits:
        return {}
    best, worst = hits[0].score, hits[-1].score
    if best == worst:
        return {hit.chunk_id: 1.0 for hit in hits}
    return {hit.chunk_id: (hit.score - worst) / (best - worst) for hit in hits}


def _fused_hits(scores: dict[str, float], dense: Sequence[Hit], bm25: Sequence[Hit], k: int) -> list[Hit]:
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    seen: dict[str, Evidence] = {hit.chunk_id: hit.evidence for hit in dense}
    for hit in bm25:
        before = seen.get(hit.chunk_id)
        seen[hit.chunk_id] = _both(before, hit.evidence) if before else hit.evidence
    order = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))[:k]
    return [
        Hit(chunk_id, scores[chunk_id], "fusion", replace(seen[chunk_id], fusion=StageScore(rank, scores[chunk_id])))
        for rank, chunk_id in enumerate(order, start=1)
    ]


def _both(dense: Evidence, bm25: Evidence) -> Evidence:
    return replace(bm25, dense=dense.dense, raised=dense.raised, named=dense.named)
