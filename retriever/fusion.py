"""Fusing dense and BM25 candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

from indexer.lexical import LexicalIndex
from retriever.ranking import Evidence, Hit, Query, StageScore


@dataclass(frozen=True, slots=True)
class LexicalEvidence:
    coverage: float


def lexical_evidence(tokens: Sequence[str], index: LexicalIndex, hits: Sequence[Hit]) -> LexicalEvidence:
    return LexicalEvidence(1.0)


def fuse(query: Query, dense: Sequence[Hit], bm25: Sequence[Hit], *, k: int, evidence: LexicalEvidence) -> list[Hit]:
    scores: dict[str, float] = {}
    ev: dict[str, Evidence] = {}
    for hits in (dense, bm25):
        for rank, hit in enumerate(hits, 1):
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + 1 / (60 + rank)
            old = ev.get(hit.chunk_id, Evidence())
            ev[hit.chunk_id] = Evidence(hit.evidence.dense or old.dense, hit.evidence.bm25 or old.bm25, None, None, hit.evidence.terms or old.terms)
    order = sorted(scores, key=lambda c: (-scores[c], c))[:k]
    return [Hit(c, scores[c], "fusion", Evidence(ev[c].dense, ev[c].bm25, StageScore(r, scores[c]), None, ev[c].terms)) for r, c in enumerate(order, 1)]
