"""Measures: golden numbers, another library, brute force, and properties that hold for any ranking."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.errors import SettingsError
from quarry.retriever.evaluation import measures
from quarry.retriever.evaluation.measures import Measure, parse_measures

NAMES = (
    "nDCG",
    "nDCG@3",
    "nDCG@10",
    "AP",
    "AP@5",
    "RR",
    "RR@3",
    "R@5",
    "R@100",
    "P@5",
    "Success@1",
    "Success@5",
    "Judged@10",
)
ALL = parse_measures(NAMES)
OF_RELEVANCE = tuple(measure for measure in ALL if measure.kind != "Judged")

doc_ids = st.sampled_from([f"d{n}" for n in range(8)])
rankings = st.lists(doc_ids, max_size=14)
grades = st.dictionaries(doc_ids, st.integers(-1, 4), max_size=8)


def test_golden_ndcg_with_grades():
    ideal = {"doc1": 3, "doc2": 2, "doc3": 3, "doc6": 2, "doc7": 3, "doc8": 2}
    assert measures.ndcg(["doc1", "doc2", "doc3", "doc4", "doc5"], ideal) == pytest.approx(0.6592, abs=5e-5)


def test_golden_ndcg_without_grades():
    assert measures.ndcg(["doc1", "doc3", "doc2"], {"doc1": 1, "doc2": 1}) == pytest.approx(0.9197, abs=5e-5)


def test_golden_ndcg_of_two_queries():
    first = measures.ndcg(["D0", "D1"], {"D0": 0, "D1": 1}, 10)
    second = measures.ndcg(["D3", "D0"], {"D0": 0, "D3": 2}, 10)
    assert (first + second) / 2 == pytest.approx(0.8155, abs=5e-5)


def test_golden_precision_of_two_queries():
    first = measures.precision(["D0", "D2", "D3", "D1", "D4"], {"D0": 0, "D1": 1, "D2": 1, "D3": 2, "D4": 0}, 5)
    second = measures.precision(["D1", "D3", "D2", "D4", "D0"], {"D0": 1, "D3": 2, "D5": 2}, 5)
    assert (first + second) / 2 == 0.5


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AP", (1 / 2 + 2 / 4) / 3),
        ("AP@3", (1 / 2) / 3),
        ("RR", 1 / 2),
        ("RR@1", 0.0),
        ("R@3", 1 / 3),
        ("R@4", 2 / 3),
        ("P@3", 1 / 3),
        ("P@10", 2 / 10),
        ("Success@1", 0.0),
        ("Success@2", 1.0),
        ("Judged@3", 2 / 3),
        ("Judged@10", 3 / 4),
        ("nDCG@2", (3 / math.log2(3)) / (3 + 1 / math.log2(3))),
    ],
)
def test_by_hand(name, expected):
    judged = {"b": 3, "d": 1, "z": 1, "a": 0}
    assert value_of(name)(["a", "b", "c", "d"], judged) == pytest.approx(expected, abs=1e-12)


def value_of(name):
    return parse_measures([name])[0].of


def test_other_library_agrees_on_random_runs():
    ir_measures = pytest.importorskip("ir_measures")
    rng = np.random.default_rng(0)
    qrels, run = [], []
    ours_run, ours_qrels = {}, {}
    for query in map(str, range(60)):
        judged = {f"d{n}": int(rng.integers(0, 4)) for n in rng.choice(150, size=rng.integers(1, 40), replace=False)}
        judged["sure"] = 1
        found = [f"d{n}" for n in rng.permutation(150)[: rng.integers(1, 120)]]
        scores = np.sort(rng.random(len(found)))[::-1]
        ours_qrels[query], ours_run[query] = judged, found
        qrels += [ir_measures.Qrel(query, doc, grade) for doc, grade in judged.items()]
        run += [ir_measures.ScoredDoc(query, doc, float(score)) for doc, score in zip(found, scores, strict=True)]
    theirs = [ir_measures.parse_measure(str(measure)) for measure in ALL]
    by_name = {str(measure): measure for measure in ALL}
    compared = 0
    for metric in ir_measures.iter_calc(theirs, qrels, run):
        value = by_name[str(metric.measure)].of(ours_run[metric.query_id], ours_qrels[metric.query_id])
        assert value == pytest.approx(metric.value, abs=1e-9), (metric.measure, metric.query_id)
        compared += value > 0
    assert compared > 300  # the comparison is not one of zeros


@given(rankings, grades, st.sampled_from(ALL))
def test_values_lie_between_0_and_1_even_with_duplicates(ranking, judged, measure):
    assert 0.0 <= measure.of(ranking, judged) <= 1.0


@given(rankings, grades, st.sampled_from(OF_RELEVANCE), st.integers(-1, 0))
def test_an_irrelevant_document_at_the_end_never_raises_a_score(ranking, judged, measure, grade):
    with_more = {**judged, "bad": grade}
    assert measure.of([*ranking, "bad"], with_more) <= measure.of(ranking, with_more)


@given(rankings, grades, st.sampled_from(ALL))
def test_duplicates_change_nothing(ranking, judged, measure):
    assert measure.of(ranking, judged) == measure.of(list(dict.fromkeys(ranking)), judged)


@given(grades.filter(lambda judged: any(grade > 0 for grade in judged.values())))
def test_the_ideal_ranking_scores_1(judged):
    ideal = sorted(judged, key=lambda doc: -judged[doc])
    assert measures.ndcg(ideal, judged) == pytest.approx(1.0)
    assert measures.average_precision(ideal, judged) == pytest.approx(1.0)
    assert measures.reciprocal_rank(ideal, judged) == measures.recall(ideal, judged, 8) == 1.0


@pytest.mark.parametrize("measure", ALL, ids=str)
def test_nothing_retrieved_or_nothing_judged_is_0(measure):
    assert measure.of([], {"a": 1}) == 0.0
    assert measure.of(["a"], {}) == 0.0


def test_names_are_read_in_both_spellings():
    spelled = ["ndcg_at_10", "map_at_100", "mrr_at_10", "recall_at_100", "precision_at_5", " nDCG@10 ", "MAP", "mrr"]
    assert [str(measure) for measure in parse_measures(spelled)] == [
        "nDCG@10",
        "AP@100",
        "RR@10",
        "R@100",
        "P@5",
        "AP",
        "RR",
    ]


def test_printed_form_is_read_back():
    assert parse_measures(map(str, ALL)) == ALL


def test_all_bad_names_are_in_one_message():
    with pytest.raises(
        SettingsError,
        match=r"'nDGC@10' \(did you mean nDCG@10\?\), 'R' \(needs a cutoff.*'P@0'.*'bpref'.*expected nDCG",
    ):
        parse_measures(["nDGC@10", "RR", "R", "P@0", "bpref"])


@pytest.mark.parametrize(
    ("kind", "cutoff", "reason"),
    [("F1", 3, "kind is 'F1'"), ("AP", 0, "cutoff of AP is 0"), ("R", None, "R has no cutoff")],
)
def test_a_measure_that_makes_no_sense_cannot_be_made(kind, cutoff, reason):
    with pytest.raises(ValueError, match=reason):
        Measure(kind, cutoff)
