"""Tuning in two processes over gloo: the update of one process, a Ctrl-C that reaches one of them, and faults in one sentence."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from quarry.indexer.errors import SettingsError, TrainingError
from quarry.indexer.opened import Index
from quarry.indexer.storage.generations import Generations
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Searcher
from quarry.training.fit.embedder import finetune
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.spec import TrainSpec
from quarry.training.tuning import tune
from quarry.training.tuning.plan import TuningPlan
from quarry.training.tuning.processes import Job, finetune_in_processes
from tests import ROOT
from tests.app.cli.test_train_command import workers
from tests.training.tiny_model import tiny_model, topic_rows
from tests.training.tuning.test_embedder import DENSE, general, index, model, pairs, plan, rows

__all__ = ["general", "index", "model", "pairs"]

SPEC = {
    "batch_size": 16,
    "epochs": 4,
    "warmup": 0.0,
    "learning_rate": 1e-3,
    "dropout": 0.0,
    "precision": "float32",
    "checkpoint_steps": 2,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def dev():
    rows = topic_rows(8, first=200)
    queries = tuple(Query(f"q{n}", row.query) for n, row in enumerate(rows))
    passages = {f"p{n}": row.pos[0] for n, row in enumerate(rows)}
    return DevSet(queries, passages, {f"q{n}": {f"p{n}": 1} for n in range(len(rows))})


def job(folder, name, **more):
    return Job(folder / "base", TrainSpec.of({**SPEC, **more}), folder / name / "finetune", "cpu")


@pytest.mark.slow
def test_two_processes_make_the_update_of_one(tmp_path):
    tiny_model(tmp_path / "base")
    rows = topic_rows(64, negatives=2)
    two = finetune_in_processes(job(tmp_path, "two"), rows, dev(), 2)
    one = finetune(
        tmp_path / "base", rows, job(tmp_path, "one").spec, tmp_path / "one" / "finetune", dev=dev(), device="cpu"
    )
    assert (two.steps, two.dev_before) == (one.steps, pytest.approx(one.dev_before))
    begun, *ends = (load_file(folder / "model.safetensors") for folder in (tmp_path / "base", one.folder, two.folder))
    updates = [torch.cat([(end[key] - begun[key]).flatten() for key in sorted(begun) if key in end]) for end in ends]
    assert float(updates[0].norm()) > 0.01
    assert float(torch.nn.functional.cosine_similarity(*updates, dim=0)) > 0.99
    log = (two.run / "log.jsonl").read_text().splitlines()
    assert sum('"dev"' in line for line in log) == len(
        {line for line in log if '"dev"' in line}
    )  # scored once, not by each


@pytest.mark.slow
def test_an_index_is_tuned_in_two_processes_from_pairs_to_promotion(index, general, pairs):
    report = tune(index, plan(general, pairs, processes=2), run="two")
    assert report.promoted and not report.forced
    assert report.verdict.held_out.verdict == "better"
    assert report.generation == "000002" == Generations(index).pointer().generation
    assert Index.open(index).manifest.embedder.folder == "models/two"
    asked = rows(160)[7]
    answer = Searcher.open(index, device="cpu").search(asked.query, 5, DENSE)
    assert not answer.degraded
    assert asked.pos[0] in [result.text for result in answer.results]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the workers are found in /proc")
def test_ctrl_c_at_one_process_stops_all_with_a_checkpoint_and_a_sentence(tmp_path):
    tiny_model(tmp_path / "base")
    given = job(tmp_path, "run", epochs=100)
    seal = given.out / "checkpoints" / "checkpoint-4" / "complete.json"

    def interrupt():
        end = time.monotonic() + 240
        while not seal.is_file() and time.monotonic() < end:
            time.sleep(0.01)
        launchers = [
            int(folder.name)
            for folder in Path("/proc").iterdir()
            if folder.name.isdigit() and _parent(folder) == os.getpid()
        ]
        found = next(each for launcher in launchers if len(each := workers(launcher)) == 2)
        os.kill(found[1], signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(
        TrainingError, match=r"training in 2 processes ended \(stopped at step \d+ of 400; a checkpoint is in"
    ):
        finetune_in_processes(given, topic_rows(64, negatives=2), dev(), 2)
    thread.join()
    sealed = [path for path in (given.out / "checkpoints").iterdir() if (path / "complete.json").is_file()]
    assert max(int(path.name.partition("-")[2]) for path in sealed) >= 4


def _parent(folder):
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_batch_that_cannot_be_shared_out_and_other_subjects_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="a batch of 16 rows cannot be shared out to 3 processes"):
        finetune_in_processes(job(tmp_path, "run"), topic_rows(4), dev(), 3)
    with pytest.raises(ValueError, match="processes is 2 for the second-stage; expected 1"):
        TuningPlan(tmp_path, spec=_second_stage(), processes=2)
    assert "processes" not in TuningPlan(tmp_path).facts()
    assert TuningPlan(tmp_path, processes=2).facts()["processes"] == 2


def _second_stage():
    from quarry.training.tuning.second_stage.spec import SecondStageSpec

    return SecondStageSpec()
