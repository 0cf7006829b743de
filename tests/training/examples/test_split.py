"""The split: no group of queries that belong together crosses it, and the guard raises when one does."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.example import Example
from quarry.training.examples.near_duplicates import jaccard, shingles
from quarry.training.examples.rows import TrainingRow
from quarry.training.examples.split import SplitSpec, check_no_leak, split_examples


def example(query, *pos, ids=(), source=""):
    return Example.of(TrainingRow(query, pos or (f"the answer to {query}",)), positive_ids=ids, source=source)


def many(count):
    words = ["图书", "loans", "打印机", "parking", "签证", "insurance", "食堂", "password"]
    return [example(f"{words[i % 8]} {i * 7919} {chr(0x4E00 + i * 31)}{chr(0x5E00 + i * 17)}") for i in range(count)]


def linked(one, other, similarity=0.8):
    return (
        one.key == other.key
        or bool(set(one.positive_ids) & set(other.positive_ids))
        or bool(set(one.row.pos) & set(other.row.pos))
        or jaccard(shingles(one.row.query), shingles(other.row.query)) >= similarity
    )


EXAMPLES = st.lists(
    st.builds(
        lambda query, pos, ids: example(query, *pos, ids=ids),
        st.text(alphabet="abcd 借书还", min_size=1, max_size=8).filter(lambda text: text.strip()),
        st.lists(st.sampled_from([f"passage {n}" for n in range(40)]), min_size=1, max_size=2),
        st.lists(st.sampled_from([f"d#{n}" for n in range(60)]), max_size=2),
    ),
    min_size=3,
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(EXAMPLES, st.integers(0, 5), st.sampled_from([(0.1, 0.2), (0.0, 0.5), (0.3, 0.3)]))
def test_nothing_that_belongs_together_crosses(examples, seed, shares):
    try:
        split = split_examples(examples, SplitSpec(dev=shares[0], test=shares[1], seed=seed))
    except FeedbackError as err:
        assert "leaves nothing for" in str(err)
        return
    sides = {"train": split.train, "dev": split.dev, "test": split.test}
    assert sorted(map(repr, examples)) == sorted(repr(e) for side in sides.values() for e in side)
    for name, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not any(linked(one, two) for one in sides[name] for two in sides[other])


def test_shares_seed_and_order():
    examples = many(200)
    split = split_examples(examples)
    assert (len(split.train), len(split.dev), len(split.test), split.groups, split.largest) == (140, 20, 40, 200, 1)
    shuffled = random.Random(1).sample(examples, 200)
    assert set(split_examples(shuffled).test) == set(split.test)
    assert set(split_examples(examples, SplitSpec(seed=1)).test) != set(split.test)
    assert list(split.test) == [e for e in examples if e in split.test]


def test_a_growing_log_keeps_its_held_out_queries():
    small, large = split_examples(many(200)), split_examples(many(220))
    assert len(set(small.test) & set(large.test)) >= 36
    trained = {e.key for e in small.train}
    later = split_examples(many(220), trained_on=trained)
    assert not trained & {e.key for e in (*later.dev, *later.test)}


def test_near_duplicates_and_shared_positives_stay_together():
    groups = [
        [example("how do I renew a book?"), example("How do I renew  a book"), example("how do I renew a books?")],
        [example("如何续借图书馆的图书"), example("如何续借图书馆的图书？")],
        [example("opening hours", "8 to 20"), example("什么时候开门", "8  TO 20")],
        [example("a", ids=["d#1"]), example("zzz", ids=["d#1"])],
    ]
    split = split_examples([e for group in groups for e in group] + many(30), SplitSpec(dev=0.3, test=0.3))
    for group in groups:
        assert any(set(group) <= set(side) for side in (split.train, split.dev, split.test))


def test_a_group_larger_than_a_share_goes_to_training():
    big = [example(f"query {chr(0x4E00 + n * 53)}{chr(0x5000 + n * 71)}", "one answer") for n in range(30)]
    split = split_examples(big + many(30), SplitSpec(dev=0.1, test=0.2))
    assert set(big) <= set(split.train)
    assert (split.largest, len(split.test), len(split.dev)) == (30, 12, 6)


@pytest.mark.parametrize(
    "examples",
    [[], [example("怎么续借")] * 3, [example("a", "p"), example("b", "p"), example("c", "p")], many(2)],
    ids=["none", "one query", "one answer", "two"],
)
def test_too_few_groups_are_an_error(examples):
    with pytest.raises(FeedbackError, match=r"leaves nothing for .*expected at least 3 groups.*Collect more"):
        split_examples(examples)


def test_what_was_trained_on_is_not_enough_for_a_test():
    with pytest.raises(FeedbackError, match="leaves nothing for test, dev"):
        split_examples(many(9), trained_on={e.key for e in many(9)})


@pytest.mark.parametrize(("dev", "test"), [(0.5, 0.5), (-0.1, 0.2), (0.1, 1.0)])
def test_shares_that_leave_nothing_are_an_error(dev, test):
    with pytest.raises(ValueError, match="expected shares from 0"):
        SplitSpec(dev=dev, test=test)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        (
            example("How do I renew a BOOK?", source="b:2"),
            r"'how do i renew a book\?' \(a:1\).*\(b:2\) have the same query",
        ),
        (example("how do I renew a books?"), "have queries that are 8.% alike"),
        (example("续借", "Ask at the desk."), "share the positive text 'Ask at the desk.'"),
        (example("续借", ids=["d#0-9"]), "share the positive 'd#0-9'"),
    ],
)
def test_the_guard_names_the_pair(held_out, message):
    train = [*many(5), example("how do i renew a book?", "ask at the desk.", ids=["d#0-9"], source="a:1")]
    check_no_leak(train, many(8)[5:])
    with pytest.raises(FeedbackError, match=message):
        check_no_leak(train, [*many(8)[5:], held_out])


@pytest.mark.data
def test_real_pairs_split_without_leak(shared_data):
    from quarry.training.examples.files import read_pairs

    for name in ("zh", "en"):
        examples = read_pairs(shared_data / f"train-pairs-{name}" / "dev.jsonl").examples
        split = split_examples(examples)
        assert len(split.test) == pytest.approx(400, abs=40)
        assert split.largest < 100
