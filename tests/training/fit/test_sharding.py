"""Weights in shards of two processes (FSDP over gloo): the update of one process, checkpoints that resume, and what is refused."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from quarry.indexer.errors import TrainingError
from quarry.training.fit.embedder import finetune
from quarry.training.fit.loop.sharding import Sharding
from quarry.training.fit.reranker import finetune_reranker
from quarry.training.fit.spec import RerankerSpec
from quarry.training.tuning.processes import finetune_in_processes
from tests import ROOT
from tests.training.tiny_model import tiny_model, topic_rows
from tests.training.tuning.test_processes import dev, job

TWO = {"ACCELERATE_USE_FSDP": "true", "WORLD_SIZE": "2"}


@pytest.fixture
def sharded(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")  # as `accelerate launch --use_fsdp` sets them
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    monkeypatch.setenv("FSDP_AUTO_WRAP_POLICY", "TRANSFORMER_BASED_WRAP")


def update(begun, end):
    weights = load_file(begun / "model.safetensors"), load_file(end / "model.safetensors")
    return torch.cat([(weights[1][key] - weights[0][key]).flatten() for key in sorted(weights[0]) if key in weights[1]])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("bert", {"token_budget": 64}),
        ("bert", {"mini_batch": 5}),
        ("qwen3", {"lora": {"rank": 4}, "gradient_checkpointing": True}),
    ],
    ids=["encoder, passes of unequal number", "encoder, gradients cached", "decoder, low rank"],
)
def test_two_processes_with_shards_make_the_update_of_one(tmp_path, monkeypatch, sharded, kind, more):
    tiny_model(tmp_path / "base", kind)
    rows = topic_rows(64, negatives=2)
    two = finetune_in_processes(job(tmp_path, "two", **more), rows, dev(), 2)
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    spec = job(tmp_path, "one", **more).spec
    one = finetune(tmp_path / "base", rows, spec, tmp_path / "one" / "finetune", dev=dev(), device="cpu")
    assert (two.steps, two.dev_before) == (one.steps, pytest.approx(one.dev_before))
    updates = [update(tmp_path / "base", each.folder) for each in (one, two)]
    assert float(updates[0].norm()) > 0.01
    assert float(torch.nn.functional.cosine_similarity(*updates, dim=0)) > 0.99
    assert sorted(path.name for path in one.folder.iterdir()) == sorted(path.name for path in two.folder.iterdir())


@pytest.mark.slow
def test_a_run_with_shards_that_was_killed_ends_with_the_model_of_one_that_was_not(tmp_path, sharded):
    tiny_model(tmp_path / "base")
    rows = topic_rows(64, negatives=2)
    whole = finetune_in_processes(job(tmp_path, "whole", epochs=8), rows, dev(), 2)
    killed = job(tmp_path, "killed", epochs=8)
    driver = [
        sys.executable,
        "-c",
        "import sys; from pathlib import Path; from tests.training.fit.test_sharding import begun; begun(Path(sys.argv[1]))",
        str(tmp_path),
    ]
    with subprocess.Popen(driver, cwd=ROOT, start_new_session=True) as process:
        seal = killed.out / "checkpoints" / "checkpoint-6" / "complete.json"
        end = time.monotonic() + 240
        while not seal.is_file() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, 9)
    assert seal.is_file()
    assert not (killed.out / "result.json").is_file()
    resumed = finetune_in_processes(killed, rows, dev(), 2)
    assert resumed.digest == whole.digest
    lines = [json.loads(line) for line in (killed.out / "log.jsonl").read_text().splitlines()]
    assert sorted({line["step"] for line in lines if "loss" in line}) == list(range(1, whole.steps + 1))


def begun(folder):
    """Begin the run that is killed."""
    finetune_in_processes(job(folder, "killed", epochs=8), topic_rows(64, negatives=2), dev(), 2)


def test_what_accelerate_says_is_kept():
    assert Sharding.asked({}) is None
    assert Sharding.asked(TWO) == Sharding()
    asked = {
        "FSDP_OFFLOAD_PARAMS": "true",
        "FSDP_TRANSFORMER_CLS_TO_WRAP": "A, B",
        "FSDP_SHARDING_STRATEGY": "SHARD_GRAD_OP",
    }
    assert Sharding.asked(TWO | asked) == Sharding(reshard=False, offload=True, layers=("A", "B"))
    assert Sharding.asked(TWO | {"FSDP_RESHARD_AFTER_FORWARD": "False"}) == Sharding(reshard=False)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (TWO | {"FSDP_SHARDING_STRATEGY": "HYBRID_SHARD"}, "FSDP_SHARDING_STRATEGY=HYBRID_SHARD.*expected FULL_SHARD"),
        (TWO | {"FSDP_ACTIVATION_CHECKPOINTING": "true"}, "expected gradient_checkpointing = true"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed.*expected FSDP"),
        ({"ACCELERATE_USE_FSDP": "1"}, "this is one process; expected at least two"),
    ],
)
def test_what_cannot_be_done_is_refused(environment, said):
    with pytest.raises(TrainingError, match=said):
        Sharding.asked(environment)


def test_rerankers_with_shards_are_refused_before_anything_is_shared(tmp_path, monkeypatch):
    for name, value in TWO.items():
        monkeypatch.setenv(name, value)
    tiny_model(tmp_path / "base")
    with pytest.raises(TrainingError, match="for embedders only.*Train rerankers with LoRA"):
        finetune_reranker(tmp_path / "base", topic_rows(32), RerankerSpec(batch_size=4), tmp_path / "run", device="cpu")
