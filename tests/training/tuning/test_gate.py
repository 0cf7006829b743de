"""The gate promotes what is shown to be better and no worse elsewhere, and says why it refuses."""

import numpy as np
import pytest

from quarry.app.words import words
from quarry.retriever.evaluation.betting import e_values, queries_needed
from quarry.retriever.evaluation.evaluate import evaluate
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.ranking import Query
from quarry.training.tuning.gate import ENOUGH, FALSE_PROMOTIONS, GateSpec, Trial, judge

NDCG = Measure("nDCG", 10)


def trial(before_ranks, after_ranks, text=lambda n: f"question {n}"):
    """A trial whose query n has its only relevant document at the given rank before and after."""
    count = len(before_ranks)
    queries = [Query(str(n), text(n)) for n in range(count)]
    qrels = {str(n): {"good": 1} for n in range(count)}

    def evaluation(ranks):
        run = {
            str(n): [("good" if place == rank else f"d{place}", 1.0 / place) for place in range(1, 11)]
            for n, rank in enumerate(ranks)
        }
        return evaluate(run, qrels, [NDCG], queries=queries)

    return Trial(evaluation(before_ranks), evaluation(after_ranks), queries)


STEADY = trial([2] * 60, [2] * 60)
BETTER = trial([3] * 60, [1] * 50 + [3] * 10)


def test_a_gain_that_costs_nothing_elsewhere_is_promoted():
    verdict = judge(BETTER, STEADY)
    assert verdict.promote
    assert verdict.refusals == ()
    assert verdict.held_out.difference == pytest.approx(50 / 60 * 0.5)
    assert verdict.evidence >= ENOUGH
    assert str(verdict.message()).startswith(
        "Promote. Held-out queries: nDCG@10 0.5000 -> 0.9167, difference +0.4167, evidence 1,000,000.0 to 1 (100 to 1 is enough); "
        "50 wins, 10 ties, 0 losses on 60 queries."
    )
    assert words(verdict.message(), "zh").startswith("可以上线。留出查询：nDCG@10 由 0.5000 变为 0.9167")


@pytest.mark.parametrize(
    ("held_out", "reason"),
    [
        (STEADY, "no gain is shown on the held-out queries"),
        (trial([1] * 60, [3] * 60), "it is worse on the held-out queries"),
        (trial([3] * 19, [1] * 19), "19 held-out queries are too few for a verdict"),
    ],
)
def test_what_is_not_shown_to_be_better_is_refused(held_out, reason):
    verdict = judge(held_out, STEADY)
    assert not verdict.promote
    assert reason in str(verdict.message())
    assert words(verdict.message(), "zh").startswith("不上线：")


def test_a_gain_that_is_not_sure_yet_is_refused_with_how_many_more_queries_would_show_it():
    few = trial([3] * 24, [2] * 5 + [4] * 2 + [3] * 17)
    verdict = judge(few, STEADY, share=0.5)
    (refusal,) = verdict.refusals
    more = queries_needed(np.array(list(verdict.held_out.deltas.values())), ENOUGH)
    assert (
        refusal.code == "tuning.no_gain_yet" and more > 20 and f"about {2 * more} judged queries more" in str(refusal)
    )
    assert f"再标注 {2 * more} 个查询" in words(refusal, "zh")
    whole = (24 + more + 23) // 24
    assert judge(trial([3] * 24 * whole, ([2] * 5 + [4] * 2 + [3] * 17) * whole), STEADY).promote


def test_chance_alone_is_refused_nearly_always():
    rng = np.random.default_rng(0)
    promoted = sum(judge(trial(rng.integers(1, 11, 60), rng.integers(1, 11, 60)), STEADY).promote for _ in range(60))
    assert promoted <= 3  # at most 0.6 of 60 are expected


def test_models_that_are_no_different_are_promoted_at_some_look_in_one_of_a_hundred_at_most():
    """1,000 pairs of equal models, looked at after each of 300 queries: differences of nDCG, half of them 0, with random signs."""
    rng = np.random.default_rng(0)
    sizes = rng.choice([0, 0, 0, 0.02, 0.07, 0.37, 0.13, 1.0], (1000, 300))
    looks = e_values(sizes * rng.choice([-1, 1], sizes.shape))
    assert (looks >= ENOUGH).any(axis=1).mean() <= FALSE_PROMOTIONS


def test_the_evidence_at_a_look_does_not_depend_on_what_is_judged_later():
    deltas = np.random.default_rng(0).uniform(-0.5, 0.7, 50)
    every = e_values(deltas)
    assert [e_values(deltas[:count])[-1] for count in (1, 20, 50)] == pytest.approx(every[[0, 19, 49]])
    ranks = ([3] * 25, [1] * 5 + [3] * 20)
    first, later = judge(trial(*ranks), STEADY), judge(trial(ranks[0] * 2, ranks[1] + [1] * 25), STEADY)
    assert not first.promote
    assert later.promote


def test_a_loss_is_as_strong_as_the_same_gain_and_no_difference_is_no_evidence():
    deltas = np.random.default_rng(0).uniform(-0.5, 0.9, (3, 40))
    assert (e_values(deltas)[:, -1] > e_values(-deltas)[:, -1]).all()
    assert e_values(np.zeros(30)).tolist() == [1.0] * 30


def test_a_fall_on_the_general_set_is_refused_beyond_the_bound():
    fall = trial([1] * 60, [1] * 58 + [2, 2])  # 2/60 * 0.369
    assert "falls by 0.0123, more than 0.01 is allowed" in str(judge(BETTER, fall).message())
    assert judge(BETTER, fall, GateSpec(general_drop=0.02, language_drop=0.02)).promote


def test_one_language_cannot_hide_behind_the_other():
    """Chinese falls, English gains as much: the mean is the same, and it is refused."""
    general = trial(
        [1] * 30 + [2] * 30, [2] * 3 + [1] * 27 + [1] * 3 + [2] * 27, lambda n: "怎么续借" if n < 30 else "how to renew"
    )
    verdict = judge(BETTER, general)
    assert abs(verdict.general.difference) < 1e-9
    assert [str(refusal) for refusal in verdict.refusals] == [
        "its Chinese queries fall by 0.0369, more than 0.02 is allowed"
    ]
    assert "其中中文查询下降 0.0369" in words(verdict.message(), "zh")


def test_rules_out_of_bounds():
    with pytest.raises(ValueError, match=r"general_drop is 1.5; expected a number in \[0, 1\]"):
        GateSpec(general_drop=1.5)
