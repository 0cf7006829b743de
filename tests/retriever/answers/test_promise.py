"""Thresholds that keep the promise: at most a stated share of the answers is unsupported."""

import numpy as np
import pytest

from quarry.retriever.answers.refusals.calibration import shipped
from quarry.retriever.answers.refusals.promise import NEVER, PROMISED, Judged, least_threshold, own_threshold


def drawn(rng, count, found=0.9):
    """Questions as people ask them: one in ten is missed by the search and weaker, and near misses are weaker as well."""
    supported = rng.random(count) < found
    strengths = np.where(supported, rng.beta(5, 2, count), rng.beta(2, 4, count))
    return Judged(strengths, supported, rng.beta(2, 4, count))


def test_of_new_questions_at_most_the_promised_share_of_the_answers_is_unsupported():
    """Split conformal: 200 questions set the threshold, 2,000 others are asked; the mean over 200 draws."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        threshold = least_threshold(drawn(rng, 200))
        shares.append(drawn(rng, 2000).shares(threshold))
    wrong, answered = np.mean(shares, axis=0)
    assert wrong / answered <= PROMISED
    assert answered >= 0.6


def test_the_threshold_is_the_least_that_keeps_the_promise_and_there_is_none_for_few_or_hard_questions():
    every = Judged(np.linspace(0.2, 1, 40), np.ones(40, dtype=bool), np.zeros(40))
    assert least_threshold(every) == pytest.approx(0.2)  # one more, unsupported, of 41 is less than 5 % of all
    few = Judged(np.full(10, 0.9), np.ones(10, dtype=bool), np.zeros(10))
    hard = Judged(np.linspace(0, 1, 200), np.arange(200) % 2 == 0, np.linspace(0, 1, 200))
    assert least_threshold(few) == least_threshold(hard) == NEVER


def test_shares_are_what_counting_gives():
    judged = Judged(np.array([0.9, 0.8, 0.3, 0.7]), np.array([True, True, True, False]), np.array([0.1, 0.75]))
    assert judged.shares(0.7, 0.0) == (0.25, 0.75)
    assert judged.unsupported(0.7, 0.0) == pytest.approx(1 / 3)
    assert judged.shares(0.7, 0.2) == pytest.approx((0.8 * 0.25 + 0.2 * 0.5, 0.8 * 0.75 + 0.2 * 0.5))
    assert judged.unsupported(0.95) == 0.0


def test_an_index_whose_near_misses_look_strong_has_a_higher_threshold():
    model = shipped().meaning
    weak, strong = (own_threshold(np.linspace(0, most, 100), model) for most in (0.4, 0.99))
    assert 0 < weak < model.answered < strong < 1
    assert own_threshold([0.0, 1.0], shipped().tokens) == pytest.approx(shipped().tokens.answered)
