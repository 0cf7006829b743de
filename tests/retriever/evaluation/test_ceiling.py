"""The ceiling of reranking: by hand, and never below any order of the candidates."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarry.retriever.evaluation.ceiling import candidate_ceiling
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.ranking import Query

NDCG, RECALL = parse_measures(["nDCG@10", "R@2"])
NAMES = ["nDCG@3", "AP", "RR", "R@2", "P@2", "Success@1"]


def test_by_hand():
    run = {"q1": [("x", 3.0), ("y", 2.0), ("a", 1.0)], "q2": [("x", 1.0)]}
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1}, "none": {"d": 0}}
    ceiling = candidate_ceiling(run, qrels, 3, NDCG)
    assert ceiling.per_query == {"q1": 1.0, "q2": 0.0, "q3": 0.0}
    assert ceiling.value == pytest.approx(1 / 3)
    assert ceiling.recall == pytest.approx(1 / 3)
    assert (ceiling.measure, ceiling.depth) == ("nDCG@10", 3)
    shallow = candidate_ceiling(run, qrels, 2, NDCG, queries=[Query("q1", "?")])
    assert shallow.recall == 0.0
    assert shallow.value == pytest.approx(0.5)  # a stays third, behind the reranked two


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=5),
    st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 3), min_size=1).filter(
        lambda grades: max(grades.values()) > 0
    ),
    st.integers(1, 6),
    st.sampled_from(parse_measures(NAMES)),
)
def test_no_order_of_the_candidates_is_above_it_and_the_best_one_reaches_it(ranking, grades, depth, measure):
    ceiling = candidate_ceiling({"q": [(doc, 0.0) for doc in ranking]}, {"q": grades}, depth, measure).value
    reached = [measure.of([*head, *ranking[depth:]], grades) for head in permutations(ranking[:depth])]
    assert ceiling == pytest.approx(max(reached))


def test_arguments():
    with pytest.raises(ValueError, match="depth is 0; expected at least 1"):
        candidate_ceiling({}, {"q": {"a": 1}}, 0, RECALL)
    with pytest.raises(ValueError, match="none of 1 queries has a relevant document"):
        candidate_ceiling({}, {"q": {"a": 0}}, 5, RECALL)
