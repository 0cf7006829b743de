"""Quality against vector length (Matryoshka) and against the number of documents shown. It loads no model.

Results are frozen, made of plain numbers, and become JSON through `dataclasses.asdict`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.retriever.data.trec import Qrels, Run
from quarry.retriever.diagnosis.vectors import LabelledVectors, check_dimensions
from quarry.retriever.evaluation.evaluate import exclusions
from quarry.retriever.evaluation.measures import Measure

_QUERY_BLOCK = 256  # rows of the similarity matrix held at once
_SEARCH_DEPTH = 10


@dataclass(frozen=True, slots=True)
class DimensionPoint:
    """nDCG@10 of exact search with the first `dim` numbers of each vector, and its share of the full vectors' value."""

    dim: int
    ndcg: float
    share: float


@dataclass(frozen=True, slots=True)
class DepthPoint:
    """Quality of the first k documents, means over queries."""

    k: int
    recall: float
    precision: float
    ndcg: float
    success: float


def dimension_sweep(
    queries: LabelledVectors, documents: LabelledVectors, qrels: Qrels, dims: Sequence[int]
) -> tuple[DimensionPoint, ...]:
    """Return nDCG@10 of exact search when vectors are cut to their first numbers and scaled to unit length again.

    Args:
        queries: Query vectors.
        documents: Document vectors of the same model.
        qrels: Judgements; queries without a relevant document are left out.
        dims: Which lengths, each from 1 to the full one. The full one is always computed as the reference.

    Raises:
        ValueError: If a length is out of range, the dimensions differ, or no query can be scored.
    """
    check_dimensions(queries, documents)
    full = documents.vectors.shape[1]
    bad = [dim for dim in dims if not 1 <= dim <= full]
    if bad:
        raise ValueError(f"dim is {bad[0]}; expected 1 to {full}")
    excluded = exclusions(qrels, queries.ids)
    rows = [row for row, query_id in enumerate(queries.ids) if query_id not in excluded]
    if not rows or not documents.ids:
        raise ValueError(f"{len(rows)} queries can be scored on {len(documents.ids)} documents; expected some of each")
    asked = LabelledVectors(tuple(queries.ids[row] for row in rows), queries.vectors[rows])
    values = {dim: _mean_ndcg(asked, documents, qrels, dim) for dim in sorted({*dims, full})}
    return tuple(
        DimensionPoint(dim, value, value / values[full] if values[full] else 0.0) for dim, value in values.items()
    )


def quality_by_depth(run: Run, qrels: Qrels, ks: Sequence[int]) -> tuple[DepthPoint, ...]:
    """Return recall, precision, nDCG and success of the first k documents, for each k in ascending order.

    Raises:
        ValueError: If a k is below 1, or no query has a relevant document.
    """
    excluded = exclusions(qrels, list(qrels))
    scored = [query_id for query_id in qrels if query_id not in excluded]
    if not scored:
        raise ValueError(f"none of {len(qrels)} queries has a relevant document; expected at least one")
    rankings = {query_id: [doc_id for doc_id, _ in run.get(query_id, ())] for query_id in scored}

    def mean(kind: str, k: int) -> float:
        measure = Measure(kind, k)
        return sum(measure.of(rankings[query_id], qrels[query_id]) for query_id in scored) / len(scored)

    return tuple(
        DepthPoint(k, mean("R", k), mean("P", k), mean("nDCG", k), mean("Success", k)) for k in sorted(set(ks))
    )


def _mean_ndcg(queries: LabelledVectors, documents: LabelledVectors, qrels: Qrels, dim: int) -> float:
    """Search exactly with vectors cut to `dim`; equal similarities in id order."""
    corpus, asked = _cut(documents.vectors, dim), _cut(queries.vectors, dim)
    measure, total, depth = Measure("nDCG", _SEARCH_DEPTH), 0.0, min(_SEARCH_DEPTH, len(documents.ids))
    for start in range(0, len(queries.ids), _QUERY_BLOCK):
        scores = asked[start : start + _QUERY_BLOCK] @ corpus.T  # (block, documents)
        for offset, row in enumerate(scores):
            floor = np.partition(row, -depth)[-depth]
            best = sorted((-float(row[place]), documents.ids[place]) for place in np.flatnonzero(row >= floor))
            ranking = [doc_id for _, doc_id in best[:depth]]
            total += measure.of(ranking, qrels[queries.ids[start + offset]])
    return total / len(queries.ids)


def _cut(vectors: Vectors, dim: int) -> Vectors:
    part = np.ascontiguousarray(vectors[:, :dim])
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    unit: Vectors = part / np.maximum(lengths, np.float32(1e-12))
    return unit
