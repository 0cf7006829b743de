"""Comparison: tests and intervals against scipy, the verdict against cases with a known answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.app.words import words
from quarry.indexer.errors import CorpusError
from quarry.retriever.evaluation.bootstrap import mean_intervals, randomisation_p
from quarry.retriever.evaluation.compare import MINIMUM_QUERIES, compare, compare_many, holm
from quarry.retriever.evaluation.evaluate import Evaluation, means_of


def evaluation(values, *, first=0, digest="same"):
    rows = {f"q{first + n}": {"AP": float(value)} for n, value in enumerate(values)}
    return Evaluation(("AP",), rows, means_of(rows, ["AP"], resamples=10), {}, (), (), digest)


def noise(count, seed=0):
    return np.random.default_rng(seed).random(count)


def test_a_clear_gain_is_better_and_the_other_way_round_worse():
    before = noise(60) * 0.5
    after = before + 0.1 + 0.1 * noise(60, 1)
    better = compare(evaluation(before), evaluation(after), "AP")
    worse = compare(evaluation(after), evaluation(before), "AP")
    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert better.difference == pytest.approx((after - before).mean())
    assert better.after - better.before == pytest.approx(better.difference)
    assert 0 < better.low < better.difference < better.high
    assert better.p == worse.p < 0.001
    assert (len(better.wins), len(better.ties), len(better.losses)) == (60, 0, 0)
    assert worse.losses == better.wins


def test_noise_is_no_difference_shown():
    result = compare(evaluation(noise(60)), evaluation(noise(60, 1)), "AP")
    assert result.verdict == "no difference shown"
    assert result.low < 0 < result.high
    assert result.p > 0.05


def test_equal_runs_have_p_1_and_only_ties():
    result = compare(evaluation(noise(30)), evaluation(noise(30)), "AP")
    assert (result.p, result.low, result.high, result.verdict) == (1.0, 0.0, 0.0, "no difference shown")
    assert len(result.ties) == 30


def test_too_few_queries_give_no_verdict_however_large_the_gain():
    few, enough = MINIMUM_QUERIES - 1, MINIMUM_QUERIES
    assert compare(evaluation([0.1] * few), evaluation([0.9] * few), "AP").verdict == "too few queries"
    assert compare(evaluation([0.1] * enough), evaluation([0.9] * enough), "AP").verdict == "better"


def test_wins_and_losses_are_listed_by_size():
    result = compare(evaluation([0.5, 0.5, 0.5, 0.5]), evaluation([0.6, 0.9, 0.5, 0.1]), "AP")
    assert (result.wins, result.ties, result.losses) == (("q1", "q0"), ("q2",), ("q3",))
    assert result.deltas["q3"] == pytest.approx(-0.4)


def test_rounding_is_a_tie():
    result = compare(evaluation([0.3] * 30), evaluation([0.1 + 0.2] * 30), "AP")
    assert len(result.ties) == 30
    assert result.p == 1.0


def test_queries_in_only_one_are_named_and_left_out():
    result = compare(evaluation(noise(30)), evaluation(noise(30), first=2), "AP")
    assert result.only_before == ("q0", "q1")
    assert result.only_after == ("q30", "q31")
    assert result.count == 28
    assert "4 queries in only one of the two are left out" in words(result.message(), "en")
    assert "另有 4 个查询" in words(result.message(), "zh")


def test_what_cannot_be_compared():
    with pytest.raises(CorpusError, match=r"different judgements \(same before, other after\); expected one data set"):
        compare(evaluation([1.0]), evaluation([1.0], digest="other"), "AP")
    with pytest.raises(CorpusError, match=r"no query is in both evaluations \(1 before, 2 after\)"):
        compare(evaluation([1.0]), evaluation([1.0, 1.0], first=5), "AP")
    with pytest.raises(ValueError, match="measure 'RR' was not computed; there are AP"):
        compare(evaluation([1.0]), evaluation([1.0]), "RR")
    with pytest.raises(ValueError, match="resamples is 0; expected at least 1"):
        compare(evaluation([1.0]), evaluation([1.0]), "AP", resamples=0)


@pytest.mark.parametrize(
    ("before", "after", "english", "chinese"),
    [
        ([0.2] * 25, [0.4] * 25, "Better: AP 0.2000 -> 0.4000, difference +0.2000", "变好：AP 由 0.2000 变为 0.4000"),
        ([0.4] * 25, [0.2] * 25, "Worse: AP 0.4000", "变差：AP"),
        ([0.4] * 25, [0.4] * 25, "No difference shown: AP", "差异不显著：AP"),
        (
            [0.4],
            [0.9],
            "Too few queries (a verdict needs at least 20): AP",
            "查询太少，无法下结论（至少需要 20 个）：AP",
        ),
    ],
)
def test_verdict_in_words_with_the_numbers_behind_it(before, after, english, chinese):
    result = compare(evaluation(before), evaluation(after), "AP")
    assert words(result.message(), "en").startswith(english)
    noun = "query" if len(before) == 1 else "queries"
    assert f"on {len(before)} {noun}" in words(result.message(), "en")
    assert words(result.message(), "zh").startswith(chinese)
    assert f"{len(before)} 个查询中 {len(result.wins)} 胜" in words(result.message(), "zh")


def test_several_comparisons_are_corrected_and_the_correction_can_change_the_verdict():
    rng = np.random.default_rng(0)
    before = rng.random(40) * 0.5
    candidate = before + rng.normal(0.02, 0.12, 40)
    alone = compare(evaluation(before), evaluation(candidate), "AP")
    assert 0.01 < alone.p < 0.05  # else this test shows nothing
    assert alone.verdict == "better"
    others = {f"run {n}": evaluation(before + rng.normal(0.0, 0.12, 40)) for n in range(9)}
    together = compare_many(evaluation(before), {"ours": evaluation(candidate), **others}, "AP")
    assert list(together) == ["ours", *others]
    assert together["ours"].p == alone.p
    assert together["ours"].p_adjusted == pytest.approx(10 * alone.p)
    assert together["ours"].verdict == "no difference shown"
    assert "corrected for 10 comparisons" in words(together["ours"].message(), "en")
    assert "按 10 次比较校正后" in words(together["ours"].message(), "zh")
    assert compare_many(evaluation(before), {}, "AP") == {}


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"p value is 1\.5; expected a number in \[0, 1\]"):
        holm([0.5, 1.5])


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    ordered = [adjusted[n] for n in sorted(range(len(p_values)), key=lambda n: p_values[n])]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize("shift", [0.0, 0.03, 0.06])
def test_randomisation_agrees_with_another_library_where_signs_are_drawn(shift):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(4)
    deltas = np.where(rng.random(70) < 0.4, 0.0, rng.normal(shift, 0.2, 70))
    theirs = stats.permutation_test(
        (deltas, np.zeros(70)),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=0,
    ).pvalue
    assert randomisation_p(deltas, resamples=20_000, seed=0) == pytest.approx(theirs, abs=0.02)


@pytest.mark.parametrize("count", [2, 6, 10])
def test_randomisation_is_exact_for_few_queries(count):
    stats = pytest.importorskip("scipy.stats")
    deltas = np.random.default_rng(count).normal(0.3, 0.5, count)
    theirs = stats.permutation_test(
        (deltas, np.zeros(count)),
        lambda a, b: (a - b).mean(),
        permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue
    assert randomisation_p(deltas, resamples=10_000, seed=0) == pytest.approx(theirs, abs=1e-12)


def test_randomisation_counts_the_observed_pattern_so_p_is_never_0():
    assert randomisation_p(np.full(200, 0.5), resamples=999, seed=0) == 1 / 1000


def test_drawing_in_blocks_changes_nothing(monkeypatch):
    deltas = np.random.default_rng(0).normal(0.1, 1, 64)  # whole bytes per block, so the same bits are drawn
    whole = randomisation_p(deltas, resamples=5000, seed=0), mean_intervals(deltas[:, None], resamples=5000, seed=0)
    monkeypatch.setattr("quarry.retriever.evaluation.bootstrap._BLOCK", 64 * 10)
    blocks = randomisation_p(deltas, resamples=5000, seed=0), mean_intervals(deltas[:, None], resamples=5000, seed=0)
    assert whole[0] == pytest.approx(blocks[0], abs=0.02)
    assert np.allclose(whole[1], blocks[1], atol=0.02)


def test_paired_interval_agrees_with_another_library():
    stats = pytest.importorskip("scipy.stats")
    before, after = noise(90), np.clip(noise(90) + np.random.default_rng(8).normal(0.03, 0.2, 90), 0, 1)
    result = compare(evaluation(before), evaluation(after), "AP")
    theirs = stats.bootstrap(
        (after, before),
        lambda a, b, axis: (a - b).mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=9999,
        rng=2,
    ).confidence_interval
    assert result.low == pytest.approx(theirs.low, abs=0.004)
    assert result.high == pytest.approx(theirs.high, abs=0.004)


def test_no_query_at_all():
    with pytest.raises(ValueError, match="there are 0 queries; expected at least 1"):
        randomisation_p(np.array([]), resamples=10, seed=0)
