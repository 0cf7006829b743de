"""The fusion by scores and evidence, with numbers that a pencil can check."""

import random

import pytest

from quarry.retriever.ranking import Evidence, Hit, StageScore
from quarry.retriever.stages.fusion import fuse, reciprocal_rank_fusion


def dense(*pairs: tuple[str, float]) -> list[Hit]:
    return [Hit(c, s, "dense", Evidence(dense=StageScore(r, s))) for r, (c, s) in enumerate(pairs, 1)]


def bm25(*triples: tuple[str, float, tuple[str, ...]]) -> list[Hit]:
    return [Hit(c, s, "bm25", Evidence(bm25=StageScore(r, s), terms=t)) for r, (c, s, t) in enumerate(triples, 1)]


def test_scaled_scores_are_combined_by_the_weight():
    hits = fuse(
        dense(("a", 0.9), ("b", 0.8), ("c", 0.7)),
        bm25(("c", 10.0, ("x",)), ("b", 5.0, ("x",))),
        k=3,
        weight=0.4,
    )
    assert {hit.chunk_id: pytest.approx(hit.score, abs=1e-5) for hit in hits} == {
        "a": 0.6,
        "b": 0.6 * 0.5 + 0.4 * 0.5,
        "c": 0.4,
    }
    assert [hit.chunk_id for hit in hits] == ["a", "b", "c"]
    middle = hits[1].evidence
    assert (middle.dense, middle.bm25, middle.terms) == (StageScore(2, 0.8), StageScore(2, 5.0), ("x",))
    assert middle.fusion == StageScore(2, hits[1].score)


def test_with_weight_0_the_dense_order_stands_whatever_bm25_says():
    hits = fuse(
        dense(("a", 0.9), ("b", 0.8)),
        bm25(("z", 99.0, ("7",)), ("b", 98.0, ("7",))),
        k=4,
        weight=0.0,
    )
    assert [hit.chunk_id for hit in hits] == ["a", "b", "z"]
    by_rank = reciprocal_rank_fusion(dense(("a", 0.9), ("b", 0.8)), bm25(("z", 99.0, ("7",)), ("b", 98.0, ("7",))), k=4)
    assert by_rank[0].chunk_id == "b"


def test_reciprocal_ranks():
    hits = reciprocal_rank_fusion(dense(("a", 0.9), ("b", 0.8)), bm25(("b", 3.0, ())), k=2)
    assert [(hit.chunk_id, pytest.approx(hit.score)) for hit in hits] == [("b", 1 / 62 + 1 / 61), ("a", 1 / 61)]


def test_one_side_alone_keeps_its_order():
    assert [h.chunk_id for h in fuse([], bm25(("b", 3.0, ()), ("a", 1.0, ())), k=9, weight=1.0)] == [
        "b",
        "a",
    ]
    assert [h.chunk_id for h in fuse(dense(("b", 0.3), ("a", 0.2)), [], k=9, weight=0.0)] == [
        "b",
        "a",
    ]
    assert fuse([], [], k=9, weight=0.0) == []


def ranked(stage, scores):
    return [Hit(chunk_id, score, stage) for chunk_id, score in sorted(scores.items(), key=lambda pair: -pair[1])]


def test_the_first_results_are_the_same_at_any_depth_and_scores_stay_in_bounds():
    rng = random.Random(0)
    for _ in range(20):
        near = ranked("dense", {f"d{n}": rng.uniform(-0.2, 0.9) for n in range(400)})
        words = ranked("bm25", {f"{rng.choice('dx')}{n}": rng.uniform(1, 20) for n in range(300)})
        weight = rng.random()
        few = fuse(near[:100], words[:100], k=10, weight=weight)
        many = fuse(near, words, k=1000, weight=weight)
        assert [hit.chunk_id for hit in few] == [hit.chunk_id for hit in many[:10]]
        assert {hit.chunk_id for hit in many} == {hit.chunk_id for hit in [*near, *words]}
        assert all(0 <= hit.score <= 1 for hit in many)


def test_beyond_the_scored_hits_reciprocal_ranks_decide():
    near = ranked("dense", {f"{149 - n:03d}": 1 - n / 1000 for n in range(150)})
    hits = fuse(near, [], k=150, weight=0.0)
    assert [hit.chunk_id for hit in hits] == [hit.chunk_id for hit in near]
    assert hits[120].score == pytest.approx(1e-6 / 181)


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(k):
    near = dense(("a", 0.9))
    with pytest.raises(ValueError, match=f"k is {k}; expected at least 1"):
        fuse(near, [], k=k, weight=0.0)
    with pytest.raises(ValueError, match=f"k is {k}; expected at least 1"):
        reciprocal_rank_fusion(near, [], k=k)


def test_weights_of_0_and_1_are_the_orders_of_one_side_and_the_rest_of_the_other_below():
    rng = random.Random(1)
    near = ranked("dense", {f"d{n}": rng.uniform(-0.2, 0.9) for n in range(130)})
    words = ranked("bm25", {f"{rng.choice('dx')}{n}": rng.uniform(1, 20) for n in range(120)})
    for weight, first, other in ((1.0, words, near), (0.0, near, words)):
        order = [hit.chunk_id for hit in fuse(near, words, k=1000, weight=weight)]
        names = [hit.chunk_id for hit in first]
        assert order[: len(names)] == names
        assert order[len(names) :] == [hit.chunk_id for hit in other if hit.chunk_id not in set(names)]


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_0_and_1_is_refused(weight):
    with pytest.raises(ValueError, match="expected 0 to 1"):
        fuse(dense(("a", 0.9)), [], k=1, weight=weight)
