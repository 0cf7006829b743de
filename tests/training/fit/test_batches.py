"""Batches: nothing twice, nothing lost, the same from the same seed, kinds as asked."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.rows.batches import plan_batches
from quarry.training.fit.spec import TrainSpec
from tests.training.tiny_model import topic_rows


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=60),
    st.integers(2, 9),
    st.integers(0, 5),
    st.sampled_from(["random", "homogeneous", "semi-homogeneous"]),
)
def test_every_row_comes_once_in_an_epoch_and_no_text_oftener_than_it_must(pairs, size, seed, order):
    rows = [TrainingRow(f"问{q}", (f"p{p}",), ("n1", "n2"), kind=str(q % 3)) for q, p in pairs]
    plan = plan_batches(rows, TrainSpec(batch_size=size, seed=seed, epochs=2, batches={"order": order}))
    seen = Counter(draw.row for batch in plan.batches for draw in batch)
    assert plan.left_out == 0
    assert set(seen.values()) == {2}
    assert len(seen) == len(rows)
    by_kind = Counter(row.kind for row in rows).values() if order == "homogeneous" else [len(rows)]
    assert len(plan.batches) == 2 * sum(-(-count // size) for count in by_kind)
    for batch in plan.batches:
        assert len(batch) <= size
        if order == "homogeneous":
            assert len({rows[draw.row].kind for draw in batch}) == 1


def test_texts_that_come_a_few_times_are_kept_apart_in_full_batches():
    rows = [TrainingRow(f"问{i // 2}", (f"p{i % 150}",)) for i in range(300)]
    batches = plan_batches(rows, TrainSpec(batch_size=16)).batches
    for batch in batches[:-3]:
        texts = [text for draw in batch for text in (rows[draw.row].query, rows[draw.row].pos[0])]
        assert len(set(texts)) == len(texts) == 32


@pytest.mark.parametrize("labels", [2, 6])
def test_rows_of_few_labels_do_not_shrink_the_batches(labels):
    rows = [TrainingRow(f"q{i}", (f"p{i}",)) for i in range(3000)]
    rows += [TrainingRow(f"text {i}", (f"label {i % labels}",)) for i in range(1000)]
    plan = plan_batches(rows, TrainSpec(batch_size=64))
    assert plan.left_out == 0
    assert [len(batch) for batch in plan.batches] == [64] * 62 + [32]
    shares = [Counter(rows[draw.row].pos[0] for draw in batch) for batch in plan.batches[:-4]]
    assert max(count for share in shares for count in share.values()) == -(-1000 // labels // 63)
    few = plan_batches(rows[3000:3200], TrainSpec(batch_size=4)).batches
    assert len(few) == 50
    assert all(len({rows[3000 + draw.row].pos for draw in batch}) > 1 for batch in few)


@pytest.mark.parametrize("processes", [2, 4])
def test_all_processes_of_a_step_see_one_kind_and_the_rows_of_one_larger_batch(processes):
    rows = [TrainingRow(f"q{i}", (f"p{i}",), kind="abc"[i % 3]) for i in range(960)]
    spec = TrainSpec(batch_size=8, batches={"order": "homogeneous"})
    batches = plan_batches(rows, spec, processes=processes).batches
    steps = [
        [draw for batch in batches[at : at + processes] for draw in batch] for at in range(0, len(batches), processes)
    ]
    assert len(steps) == 120 // processes
    assert all(len({rows[draw.row].kind for draw in step}) == 1 for step in steps)
    whole = plan_batches(rows, spec.model_copy(update={"batch_size": 8 * processes})).batches
    assert [tuple(step) for step in steps] == list(whole)


def test_kinds_that_are_not_retrieval_have_a_size_of_their_own():
    rows = [TrainingRow(f"q{i}", (f"p{i}",), kind=("retrieval", "symmetric_sts")[i % 2]) for i in range(128)]
    spec = TrainSpec(batch_size=32, batches={"order": "homogeneous", "other_size": 8})
    sizes = Counter((rows[batch[0].row].kind, len(batch)) for batch in plan_batches(rows, spec).batches)
    assert sizes == {("retrieval", 32): 2, ("symmetric_sts", 8): 8}
    with pytest.raises(ValueError, match="expected homogeneous"):
        TrainSpec(batches={"other_size": 8})


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
    assert plan.epoch_ends == (10, 20)
    assert plan.left_out == 0
    assert {len(batch) for batch in plan.batches} == {3, 2, 1}


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
