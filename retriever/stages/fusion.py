"""Fusing dense and BM25 candidates by their scores, trusting BM25 only as far as the corpus knows the query's words.

Reciprocal rank fusion (Cormack et al., SIGIR 2009) sees ranks only: when a Chinese question meets English pages, BM25's
first hit, matched by a stray number, counts as much as dense search's. Here each side's scores are scaled to [0, 1] per
query and combined convexly (Bruch et al., "An Analysis of Fusion Functions", TOIS 2023), and the lexical weight shrinks
with the *coverage*: the share of the query's idf mass that its best BM25 hit matched. Stop words, which are not searched
for, are in that mass: those of another language than the corpus's are unknown to it and shrink the coverage.

    weight = 0.4 * min(1, coverage / 0.3)
    score  = (1 - weight) * scaled dense + weight * scaled BM25

Only the first hundred of each side are scored, however many are asked for, so that the first ten are the same for k = 10
and k = 400; what lies deeper follows in the order of reciprocal ranks.

The two constants were chosen on development data only, 12 sets in four language settings, none of them a test set of
docs/results.md (`python -m tests.benchmarks.fusion` prints the table): a high mean nDCG@10 that loses little to the better
of BM25 and dense on every set (at most 0.0032). Weights above 0.45 lose up to 0.01 where dense search is far ahead, those
below 0.4 as much where BM25 is; 0.45 and full coverages from 0.2 to 0.4 make no difference beyond chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.retriever.ranking import Evidence, Hit, StageScore

LEXICAL_WEIGHT = 0.4
FULL_COVERAGE = 0.3
_SCORED = 100  # hits of each side that are scored, whatever the depth; the dense scale is taken from them
_TOP_HITS = 3  # among which the best coverage is looked for
_RRF_K = 60  # Cormack's constant
_TAIL = 1e-6  # the share of reciprocal ranks in the score: orders ties and what lies deeper than the scored hits


@dataclass(frozen=True, slots=True)
class LexicalEvidence:
    """How much of a query the corpus knows: `coverage` in [0, 1] is the share of its idf mass that one hit matched."""

    coverage: float

    @property
    def weight(self) -> float:
        """The weight of BM25 in the fusion, in [0, LEXICAL_WEIGHT]."""
        return LEXICAL_WEIGHT * min(1.0, self.coverage / FULL_COVERAGE)


def lexical_evidence(tokens: Sequence[str], index: LexicalIndex, hits: Sequence[Hit]) -> LexicalEvidence:
    """Measure the coverage of a query.

    Args:
        tokens: All of the query's terms, stop words too. One that is in no passage has the idf of a term with no document.
        index: Where their idf comes from.
        hits: BM25 hits, best first, with their matched terms.
    """
    distinct = set(tokens)
    idfs = {token: idf for token in distinct if (idf := index.idf(token)) is not None}
    if not idfs or not hits:
        return LexicalEvidence(0.0)
    unknown = log(1 + (len(index) + 0.5) / 0.5)
    total = sum(idfs.get(token, unknown) for token in distinct)
    matched = max(sum(idfs.get(term, 0.0) for term in hit.evidence.terms) for hit in hits[:_TOP_HITS])
    return LexicalEvidence(min(1.0, matched / total) if total > 0 else 0.0)


def fuse(dense: Sequence[Hit], bm25: Sequence[Hit], *, k: int, evidence: LexicalEvidence) -> list[Hit]:
    """Fuse two rankings of one query by weighted, scaled scores.

    Args:
        dense: Dense hits, best first.
        bm25: BM25 hits, best first.
        k: How many come out.
        evidence: Decides the weight of BM25.

    Returns:
        At most k hits of stage `fusion`, best first, scores in [0, 1], with the ranks and scores of both sides in their
        evidence. A passage that is not among the first hundred of a side gets 0 from it.

    Raises:
        ValueError: If k < 1.
    """
    weight = evidence.weight if dense else 1.0
    by_dense = _dense_scale(dense[:_SCORED])
    top = bm25[0].score if bm25 else 1.0
    by_bm25 = {hit.chunk_id: hit.score / top for hit in bm25[:_SCORED]}
    scores = {}
    for chunk_id, tail in _reciprocal_ranks(dense, bm25).items():
        scaled = (1 - weight) * by_dense.get(chunk_id, 0.0) + weight * by_bm25.get(chunk_id, 0.0)
        scores[chunk_id] = (1 - _TAIL) * scaled + _TAIL * tail
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
        seen[hit.chunk_id] = replace(hit.evidence, dense=before.dense) if before else hit.evidence
    order = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))[:k]
    return [
        Hit(chunk_id, scores[chunk_id], "fusion", replace(seen[chunk_id], fusion=StageScore(rank, scores[chunk_id])))
        for rank, chunk_id in enumerate(order, start=1)
    ]
