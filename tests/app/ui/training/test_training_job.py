"""An order becomes the plan of `quarry tune`, and only files below the data folders are read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from quarry.app.ui.shared.jobs import Job, JobCancelledError
from quarry.app.ui.training.job import TrainingOptions, _Watch, new_run_name, order_of, pair_paths, plan_of
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from quarry.retriever.llm.endpoint import Endpoint
from quarry.training.fit.loop.progress import TrainProgress
from quarry.training.tuning.plan import SyntheticSource, TuningSources


def kept(plan):
    return json.loads(json.dumps(plan.facts()))


def test_an_order_comes_back_out_of_the_plan_of_its_run(tmp_path):
    order = TrainingOptions(TuningSources(True, (tmp_path / "a.jsonl",), True, 500, True), 7, True, "r")
    assert order_of("r", kept(plan_of(order, "cpu")), True, [tmp_path], "cpu") == order
    for made_of in ("auto", "from-encoder"):
        other = replace(order, reranker=made_of)
        assert order_of("r", kept(plan_of(other, "cpu")), True, [tmp_path], "cpu") == other
        assert kept(plan_of(other, "cpu"))["what"] == "reranker"
    assert (
        plan_of(order, "cpu").spec.seed == plan_of(order, "cpu").split.seed == plan_of(order, "cpu").negatives.seed == 7
    )


def test_the_plan_is_that_of_the_command(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from quarry.app.cli import cli

    asked = []

    def loop(index, plan, **_more):
        asked.append(plan)
        raise SettingsError("enough")

    monkeypatch.setattr("quarry.training.tuning.loop.tune", loop)
    CliRunner().invoke(cli, ["tune", str(tmp_path), "--seed", "3", "--mine-corpus", "--one-person", "--most", "90"])
    order = TrainingOptions(TuningSources(True, (), True, 90, True), 3, True, "r")
    assert asked == [plan_of(order, "auto")]
    CliRunner().invoke(cli, ["tune", str(tmp_path), "--what", "reranker", "--reranker", "from-encoder", "--no-promote"])
    assert asked[1] == plan_of(TrainingOptions(TuningSources(), 0, False, "r", "from-encoder"), "auto")
    monkeypatch.setenv("QUARRY_LLM_ENDPOINT", "http://localhost:1/v1")
    CliRunner().invoke(cli, ["tune", str(tmp_path), "--synthetic", "9", "--endpoint-model", "m"])
    assert asked[2].sources.synthetic == SyntheticSource(9, Endpoint("http://localhost:1/v1", "m"))


def test_runs_that_cannot_go_on_here(tmp_path):
    facts = kept(plan_of(TrainingOptions(TuningSources(), 0, True, "r"), "cpu"))
    with pytest.raises(SettingsError, match="has settings that this page does not offer"):
        order_of("r", {**facts, "route": "dense"}, True, [tmp_path], "cpu")
    with pytest.raises(SettingsError, match="the plan of run r cannot be read"):
        order_of("r", {"sources": 3}, True, [tmp_path], "cpu")
    written = TuningSources(synthetic=SyntheticSource(5, Endpoint("http://localhost:1/v1", "m")))
    with pytest.raises(SettingsError, match="run r asks a language model"):
        order_of("r", kept(plan_of(TrainingOptions(written, 0, True, "r"), "cpu")), True, [tmp_path], "cpu")
    for outside in (
        TuningSources(pairs=(Path("/etc/hosts"),)),
        TuningSources(candidate_pool=(Path("/etc/hosts"),)),
    ):
        with pytest.raises(SettingsError, match="reads files outside the data folders"):
            order_of("r", kept(plan_of(TrainingOptions(outside, 0, True, "r"), "cpu")), True, [tmp_path], "cpu")


def test_pairs_below_the_roots(tmp_path):
    root = tmp_path / "data"
    (root / "beir").mkdir(parents=True)
    (root / "成对.jsonl").write_text("", encoding="utf-8")
    (root / "out").symlink_to(tmp_path)
    typed = f"成对.jsonl\n\n  {root}/beir \nbeir"
    assert pair_paths(typed, [root]) == (root / "成对.jsonl", root / "beir")
    assert pair_paths(" \n", [root]) == ()
    for bad in ("../x", "/etc/passwd", "out", "a\0b"):
        with pytest.raises(SettingsError, match="is not below"):
            pair_paths(bad, [root])
    with pytest.raises(SettingsError, match="gone does not exist"):
        pair_paths("gone", [root])


def test_a_name_out_of_the_time():
    assert len(new_run_name()) == 15


def test_the_watch_tells_the_job_and_ends_a_cancelled_one():
    job = Job("training")
    watch = _Watch(job, "r")
    watch.stage(Message.of("tuning.mining", "mining negatives for {count:example|examples}", count=50))
    watch.phase("mining", 50)
    watch.advance(20)
    watch.advance(5)
    assert (job.progress.done, job.progress.total, str(job.progress.doing)) == (
        25,
        50,
        "mining negatives for 50 examples",
    )
    first = TrainProgress(1, 8, 0.1, 0.5, dev=0.7)
    watch.training(first)
    watch.training(replace(first, step=2, dev=None))
    assert (job.detail.run, job.detail.step.step, job.detail.dev, job.progress.share) == ("r", 2, 0.7, 0.25)
    watch.stage(Message.of("tuning.general_both", "measuring both on the general set"))
    assert job.detail.step is None and len(job.detail.stages) == 2
    job.cancel()
    with pytest.raises(JobCancelledError):
        watch.advance(1)
