"""The benchmark of refusals chooses and counts as its page says."""

from dataclasses import replace

import numpy as np
import pytest

from quarry.retriever.answers.refusals.calibrate import Case
from quarry.retriever.answers.refusals.calibration import Calibration, shipped, shipped_file
from quarry.retriever.answers.refusals.promise import Judged
from quarry.retriever.answers.refusals.signals import Signals
from tests.benchmarks.refusals import Asked, by_questions, choose, fitted, good, lines, main


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
    assert fitted([odd, *sets[1:]], "words", "a") == fitted(sets, "words", "a")
    assert fitted([odd, *sets[1:]], "words") != fitted(sets, "words")


def test_a_family_has_no_say_in_its_own_threshold(sets):
    odd = Asked("a", "a", [case(0.0, "judged"), case(0.9, "answer left out")] * 200, [])
    assert choose([odd, *sets[1:]], "words", but="a") == choose(sets, "words", but="a")


def test_a_threshold_is_good_that_keeps_the_promise_and_answers_enough():
    judged = Judged(np.linspace(0.5, 1, 80), np.ones(80, dtype=bool), np.linspace(0, 0.7, 80))
    assert good(judged, 0.71) < 0.7  # answers 58 %
    assert good(judged, 0.65) > 1.5
    assert 0.9 < good(judged, 0.3) < 1.1  # more than one answer in twenty is unsupported where near misses are asked


def test_what_ships_is_where_it_is_read(monkeypatch, tmp_path, sets):
    monkeypatch.setattr("tests.benchmarks.refusals.shipped_file", lambda: tmp_path / "evidence.json")
    monkeypatch.setattr("tests.benchmarks.refusals.gather", lambda work, cache: sets)
    monkeypatch.setattr("tests.benchmarks.refusals.kept.KINDS", ("words",))
    main(["work", "cache", "ship"])
    made = Calibration.load(tmp_path / "evidence.json")
    assert shipped_file().is_file()
    level, weight, answers = choose(sets, "words", but="")
    assert replace(made.words, level=0, weight=0, answers=0) == replace(shipped().words, level=0, weight=0, answers=0)
    assert (made.words.level, made.words.weight, made.words.answers) == (level, weight, answers)


def test_other_questions_are_asked_than_set_the_threshold(sets):
    judged = Judged(np.linspace(0.5, 1, 80), np.ones(80, dtype=bool), np.linspace(0, 0.4, 80))
    wrong, answered = by_questions(judged, 0.0)
    assert wrong == 0.0
    assert 0.9 < answered <= 1
