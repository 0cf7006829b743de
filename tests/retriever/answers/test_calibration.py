"""The logistic model: recovered from data that it made, its threshold at the operating point, and its file."""

import json
from dataclasses import replace

import numpy as np
import pytest

from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from quarry.retriever.answers.refusals.calibration import (
    FEATURES,
    Calibration,
    Model,
    fit,
    kind_of,
    values,
    weighted_quantile,
)
from quarry.retriever.answers.refusals.signals import Signals

SIGNALS = Signals(6.0, 1.5, 8.0, 0.7, 0.8, 0.9, 1.0, 0.0, 1.6)
COUNT = len(FEATURES["words"])


def drawn(count, weights, bias, seed=0):
    """Inputs and labels that a logistic model of these weights makes."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, len(weights)))
    odds = rows @ np.array(weights) + bias
    return rows, rng.random(count) < 1 / (1 + np.exp(-odds))


def test_fitting_finds_the_weights_that_made_the_data():
    truth = [2.0, -1.0, 0.5, 0.0, 0.25]
    rows, labels = drawn(40_000, truth, 0.0)
    model = fit(rows, labels, np.ones(len(rows)), "words")
    assert np.array(model.weights) / np.array(model.scale) == pytest.approx(truth, abs=0.08)


def test_the_fit_is_the_best_one_by_brute_force():
    rows, labels = drawn(300, [1.0, 0, 0, 0, 0], 0.3, seed=1)
    model = fit(rows, labels, np.ones(300), "words")
    mass = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())

    def loss(weights, bias):
        odds = (rows - model.mean) / model.scale @ weights + bias
        return mass @ np.logaddexp(0, np.where(labels, -odds, odds)) + 0.5e-3 * (np.sum(weights**2) + bias**2)

    best = loss(np.array(model.weights), model.bias)
    rng = np.random.default_rng(2)
    for _ in range(200):
        step = rng.standard_normal(COUNT + 1) * 0.05
        assert loss(np.array(model.weights) + step[:-1], model.bias + step[-1]) > best


def test_at_most_one_in_twenty_answerable_is_below_the_threshold():
    rows, labels = drawn(2_000, [1.0, 1.0, 0, 0, 0], 0.0, seed=3)
    model = fit(rows, labels, np.ones(2_000), "words")
    below = float(np.mean(model.strengths(rows)[labels] < model.threshold))
    assert 0.045 < below <= 0.0501


def test_a_prior_holds_a_model_of_few_questions_in_place():
    rows, labels = drawn(20_000, [2.0, 0, 0, 0, 0], 0.0)
    base = fit(rows, labels, np.ones(20_000), "words")
    few, wrong = drawn(30, [-2.0, 0, 0, 0, 0], 0.0, seed=4)
    weak, strong = (fit(few, wrong, np.ones(30), "words", (base, pull)) for pull in (1.0, 10_000.0))
    assert weak.weights[0] < 0.5 < strong.weights[0]
    assert strong.weights == pytest.approx(base.weights, abs=0.05)
    assert (strong.mean, strong.scale) == (base.mean, base.scale)


def test_classes_that_a_line_parts_give_finite_weights():
    rows = np.column_stack([np.arange(40.0), *[np.zeros(40)] * (COUNT - 1)])
    model = fit(rows, rows[:, 0] >= 20, np.ones(40), "words")
    assert np.isfinite(model.weights).all()
    assert ((model.strengths(rows) > 0.5) == (rows[:, 0] >= 20)).all()


def test_one_class_alone_is_refused():
    with pytest.raises(ValueError, match="all questions are of one class"):
        fit(np.zeros((3, COUNT)), np.ones(3, dtype=bool), np.ones(3), "words")


@pytest.mark.parametrize(
    ("strengths", "mass", "share", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1], 0.25, 0.2),
        ([0.4, 0.1, 0.3, 0.2], [1, 1, 1, 1], 0.24, 0.1),
        ([0.5, 0.5, 0.5, 0.9], [1, 1, 1, 1], 0.05, 0.5),
        ([0.1, 0.9], [1, 99], 0.05, 0.9),
    ],
)
def test_the_quantile_counts_mass(strengths, mass, share, expected):
    assert weighted_quantile(np.array(strengths), np.array(mass, dtype=float), share) == expected


def test_each_search_has_the_model_that_reads_it():
    own = dict(zip(FEATURES["meaning"], values(SIGNALS, "meaning"), strict=True))
    assert (own["closeness"], own["cover"], own["agree"], own["terms"]) == (6.0, 0.7, 1.0, 1.6)
    assert values(SIGNALS, "across") == (6.0, 1.5, 8.0)
    without = replace(SIGNALS, closeness=None, lead=None)
    assert [kind_of(s) for s in (SIGNALS, replace(SIGNALS, foreign=1.0), without)] == ["meaning", "across", "words"]
    with pytest.raises(ValueError, match="of a search without vectors"):
        values(without, "meaning")
    met = replace(SIGNALS, foreign=1.0, standout=2.0, tokens=0.8)
    assert (kind_of(met), values(met, "tokens")) == ("tokens", (2.0, 0.8))
    assert kind_of(replace(met, foreign=0.0)) == "meaning"
    with pytest.raises(ValueError, match="without token states"):
        values(SIGNALS, "tokens")


def test_a_calibration_without_a_model_of_tokens_has_the_one_that_needs_none():
    both = Calibration(model("meaning"), model("across"), model(), Message.plain("o"), tokens=model("tokens"))
    assert [both.model(kind).kind for kind in ("tokens", "across")] == ["tokens", "across"]
    assert replace(both, tokens=None).model("tokens").kind == "across"
    assert replace(both, tokens=None, across=None).model("tokens").kind == "words"


def test_a_model_of_other_inputs_is_refused():
    with pytest.raises(ValueError, match=f"a model of words has other than {COUNT} inputs"):
        Model("words", (0.0,), (1.0,), (1.0,), 0.0, 0.5)


def model(kind="words"):
    count = len(FEATURES[kind])
    return Model(kind, (0.5,) * count, (2.0,) * count, (1.0,) * count, 0.1, 0.3)


def test_a_calibration_comes_back_from_its_file(tmp_path):
    path = tmp_path / "evidence.json"
    for made in (
        Calibration(model("meaning"), model("across"), model(), Message.plain("测试"), "m", "f" * 16),
        Calibration(None, None, model(), Message.plain("o")),
        Calibration(None, model("across"), model(), Message.plain("o"), tokens=model("tokens")),
    ):
        made.save(path)
        assert Calibration.load(path) == made


def test_a_calibration_that_was_kept_before_token_states_were_read_still_opens(tmp_path):
    path = tmp_path / "evidence.json"
    Calibration(None, model("across"), model(), Message.plain("o")).save(path)
    row = json.loads(path.read_text("utf-8"))
    del row["tokens"]
    path.write_text(json.dumps(row), "utf-8")
    assert Calibration.load(path).tokens is None


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        lambda row: row["words"].update(weights=[1.0]),
        lambda row: row["words"].update(bias=float("nan")),
        lambda row: row["words"].update(kind="other"),
        lambda row: row.update(words=None),
    ],
)
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "evidence.json"
    Calibration(None, None, model(), Message.plain("o")).save(path)
    if isinstance(damage, str):
        path.write_text(damage)
    else:
        row = json.loads(path.read_text())
        damage(row)
        path.write_text(json.dumps(row))
    with pytest.raises(
        SettingsError, match=r"evidence\.json is not a calibration of evidence .* expected what `quarry ask"
    ):
        Calibration.load(path)
