"""Evaluation: every query counted, the odd ones named, intervals checked against another library."""

import numpy as np
import pytest

from quarry.indexer.errors import CorpusError
from quarry.retriever.evaluation.evaluate import NOT_JUDGED, NOTHING_RELEVANT, evaluate, means_of, qrels_digest
from quarry.retriever.evaluation.measures import parse_measures
from quarry.retriever.ranking import Query

MEASURES = parse_measures(["nDCG@10", "R@100"])
QRELS = {"q1": {"a": 1}, "q2": {"b": 2, "c": 1}, "q3": {"a": 0}, "q5": {"z": 1}}
QUERIES = [Query(f"q{n}", f"text {n}") for n in range(1, 6)]


def test_every_query_is_counted_or_named():
    run = {"q1": [("a", 2.0), ("x", 1.0)], "q2": [("x", 2.0), ("c", 1.0)], "q4": [("a", 1.0)], "other": [("a", 1.0)]}
    result = evaluate(run, QRELS, MEASURES, queries=QUERIES)
    assert result.measures == ("nDCG@10", "R@100", "Judged@10")
    assert list(result.per_query) == ["q1", "q2", "q5"]
    assert result.per_query["q1"] == {"nDCG@10": 1.0, "R@100": 1.0, "Judged@10": 0.5}
    assert result.values("R@100") == {"q1": 1.0, "q2": 0.5, "q5": 0.0}
    assert result.means["R@100"].value == pytest.approx(0.5)
    assert result.means["R@100"].count == 3
    assert result.excluded == {"q3": NOTHING_RELEVANT, "q4": NOT_JUDGED}
    assert result.unanswered == ("q5",)
    assert result.not_asked == ("other",)
    assert result.judged == pytest.approx((0.5 + 0.5 + 0) / 3)


def test_a_system_that_answers_nothing_gets_0_and_not_a_better_mean():
    result = evaluate({}, QRELS, MEASURES, queries=QUERIES)
    assert result.means["nDCG@10"].value == 0.0
    assert result.unanswered == ("q1", "q2", "q5")
    assert evaluate({"q1": []}, QRELS, MEASURES, queries=QUERIES).unanswered == ("q1", "q2", "q5")


def test_judged_is_not_computed_twice():
    assert evaluate({}, QRELS, parse_measures(["Judged@10", "AP"]), queries=QUERIES).measures == ("Judged@10", "AP")


def test_a_run_from_another_data_set_is_refused():
    with pytest.raises(
        CorpusError, match=r"the run has 1 queries \(first 'x9'\) and none of the 5 asked \(first 'q1'\)"
    ):
        evaluate({"x9": [("a", 1.0)]}, QRELS, MEASURES, queries=QUERIES)


def test_a_run_from_another_corpus_shows_as_unjudged():
    result = evaluate({query.query_id: [("strange", 1.0)] for query in QUERIES}, QRELS, MEASURES, queries=QUERIES)
    assert result.judged == 0.0
    assert result.unanswered == ()


def test_judgements_of_nothing_are_refused():
    with pytest.raises(CorpusError, match="none of the 5 queries has a relevant document"):
        evaluate({}, {"q1": {"a": 0}}, MEASURES, queries=QUERIES)


def test_arguments():
    with pytest.raises(ValueError, match="there are 0 measures"):
        evaluate({}, QRELS, [], queries=QUERIES)
    with pytest.raises(ValueError, match="duplicate query ids: 'q2'"):
        evaluate({}, QRELS, MEASURES, queries=[*QUERIES, Query("q2", "again")])
    with pytest.raises(ValueError, match=r"measure 'AP' was not computed; there are nDCG@10, R@100, Judged@10"):
        evaluate({}, QRELS, MEASURES, queries=QUERIES).values("AP")
    with pytest.raises(ValueError, match="there are 0 queries"):
        means_of({}, ["AP"])


def test_one_query_has_no_interval():
    mean = evaluate({"q1": [("a", 1.0)]}, QRELS, MEASURES, queries=QUERIES[:1]).means["nDCG@10"]
    assert (mean.value, mean.low, mean.high, mean.count) == (1.0, None, None, 1)


def test_interval_agrees_with_another_library():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(3).beta(0.6, 0.5, size=80)
    mean = means_of({str(n): {"AP": value} for n, value in enumerate(values)}, ["AP"], resamples=9999)["AP"]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=9999, method="percentile", rng=1).confidence_interval
    assert mean.value == pytest.approx(values.mean())
    assert mean.low == pytest.approx(theirs.low, abs=0.004)
    assert mean.high == pytest.approx(theirs.high, abs=0.004)


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    rows = {str(n): {"AP": (n * 7 % 13) / 13} for n in range(40)}
    assert means_of(rows, ["AP"]) == means_of(rows, ["AP"])
    assert means_of(rows, ["AP"]) != means_of(rows, ["AP"], seed=1)


def test_digest_is_of_the_judgements_and_not_of_their_order():
    assert qrels_digest({"a": {"x": 1, "y": 2}, "b": {"z": 1}}) == qrels_digest({"b": {"z": 1}, "a": {"y": 2, "x": 1}})
    assert qrels_digest({"a": {"x": 1}}) != qrels_digest({"a": {"x": 2}})
