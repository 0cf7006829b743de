"""Diagnostics of embeddings on vectors whose answers are known."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.retriever.diagnosis.vectors import (
    LabelledVectors,
    anisotropy,
    pair_scores,
    positive_pairs,
    score_band,
    similarity_histograms,
)


def unit(rows):
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def labelled(prefix, rows):
    return LabelledVectors(tuple(f"{prefix}{n}" for n in range(len(rows))), unit(rows))


def noisy_pairs(count=120, dim=16, seed=0):
    rng = np.random.default_rng(seed)
    documents = rng.normal(size=(count, dim))
    queries = documents + rng.normal(size=(count, dim)) * 0.5
    return labelled("q", queries), labelled("d", documents), {f"q{n}": {f"d{n}": 1, "d0": 0} for n in range(1, count)}


def test_relevant_pairs_are_those_with_vectors_and_a_grade():
    pairs = positive_pairs(
        labelled("q", np.eye(2)), labelled("d", np.eye(3)), {"q1": {"d2": 1, "d0": 0, "gone": 1}, "x": {"d1": 1}}
    )
    assert pairs.tolist() == [[1, 2]]
    assert positive_pairs(labelled("q", np.eye(2)), labelled("d", np.eye(3)), {}).shape == (0, 2)


def test_histograms_separate_relevant_from_random():
    queries, documents, qrels = noisy_pairs()
    found = similarity_histograms(queries, documents, qrels, bins=20)
    assert (len(found.edges), len(found.positives), len(found.random)) == (21, 20, 20)
    assert (found.edges[0], found.edges[-1]) == (-1.0, 1.0)
    assert sum(found.positives) == 119
    exact = np.sum(queries.vectors[1:] * documents.vectors[1:], axis=1)
    assert found.positive_mean == pytest.approx(exact.mean(), abs=1e-6)
    assert abs(found.random_mean) < 0.05
    assert found.separation > 0.99
    assert json.loads(json.dumps(asdict(found)))["separation"] == found.separation


def test_separation_of_unrelated_vectors_is_chance_and_agrees_with_counting():
    rng = np.random.default_rng(1)
    queries, documents = labelled("q", rng.normal(size=(60, 8))), labelled("d", rng.normal(size=(60, 8)))
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(60)}
    found = similarity_histograms(queries, documents, qrels)
    good, other = pair_scores(queries, documents, qrels)
    counted = ((good[:, None] > other).mean() + (good[:, None] >= other).mean()) / 2
    assert found.separation == pytest.approx(counted, abs=1e-9)
    assert abs(found.separation - 0.5) < 0.1


def test_random_pairs_have_no_relevant_ones():
    queries, documents = labelled("q", np.eye(3)), labelled("d", np.eye(3))
    good, other = pair_scores(queries, documents, {f"q{n}": {f"d{n}": 1} for n in range(3)})
    assert good.tolist() == [1.0, 1.0, 1.0]
    assert other.size > 1000
    assert (other == 0.0).all()


def test_what_histograms_refuse():
    queries, documents = labelled("q", np.eye(2)), labelled("d", np.eye(2))
    with pytest.raises(ValueError, match="bins is 0; expected at least 1"):
        similarity_histograms(queries, documents, {"q0": {"d0": 1}}, bins=0)
    with pytest.raises(ValueError, match="no relevant pair has vectors on both sides"):
        similarity_histograms(queries, documents, {"q0": {"gone": 1}})
    with pytest.raises(ValueError, match="every query is relevant to every document"):
        similarity_histograms(queries, documents, {q: {"d0": 1, "d1": 1} for q in ("q0", "q1")})
    with pytest.raises(ValueError, match="queries have 2 dimensions, documents 3"):
        similarity_histograms(queries, labelled("d", np.eye(3)), {"q0": {"d0": 1}})
    with pytest.raises(ValueError, match=r"1 ids for vectors of shape \(2, 2\)"):
        LabelledVectors(("a",), unit(np.eye(2)))


def test_anisotropy_of_a_sphere_and_of_a_cone():
    rng = np.random.default_rng(0)
    sphere = unit(rng.normal(size=(5000, 32)))
    cone = unit(rng.normal(size=(5000, 32)) + 3 * np.eye(32)[0] * np.sqrt(32))
    even, crowded = anisotropy(sphere), anisotropy(cone)
    assert abs(even.mean_cosine) < 0.01
    assert even.top_component_share < 0.05
    assert crowded.mean_cosine == pytest.approx(float(np.square(cone.mean(axis=0)).sum()), abs=0.01)
    assert crowded.mean_cosine > 0.8
    assert crowded.count == 5000
    assert json.dumps(asdict(crowded))


def test_first_component_agrees_with_a_decomposition():
    vectors = unit(np.random.default_rng(2).normal(size=(9000, 6)) * [5, 3, 1, 1, 1, 1])  # more rows than one block
    singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    expected = singular[0] ** 2 / np.square(singular).sum()
    assert anisotropy(vectors).top_component_share == pytest.approx(expected, abs=1e-4)


def test_what_anisotropy_refuses():
    with pytest.raises(ValueError, match=r"vectors have shape \(1, 4\); expected at least 2 rows"):
        anisotropy(np.ones((1, 4), dtype=np.float32))
    with pytest.raises(ValueError, match="all 3 vectors are equal"):
        anisotropy(unit(np.ones((3, 4))))


def test_band_by_hand():
    band = score_band([0.9, 0.8, 0.7, 0.4], [0.5, 0.3, 0.2, 0.1])
    assert (band.threshold, band.false_rejects, band.false_accepts) == (pytest.approx(0.35), 0.0, 0.25)
    assert (band.low, band.high) == (pytest.approx(0.35), pytest.approx(0.6))
    assert (band.positives, band.negatives) == (4, 4)


def test_band_when_scores_are_apart():
    band = score_band([0.9, 0.8], [0.2, 0.1])
    assert (band.threshold, band.false_rejects, band.false_accepts) == (0.5, 0.0, 0.0)
    assert (band.low, band.high) == (0.5, 0.5)


good_scores = st.lists(st.floats(-1, 1).map(lambda score: round(score, 2)), min_size=1, max_size=30)


@given(good_scores, good_scores)
def test_band_is_the_best_threshold_and_tells_its_true_error_rates(positives, negatives):
    band = score_band(positives, negatives)
    good, bad = np.array(positives), np.array(negatives)

    def errors(threshold):
        return (good < threshold).mean() + (bad >= threshold).mean()

    assert (band.false_rejects, band.false_accepts) == pytest.approx(
        ((good < band.threshold).mean(), (bad >= band.threshold).mean())
    )
    assert errors(band.threshold) <= min(errors(t) for t in [*positives, *negatives, 2.0]) + 1e-12
    assert (good < band.low).mean() <= 0.05
    assert (bad >= band.high).mean() <= 0.05 + 1e-12


def test_what_a_band_refuses():
    with pytest.raises(ValueError, match="0 positives and 1 negatives"):
        score_band([], [0.5])
    with pytest.raises(ValueError, match="a score is not finite"):
        score_band([float("nan")], [0.5])


def test_separation_of_equal_scores_is_chance():
    queries, documents = labelled("q", np.ones((4, 2))), labelled("d", np.ones((4, 2)))
    assert similarity_histograms(queries, documents, {"q0": {"d0": 1}}).separation == 0.5
