"""Comparisons within slices, corrected for their number."""

import pytest

from quarry.retriever.evaluation.compare import compare
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.slices import compare_slices
from quarry.retriever.ranking import Query

QUERIES = tuple(Query(f"z{n}", "怎么续借图书") for n in range(30)) + tuple(
    Query(f"e{n}", "how to renew") for n in range(25)
)
QRELS = {query.query_id: {"a": 1} for query in QUERIES}
WORSE = {query.query_id: [("b", 1.0), ("a", 0.5)] for query in QUERIES}
BETTER = {**WORSE, **{f"z{n}": [("a", 1.0)] for n in range(30)}}


def evaluated(run):
    return evaluate(run, QRELS, parse_measures(["RR"]), queries=QUERIES)


def test_each_slice_has_its_own_verdict():
    parts = compare_slices(evaluated(WORSE), evaluated(BETTER), "RR", "language", QUERIES, {})
    assert {name: (part.count, part.difference, part.verdict) for name, part in parts.items()} == {
        "zh": (30, 0.5, "better"),
        "en": (25, 0.0, "no difference shown"),
    }
    assert {part.compared for part in parts.values()} == {2}
    alone = compare(evaluated(WORSE), evaluated(BETTER), "RR")
    assert parts["zh"].p_adjusted == pytest.approx(2 * parts["zh"].p)
    assert alone.compared == 1


def test_queries_of_one_side_only_are_left_out():
    fewer = evaluate(BETTER, {q: QRELS[q] for q in QRELS}, parse_measures(["RR"]), queries=QUERIES[:30])
    parts = compare_slices(evaluated(WORSE), fewer, "RR", "language", QUERIES, {})
    assert set(parts) == {"zh"}


def test_an_unknown_field_is_an_error():
    with pytest.raises(ValueError, match="no query has the field 'topic'"):
        compare_slices(evaluated(WORSE), evaluated(BETTER), "RR", "topic", QUERIES, {})
