"""`quarry train` from the command line: killed and resumed, in two processes, and what is wrong said in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.indexer.errors import SearchError
from quarry.indexer.models.encoder import load_embedder
from quarry.training.examples.rows import write_training_rows
from tests import ROOT
from tests.training.masked_model import masked_model
from tests.training.tiny_model import tiny_model, topic_rows

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
STEADY = "dropout = 0.0\ncheckpoint_steps = 2\nprecision = 'float32'\n"


@pytest.fixture
def pairs(tmp_path):
    write_training_rows(tmp_path / "pairs.jsonl", topic_rows(64, negatives=2))
    return tmp_path / "pairs.jsonl"


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "train.toml").write_text(STEADY, encoding="utf-8")
    return tmp_path / "train.toml"


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in another order would give another digest."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(*arguments):
    """Run the command in this process, which has the libraries loaded."""
    return CliRunner().invoke(cli, ["train", *map(str, arguments)])


def digest(done):
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)["digest"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["pretrain", "general", "task"])
def test_a_killed_stage_ends_with_the_same_model(tmp_path, pairs, settings, stage):
    model = masked_model(tmp_path / "m", weights=False)
    given = [
        pairs,
        "--model",
        model,
        "--stage",
        stage,
        "--settings",
        settings,
        "--epochs",
        "4",
        "--batch-size",
        "8",
    ]
    given += ["--device", "cpu", "--json", "-q"]
    whole = digest(run(*given, "--into", tmp_path / "whole"))
    command = [sys.executable, "-m", "quarry", "train", *map(str, given), "--into", str(tmp_path / "killed")]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seal = tmp_path / "killed" / "checkpoints" / "checkpoint-4" / "complete.json"
    end = time.monotonic() + 120
    while not seal.is_file() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "result.json").exists()
    assert digest(run(*given, "--into", tmp_path / "killed")) == whole


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["general", "pretrain"])
def test_two_processes_make_the_step_of_one_with_twice_the_batch(tmp_path, pairs, settings, stage):
    model = masked_model(tmp_path / "m")
    with settings.open("a", encoding="utf-8") as file:
        file.write("warmup = 0.0\nlearning_rate = 1e-3\n")
    given = [
        pairs,
        "--model",
        model,
        "--pooling",
        "cls",
        "--stage",
        stage,
        "--settings",
        settings,
        "-q",
        "--device",
        "cpu",
    ]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "quarry"]
    done = subprocess.run(
        [*two, "train", *map(str, given), "--batch-size", "16", "--into", str(tmp_path / "two")],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    alone = run(*given, "--batch-size", "32", "--into", tmp_path / "one")
    assert alone.exit_code == 0, alone.exception
    begun = load_file(tmp_path / "one" / "start" / "model.safetensors")
    updates = []
    for name in ("one", "two"):
        found = load_file(tmp_path / name / "model" / "model.safetensors")
        updates.append(torch.cat([(found[key] - begun[key]).flatten() for key in sorted(found) if key in begun]))
    assert float(updates[0].norm()) > 0.01
    assert float(torch.nn.functional.cosine_similarity(*updates, dim=0)) > 0.99


def workers(launcher):
    """Return the processes that torchrun started, by rank."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == launcher:
                named = (part.partition("=") for part in (folder / "environ").read_text().split("\0"))
                found |= {int(value): int(folder.name) for name, _, value in named if name == "RANK"}
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the workers are found in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_run_of_two_processes_of_which_one_dies_says_so_and_ends_with_the_same_model(tmp_path, pairs, settings, rank):
    model = masked_model(tmp_path / "m")
    given = ["train", pairs, "--model", model, "--pooling", "cls", "--stage", "general", "--settings", settings, "-q"]
    given += ["--device", "cpu", "--batch-size", "8", "--epochs", "8"]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "quarry"]
    command = [*two, *map(str, given), "--into"]
    run_of = {"env": ENVIRONMENT, "stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen([*command, str(tmp_path / "killed")], **run_of)
    seal = tmp_path / "killed" / "checkpoints" / "checkpoint-4" / "complete.json"
    end = time.monotonic() + 240
    while not seal.is_file() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    os.kill(workers(process.pid)[rank], signal.SIGKILL)
    _, said = process.communicate(timeout=240)
    assert process.returncode != 0
    assert not (tmp_path / "killed" / "result.json").exists()
    # torchrun ends the other one, which by then may not have missed it yet
    assert "error: another process of this run ended" in said or "Signal 15 (SIGTERM) received" in said
    assert "Signal 9 (SIGKILL) received" in said
    assert "quarry/training" not in said  # no traceback of ours
    assert "FutureWarning" not in said
    for into in ("killed", "whole"):
        done = subprocess.run([*command, str(tmp_path / into)], **run_of, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    results = [json.loads((tmp_path / into / "result.json").read_text()) for into in ("killed", "whole")]
    assert results[0]["digest"] == results[1]["digest"]
    steps = [json.loads(line)["step"] for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))


def test_a_task_is_learned_with_instructions_labels_and_a_dev_set(tmp_path, settings):
    write_training_rows(tmp_path / "rows.jsonl", topic_rows(48, negatives=2))
    labels = [
        json.dumps(
            {
                "text": f"text {n} about {'garden' if n % 2 else 'budget'}",
                "label": "plants" if n % 2 else "money",
                "prompt": "Name it.",
            }
        )
        for n in range(24)
    ]
    (tmp_path / "labels.jsonl").write_text("\n".join(labels), encoding="utf-8")
    write_training_rows(tmp_path / "dev.jsonl", topic_rows(10, first=100))
    model = tiny_model(tmp_path / "m")
    given = [tmp_path / "rows.jsonl", tmp_path / "labels.jsonl", "--model", model, "--settings", settings]
    done = run(*given, "--dev", tmp_path / "dev.jsonl", "--into", tmp_path / "run", "--epochs", "2", "--device", "cpu")
    assert done.exit_code == 0, done.exception
    assert "training on 72 rows" in done.stderr
    assert done.stdout.startswith("dev nDCG@10 0.")
    assert load_embedder(tmp_path / "run" / "model", device="cpu").spec.query_format == "query: {query}"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch-size", "512"], "a step has 512 rows and the data 64 rows; expected at most as many"),
        (["--temperature", "7"], "loss.temperature"),
        (["--stage", "pretrain"], "has no mask token"),
        (["--stage", "pretrain", "--dev", "x.jsonl"], "--dev was given with --stage pretrain"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, pairs, flags, message):
    model = tiny_model(tmp_path / "m")
    done = run(pairs, "--model", model, "--into", tmp_path / "run", "-q", "--device", "cpu", *flags)
    assert isinstance(done.exception, SearchError)
    assert message in str(done.exception)


def test_a_teacher_scores_the_rows_of_a_task(tmp_path, pairs, settings):
    from transformers import BertConfig, BertForSequenceClassification

    model = tiny_model(tmp_path / "m")
    teacher = tiny_model(tmp_path / "teacher")
    (teacher / "quarry.json").unlink()
    config = BertConfig.from_pretrained(teacher, num_labels=1)
    BertForSequenceClassification(config).save_pretrained(teacher)
    given = [pairs, "--model", model, "--settings", settings, "--teacher", teacher, "--device", "cpu", "-q"]
    done = run(*given, "--into", tmp_path / "run")
    assert done.exit_code == 0, done.exception
    (taught,) = (tmp_path / "run").glob("taught-*.jsonl")
    rows = [json.loads(line) for line in taught.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 64
    assert all(len(row["neg_scores"]) == 2 for row in rows)
    record = json.loads((tmp_path / "run" / "model" / "training.json").read_text(encoding="utf-8"))
    assert record["spec"]["distillation"] == {"teacher_temperature": 1.0, "weight": 0.5}
    refused = run(*given, "--into", tmp_path / "other", "--stage", "general")
    assert "--teacher was given with --stage general" in str(refused.exception)
