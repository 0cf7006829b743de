"""Fusing dense and BM25 candidates by their scores, trusting BM25 only as far as the corpus knows the query's words.

Reciprocal rank fusion (Cormack et al., SIGIR 2009) sees ranks only: when a Chinese question meets English pages, BM25's
first hit, matched by a stray number, counts as much as dense search's. Here each side's scores are scaled to [0, 1] per
query and combined convexly (Bruch et al., "An Analysis of Fusion Functions", TOIS 2023), and the lexical weight shrinks
with the *coverage*: the share of the query's idf mass that its best BM25 hit matched.

    weight = 0.4 * min(1, coverage / 0.3)
    score  = (1 - weight) * scaled dense + weight * scaled BM25

The two constants were chosen on development data only, 12 sets in four language settings, none of them a test set of
docs/results.md: highest mean nDCG@10 among those that lose at most 0.001 to the better of BM25 and dense on any set
(`python -m tests.benchmarks.fusion` prints the table).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

from indexer.lexical import LexicalIndex
from retriever.ranking import Evidence, Hit, StageScore

LEXICAL_WEIGHT = 0.4
FULL_COVERAGE = 0.3
_SCALED_OVER = 100  # candidates that the dense scale is taken from, whatever the depth
_TOP_HITS = 3  # among which the best coverage is looked for
_RRF_K = 60  # Cormack's constant


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
        tokens: The query's analysed terms. One that is in no passage has the idf of a term with no document.
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
        evidence. A passage that one side did not find gets 0 from it. The first results are the same at any depth above 100.
    """
    weight = evidence.weight if dense else 1.0
    dense_scaled = _dense_scale(dense)
    top = bm25[0].score if bm25 else 1.0
    bm25_scaled = {hit.chunk_id: hit.score / top for hit in bm25}
    scores = {
        chunk_id: (1 - weight) * dense_scaled.get(chunk_id, 0.0) + weight * bm25_scaled.get(chunk_id, 0.0)
        for chunk_id in {**dense_scaled, **bm25_scaled}
    }
    return _fused_hits(scores, dense, bm25, k)


def reciprocal_rank_fusion(dense: Sequence[Hit], bm25: Sequence[Hit], *, k: int) -> list[Hit]:
    """Fuse by ranks alone, sum of 1 / (60 + rank): the method that most systems use, for comparison."""
    scores: dict[str, float] = {}
    for hits in (dense, bm25):
        for rank, hit in enumerate(hits, start=1):
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + 1 / (_RRF_K + rank)
    return _fused_hits(scores, dense, bm25, k)


def _dense_scale(hits: Sequence[Hit]) -> dict[str, float]:
    """Scale similarities so that the best is 1 and the hundredth and all below it 0 (all 1 when they are equal)."""
    if not hits:
        return {}
    best, worst = hits[0].score, hits[min(len(hits), _SCALED_OVER) - 1].score
    if best == worst:
        return {hit.chunk_id: 1.0 for hit in hits}
    return {hit.chunk_id: max(0.0, (hit.score - worst) / (best - worst)) for hit in hits}  # the same at any depth


def _fused_hits(scores: dict[str, float], dense: Sequence[Hit], bm25: Sequence[Hit], k: int) -> list[Hit]:
    seen: dict[str, Evidence] = {hit.chunk_id: hit.evidence for hit in dense}
    for hit in bm25:
        before = seen.get(hit.chunk_id)
        seen[hit.chunk_id] = replace(hit.evidence, dense=before.dense) if before else hit.evidence
    order = sorted(scores, key=lambda chunk_id: (-scores[chunk_id], chunk_id))[:k]
    return [
        Hit(chunk_id, scores[chunk_id], "fusion", replace(seen[chunk_id], fusion=StageScore(rank, scores[chunk_id])))
        for rank, chunk_id in enumerate(order, start=1)
    ]
