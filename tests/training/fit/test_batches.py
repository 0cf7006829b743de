"""Batches: nothing twice, nothing lost, the same from the same seed, kinds as asked."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.batches import plan_batches
from quarry.training.fit.spec import TrainSpec
from tests.training.tiny_model import topic_rows


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=60),
    st.integers(2, 9),
    st.integers(0, 5),
    st.sampled_from(["random", "homogeneous", "semi-homogeneous"]),
)
def test_no_text_comes_twice_in_a_batch_and_every_row_once_in_an_epoch(pairs, size, seed, order):
    rows = [TrainingRow(f"问{q}", (f"p{p}",), ("n1", "n2"), kind=str(q % 3)) for q, p in pairs]
    plan = plan_batches(rows, TrainSpec(batch_size=size, seed=seed, epochs=2, batches={"order": order}))
    seen = Counter(draw.row for batch in plan.batches for draw in batch)
    assert plan.left_out == 0
    assert set(seen.values()) == {2}
    assert len(seen) == len(rows)
    for batch in plan.batches:
        texts = [text for draw in batch for text in (rows[draw.row].query, rows[draw.row].pos[draw.positive])]
        assert len(set(texts)) == len(texts)
        assert len(batch) <= size
        if order == "homogeneous":
            assert len({rows[draw.row].kind for draw in batch}) == 1


def test_the_same_seed_gives_the_same_plan_and_each_epoch_its_own():
    rows = topic_rows(40, negatives=3)
    spec = TrainSpec(batch_size=8, epochs=2, seed=5, loss={"hard_negatives": 2})
    plan = plan_batches(rows, spec)
    assert plan == plan_batches(rows, spec)
    assert plan != plan_batches(rows, spec.model_copy(update={"seed": 6}))
    first, second = plan.batches[:5], plan.batches[5:]
    assert plan.epoch_ends == (5, 10)
    assert {d.row for b in first for d in b} == {d.row for b in second for d in b} == set(range(40))
    assert first != second
    assert {len(draw.negatives) for batch in plan.batches for draw in batch} == {2}


def test_a_semi_homogeneous_batch_has_its_share_of_one_kind():
    rows = [TrainingRow(f"q{i}", (f"p{i}",), kind="abcd"[i % 4]) for i in range(800)]
    spec = TrainSpec(batch_size=20, batches={"order": "semi-homogeneous", "ratio": 0.7})
    full = [batch for batch in plan_batches(rows, spec).batches if len(batch) == 20][:-4]
    most = [max(Counter(rows[draw.row].kind for draw in batch).values()) for batch in full]
    assert sorted(most)[len(most) // 2] >= 14
    mixed = plan_batches(rows, TrainSpec(batch_size=20)).batches
    assert max(max(Counter(rows[draw.row].kind for draw in batch).values()) for batch in mixed) < 14


def test_what_teaches_the_opposite_is_never_drawn():
    rows = [TrainingRow("怎么办", ("答", "又答"), ("答", "怎么办", "别的")), TrainingRow("how", ("so",), ("so",))]
    plan = plan_batches(rows, TrainSpec(batch_size=2, epochs=10))
    assert {draw.negatives for batch in plan.batches for draw in batch} == {(2,), ()}
    assert {draw.positive for batch in plan.batches for draw in batch if draw.row == 0} == {0, 1}


def test_several_processes_get_equally_many_batches():
    plan = plan_batches(topic_rows(27), TrainSpec(batch_size=3, epochs=2), processes=2)
    assert plan.epoch_ends == (8, 16)
    assert plan.left_out == 6


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there are 0 training rows"),
        ([TrainingRow("q", ("p",))], "no batch can be made of 1 row:"),
        ([TrainingRow("q", (f"p{i}",)) for i in range(5)], "share one query or one passage"),
        ([TrainingRow(f"q{i}", ("p",), ("p",)) for i in range(5)], "expected at least 2 different queries"),
    ],
)
def test_rows_that_teach_nothing_are_refused(rows, message):
    with pytest.raises(FeedbackError, match=message):
        plan_batches(rows, TrainSpec())
