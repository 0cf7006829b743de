"""The framework of the papers' findings: claims are judged by intervals over seeds and queries, and what is measured is kept."""

import json

import numpy as np
import pytest

from tests.benchmarks.findings.bench import Bench, ndcg_of_own
from tests.benchmarks.findings.bodies import as_decoder
from tests.benchmarks.findings.finding import Claim, Finding, difference, verdict
from tests.benchmarks.findings.measuring import measure
from tests.benchmarks.findings.papers import FINDINGS

CLAIM = Claim("b against a", ("b", "all"), ("a", "all"))


def cells(gain, seeds=3, queries=200):
    draw = np.random.default_rng(0)
    worse = [draw.random(queries) for _ in range(seeds)]
    return {
        "a": [{"all": values} for values in worse],
        "b": [{"all": values + gain + 0.1 * draw.standard_normal(queries)} for values in worse],
    }


@pytest.mark.parametrize(("gain", "expected"), [(0.1, "comes back"), (0.0, "not shown"), (-0.1, "the opposite")])
def test_a_claim_is_judged_by_its_interval(gain, expected):
    mean, low, high = difference(cells(gain), CLAIM)
    assert low < mean < high
    assert abs(mean - gain) < 0.02
    assert verdict(low, high) == expected


def test_a_gain_of_one_seed_alone_is_not_shown():
    found = cells(0.0)
    found["b"][0]["all"] = found["b"][0]["all"] + 0.3
    assert verdict(*difference(found, CLAIM)[1:]) == "not shown"


def test_the_measure_is_the_rank_of_each_querys_own_passage():
    passages = np.eye(4, dtype=np.float32)
    queries = np.array([[1, 0, 0, 0], [1, 0.5, 0, 0]], np.float32)
    assert ndcg_of_own(queries, passages).tolist() == pytest.approx([1.0, 1 / np.log2(3)])


def test_what_is_measured_is_kept_and_the_report_has_every_arm_and_claim(tmp_path):
    asked = []

    def arm(name, value):
        return lambda _bench, seed: asked.append((name, seed)) or {"all": np.full(20, value)}

    finding = Finding("Of nothing", {"a": arm("a", 0.25), "b": arm("b", 0.75)}, (CLAIM,))
    bench, findings = Bench(tmp_path, tmp_path), {"nothing": finding}
    none = measure(["nothing"], bench, findings=findings, minutes=-1)
    assert none == ["nothing: 0 of 6 runs; give the command again"]
    lines = measure(["nothing"], bench, findings=findings)
    assert len(asked) == 6
    assert measure(["nothing"], bench, findings=findings) == lines
    assert len(asked) == 6
    assert "| b | all | 0.750 | 0.750 to 0.750 |" in lines
    assert lines[-1] == "| b against a | +0.500 | +0.500 to +0.500 | comes back |"
    assert json.loads((tmp_path / "nothing.json").read_text())["a"].keys() == {"0", "1", "2"}


def test_every_claim_is_about_arms_that_are_there():
    for finding in FINDINGS.values():
        named = {arm for claim in finding.claims for arm, _ in (claim.better, claim.worse)}
        assert named <= finding.arms.keys()
        assert finding.claims


def test_a_decoders_pooling_and_attention_are_changed_in_its_folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 8}))
    for both_ways in (True, False):
        as_decoder(tmp_path, pooling="mean", both_ways=both_ways)
        assert ("is_causal" in json.loads((tmp_path / "config.json").read_text())) == both_ways
        assert json.loads((tmp_path / "quarry.json").read_text())["pooling"] == "mean"
