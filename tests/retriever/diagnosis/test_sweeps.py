"""Shorter vectors and more documents: against brute force and by hand."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from quarry.retriever.diagnosis.sweeps import dimension_sweep, quality_by_depth
from quarry.retriever.diagnosis.vectors import LabelledVectors
from quarry.retriever.evaluation.measures import ndcg


def labelled(prefix, rows):
    rows = np.asarray(rows, dtype=np.float32)
    return LabelledVectors(
        tuple(f"{prefix}{n}" for n in range(len(rows))), rows / np.linalg.norm(rows, axis=1, keepdims=True)
    )


def brute_force(queries, documents, qrels, dim):
    values = []
    for query_id, query in zip(queries.ids, queries.vectors.astype(float), strict=True):
        if not any(grade > 0 for grade in qrels.get(query_id, {}).values()):
            continue
        scores = {}
        for doc_id, row in zip(documents.ids, documents.vectors.astype(float), strict=True):
            scores[doc_id] = query[:dim] @ row[:dim] / np.linalg.norm(query[:dim]) / np.linalg.norm(row[:dim])
        values.append(ndcg(sorted(scores, key=lambda doc: -scores[doc]), qrels[query_id], 10))
    return float(np.mean(values))


def test_sweep_agrees_with_brute_force():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(80, 12))
    documents = labelled("d", base)
    queries = labelled("q", np.tile(base, (4, 1))[:300] + rng.normal(size=(300, 12)) * 0.8)  # more than one block
    qrels = {f"q{n}": {f"d{n % 80}": 2, f"d{(n + 1) % 80}": 1} for n in range(290)}  # ten queries cannot be scored
    points = dimension_sweep(queries, documents, qrels, [8, 2, 4, 2])
    assert [point.dim for point in points] == [2, 4, 8, 12]
    for point in points:
        assert point.ndcg == pytest.approx(brute_force(queries, documents, qrels, point.dim), abs=1e-5)
        assert point.share == pytest.approx(point.ndcg / points[-1].ndcg)
    assert points[0].ndcg < 0.8 * points[-1].ndcg
    assert json.dumps([asdict(point) for point in points])


def test_equal_similarities_come_in_id_order():
    documents = labelled("d", [[1, 0]] * 30)  # d0, d1, d10, d11, ... in id order
    queries = labelled("q", [[1, 0]])
    assert dimension_sweep(queries, documents, {"q0": {"d10": 1}}, [2])[0].ndcg == pytest.approx(0.5)
    assert dimension_sweep(queries, documents, {"q0": {"d9": 1}}, [2])[0].ndcg == 0.0


def test_fewer_documents_than_the_depth_and_nothing_found():
    points = dimension_sweep(labelled("q", [[1, 0]]), labelled("d", [[1, 0], [0, 1]]), {"q0": {"gone": 1}}, [1])
    assert [(point.ndcg, point.share) for point in points] == [(0.0, 0.0), (0.0, 0.0)]


def test_what_a_sweep_refuses():
    queries, documents = labelled("q", np.eye(2)), labelled("d", np.eye(2))
    for dim in (0, 3):
        with pytest.raises(ValueError, match=f"dim is {dim}; expected 1 to 2"):
            dimension_sweep(queries, documents, {"q0": {"d0": 1}}, [dim])
    with pytest.raises(ValueError, match="0 queries can be scored on 2 documents"):
        dimension_sweep(queries, documents, {"q0": {"d0": 0}}, [2])
    with pytest.raises(ValueError, match="queries have 2 dimensions, documents 3"):
        dimension_sweep(queries, labelled("d", np.eye(3)), {"q0": {"d0": 1}}, [2])


def test_depth_by_hand():
    run = {"q1": [("a", 3.0), ("x", 2.0), ("b", 1.0)]}
    points = quality_by_depth(run, {"q1": {"a": 1, "b": 1}, "q2": {"c": 1}, "none": {"d": 0}}, [3, 1])
    assert [point.k for point in points] == [1, 3]
    assert (points[0].recall, points[0].precision, points[0].success) == (0.25, 0.5, 0.5)
    assert (points[1].recall, points[1].precision, points[1].success) == (0.5, pytest.approx(1 / 3), 0.5)
    assert points[1].ndcg == pytest.approx(0.9197 / 2, abs=1e-4)
    assert json.dumps([asdict(point) for point in points])


def test_what_depth_refuses():
    with pytest.raises(ValueError, match="cutoff of R is 0"):
        quality_by_depth({}, {"q": {"a": 1}}, [0])
    with pytest.raises(ValueError, match="none of 1 queries has a relevant document"):
        quality_by_depth({}, {"q": {"a": 0}}, [1])
