"""The benchmark of refusals chooses and counts as its page says."""

import numpy as np
import pytest

from quarry.retriever.answers.refusals.calibrate import Case
from quarry.retriever.answers.refusals.promise import Judged
from quarry.retriever.answers.refusals.signals import Signals
from tests.benchmarks.refusals import Asked, by_questions, choose, fitted, lines


def case(cover, source):
    return Case(Signals(None, None, 5.0, cover, cover, 1.0, 0.0, 0.0, 1.5), source, "en")


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(0)

    def one(family):
        asked = [case(rng.uniform(0.5, 1), "judged") for _ in range(95)] + [case(0.2, "not found")] * 5
        near = [case(rng.uniform(0, 0.6), "answer left out") for _ in range(100)]
        return Asked(family, family, [*asked, *near, case(0.0, "other domain")], near)

    return [one(family) for family in ("a", "b", "c")]


def test_the_choice_of_the_other_families_keeps_the_promise(sets):
    rows = list(lines(sets, "words"))
    assert [row.split(" | ")[0] for row in rows] == ["| a", "| b", "| c"]
    assert not any("**" in row for row in rows)
    level, weight, answers = choose(sets, "words", but="a")
    assert 0 <= level <= 1
    assert 0 <= weight <= 1
    assert 0 < answers < 1


def test_a_family_has_no_say_in_its_own_model(sets):
    odd = Asked("a", "a", [case(0.0, "judged"), case(1.0, "answer left out")] * 200, [])
    assert fitted([odd, *sets[1:]], "words", but="a") == fitted(sets, "words", but="a")
    assert fitted([odd, *sets[1:]], "words", but="") != fitted(sets, "words", but="")


def test_other_questions_are_asked_than_set_the_threshold(sets):
    judged = Judged(np.linspace(0.5, 1, 80), np.ones(80, dtype=bool), np.linspace(0, 0.4, 80))
    wrong, answered = by_questions(judged, 0.0)
    assert wrong == 0.0
    assert 0.9 < answered <= 1
