"""Near duplicates: the join finds exactly the pairs that comparing everything with everything finds."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.training.examples.near_duplicates import (
    components,
    jaccard,
    near_duplicates,
    near_duplicates_between,
    shingles,
)

TEXTS = st.lists(st.text(alphabet="ab 续借书。Ｂ", max_size=12), max_size=14)


def sim(one, other):
    return jaccard(shingles(one), shingles(other))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("How do I renew?", "how do i ＲＥＮＥＷ", 1.0),
        ("如何续借图书？", "如何 续借 图书", 3 / 5),  # 如何 续借 图书 of five pairs; a space parts words
        ("如何续借图书", "如何续借杂志", 3 / 7),
        ("ab", "abc", 1 / 4),  # " ab" of " ab" "ab " and " ab" "abc" "bc "
        ("书", "书", 1.0),
        ("书 本", "书", 1 / 2),
        ("!?", "!?", 0.0),
    ],
)
def test_similarity_by_pencil(one, other, expected):
    assert sim(one, other) == pytest.approx(expected)


def test_shingles_are_increasing_and_unlike_for_other_orders():
    found = shingles("renew 续借 renew")
    assert (np.diff(found.astype(object)) > 0).all()
    assert sim("abc", "cba") == 0.0
    assert sim("借续", "续借") == 0.0


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_pairs_and_groups_are_those_of_brute_force(texts, threshold):
    brute = {(i, j) for i, j in combinations(range(len(texts)), 2) if sim(texts[i], texts[j]) >= threshold - 1e-9}
    found = list(near_duplicates(texts, threshold))
    assert {(pair.first, pair.second) for pair in found} <= brute
    assert all(pair.similarity == pytest.approx(sim(texts[pair.first], texts[pair.second])) for pair in found)
    assert components(len(texts), [pair[:2] for pair in found]) == components(len(texts), brute)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS, st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_pairs_of_two_lists_are_those_of_brute_force(left, right, threshold):
    brute = {
        (i, j) for i, j in product(range(len(left)), range(len(right))) if sim(left[i], right[j]) >= threshold - 1e-9
    }
    assert {pair[:2] for pair in near_duplicates_between(left, right, threshold)} == brute


def test_components_name_the_smallest_place():
    assert components(6, [(4, 2), (5, 4), (1, 0)]) == [0, 0, 2, 3, 2, 2]


@pytest.mark.parametrize("threshold", [0, 1.1, -1])
def test_a_threshold_out_of_range_is_an_error(threshold):
    with pytest.raises(ValueError, match="expected a number above 0"):
        list(near_duplicates(["a"], threshold))
