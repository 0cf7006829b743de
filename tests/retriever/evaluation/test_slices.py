"""Slices: every scored query in exactly one, in a stated order."""

import pytest

from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.evaluation.slices import slices
from quarry.retriever.ranking import Query

QUERIES = [
    Query("1", "如何重置"),
    Query("2", "how to reset the device to what it was before"),
    Query("3", "reset"),
    Query("4", "без слов"),
    Query("5", "为什么这台设备在重置以后不能再连接到原来的无线网络呢"),
]
EVALUATION = evaluate(
    {"1": [("a", 1.0)], "3": [("a", 1.0)]},
    {query.query_id: {"a": 1} for query in QUERIES},
    parse_measures(["RR"]),
    queries=QUERIES,
)


def shape(parts):
    return [(part.name, part.query_ids, part.means["RR"].value) for part in parts]


def test_by_language():
    assert shape(slices(EVALUATION, QUERIES, "language")) == [
        ("en", ("2", "3"), 0.5),
        ("zh", ("1", "5"), 0.5),
        ("other", ("4",), 0.0),
    ]


def test_by_length_in_order_of_length():
    assert shape(slices(EVALUATION, QUERIES, "length")) == [
        ("1-5", ("1", "3", "4"), pytest.approx(2 / 3)),
        ("6-10", ("2",), 0.0),
        ("21+", ("5",), 0.0),
    ]


def test_by_metadata_names_those_without():
    metadata = {"1": {"team": "support"}, "2": {"team": "sales"}, "3": {"team": "support"}, "4": {"year": "1999"}}
    assert [(part.name, part.query_ids) for part in slices(EVALUATION, QUERIES, "team", metadata=metadata)] == [
        ("(none)", ("4", "5")),
        ("support", ("1", "3")),
        ("sales", ("2",)),
    ]


def test_arguments():
    with pytest.raises(ValueError, match="no query has the field 'teem'; there are language, length, team"):
        slices(EVALUATION, QUERIES, "teem", metadata={"1": {"team": "a"}})
    with pytest.raises(ValueError, match=r"4 scored queries have no text \(first '2'\)"):
        slices(EVALUATION, QUERIES[:1], "language")
