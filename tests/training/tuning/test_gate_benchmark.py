"""The benchmark of the gate gives what a count by hand gives."""

import json

import numpy as np
import pytest

from tests.benchmarks.gate import Pair, fixed, informed, main, measure, passes


def test_the_fixed_test_needs_what_the_formula_says():
    assert Pair("", np.array([0.1, 0.3])).needed == pytest.approx((2.3263 + 0.8416) ** 2 / 4 + 2.3263**2 / 2, abs=1e-3)
    assert Pair("", np.array([-0.1, 0.05])).needed == float("inf")


def test_it_does_not_pass_before_twenty_questions():
    looks = passes(np.full((1, 40), 0.5))
    assert (int(looks.argmax()), bool(looks[0, 19:].all())) == (19, True)
    assert fixed(np.array([[0.1, 0.2] * 30, [-0.1, 0.1] * 30])) == 0.5


def test_who_knows_the_gain_stops_earlier_on_average_than_the_fixed_test_and_may_need_more():
    """Wald's identity: the log wealth grows by half the squared gain a question, so log(100) takes 9.2 of 10.0 squared deviations."""
    stops, most = informed()
    assert stops < 9.21 / 10.04 < 1 < most


def test_a_row_is_printed_for_the_sets_that_are_given(tmp_path, capsys):
    draw = np.random.default_rng(0)
    before = draw.uniform(0.2, 0.6, 80)
    scores = {"BM25": before.tolist(), "titles": (before + draw.normal(0.06, 0.15, 80)).tolist()}
    (tmp_path / "scores.jsonl").write_text(json.dumps({"set": "one", "scores": scores}) + "\n", encoding="utf-8")
    main([str(tmp_path / "scores.jsonl")])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [line.split(" | ")[0] for line in rows] == ["| made up", "| shared sets", "| a gambler who knows the gain"]
    found = measure(Pair("one", np.subtract(scores["titles"], scores["BM25"])))
    assert found.equal <= 0.02
    assert 0.4 < found.stops < found.most
