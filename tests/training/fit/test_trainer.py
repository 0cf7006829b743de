"""Gradients of the loss over a model: in pieces, cached, and across two real processes; and what the model is given to read."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from quarry.indexer.errors import ModelError
from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.losses import Roles, batch_loss
from quarry.training.fit.loop.trainer import ContrastiveLoss
from quarry.training.fit.models.trainable import Trainable, merge_adapters, open_trainable, own_device
from quarry.training.fit.rows.batches import plan_batches
from quarry.training.fit.rows.collation import Collator
from quarry.training.fit.rows.table import text_number
from quarry.training.fit.rows.tokens import Tokenizer, padded
from quarry.training.fit.spec import TrainSpec
from tests.training.fit.formats import with_formats
from tests.training.tiny_model import tiny_model, topic_rows

SPEC = TrainSpec(batch_size=12, loss={"hard_negatives": 2, "false_negative_margin": None}, max_passage_tokens=64)


def gradients(opened: Trainable, spec: TrainSpec, seed: int = 0, rows: int = 12) -> dict[str, torch.Tensor]:
    """Return the loss and its gradient for every weight, for one batch."""
    data = topic_rows(rows, negatives=2)
    data[0] = TrainingRow(data[0].query, ("notes about the printer " * 5,), data[0].neg)
    collate = Collator(data, spec, opened.tokenizer, opened.shape)
    batch = collate(plan_batches(data, spec).batches[0])
    features = [
        {key: batch[f"{name}_{key}"] for key in ("input_ids", "attention_mask")} for name in ("query", "passage")
    ]
    torch.manual_seed(seed)
    opened.model.train()
    opened.model.zero_grad()
    loss = ContrastiveLoss(opened.model, spec)(features, batch["label"])
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in opened.model.named_parameters() if weight.grad is not None}
    return {"loss": loss.detach(), **found}


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the largest relative difference of a gradient as a whole."""
    assert one.keys() == other.keys()
    largest = max(float(value.norm()) for value in one.values())
    assert largest > 0.01  # else there is nothing to compare
    return max(float((one[name] - other[name]).norm()) / max(float(one[name].norm()), 1e-4 * largest) for name in one)


@pytest.mark.parametrize("architecture", ["bert", "qwen3"])
def test_cached_gradients_and_gradients_in_pieces_are_the_plain_ones(architecture, tmp_path):
    opened = open_trainable(tiny_model(tmp_path / "m", architecture, dropout=0.0), SPEC, device="cpu")
    opened.model.double()  # in float32 the order of additions shows at 1e-5
    plain = gradients(opened, SPEC.model_copy(update={"token_budget": 1_000_000}))
    pieces = gradients(opened, SPEC.model_copy(update={"token_budget": 64}))
    cached = gradients(opened, SPEC.model_copy(update={"mini_batch": 4}))
    assert len(plain) > 20
    assert furthest(plain, pieces) < 1e-9
    assert furthest(plain, cached) < 1e-9


def test_the_second_pass_of_the_cache_draws_the_same_dropout(tmp_path):
    opened = open_trainable(tiny_model(tmp_path / "m", dropout=0.3), SPEC, device="cpu")
    spec = SPEC.model_copy(update={"mini_batch": 12})
    assert furthest(gradients(opened, spec, 0), gradients(opened, spec, 1)) > 0.01  # dropout is at work
    step = 1e-3
    found = gradients(opened, spec)
    name, weight = next((n, w) for n, w in opened.model.named_parameters() if "intermediate.dense.weight" in n)
    with torch.no_grad():
        weight += step * found[name] / found[name].norm()
    up = gradients(opened, spec)["loss"]
    with torch.no_grad():
        weight -= 2 * step * found[name] / found[name].norm()
    slope = float(up - gradients(opened, spec)["loss"]) / (2 * step)
    assert slope == pytest.approx(
        float(found[name].norm()), rel=0.02
    )  # the gradient is that of the function with this dropout


def test_the_loss_over_the_model_is_the_loss_of_its_vectors(tmp_path):
    opened = open_trainable(tiny_model(tmp_path / "m", dropout=0.0), SPEC, device="cpu")
    rows = topic_rows(12, negatives=2)
    collate = Collator(rows, SPEC, opened.tokenizer, opened.shape)
    draws = plan_batches(rows, SPEC).batches[0]
    batch = collate(draws)
    features = [
        {key: batch[f"{name}_{key}"] for key in ("input_ids", "attention_mask")} for name in ("query", "passage")
    ]
    embedder = load_embedder(tmp_path / "m", device="cpu:float32")
    numbers = {int(n): column for column, n in enumerate(batch["label"]["text"])}
    texts = sorted(
        {t for d in draws for t in (rows[d.row].pos[d.positive], *(rows[d.row].neg[n] for n in d.negatives))}
    )
    in_order = sorted(texts, key=lambda text: numbers[text_number(text)])
    by_positive = {in_order[int(c)]: i for i, c in enumerate(batch["label"]["positive"])}
    queries = [None] * 12
    for draw in draws:
        queries[by_positive[rows[draw.row].pos[draw.positive]]] = rows[draw.row].query
    served = batch_loss(
        torch.from_numpy(embedder.embed_queries(queries)),
        torch.from_numpy(embedder.embed_documents(in_order)),
        Roles(**batch["label"]),
        SPEC,
    )
    with torch.no_grad():
        found = ContrastiveLoss(opened.model, SPEC)(features, batch["label"])
    assert found.item() == pytest.approx(served.item(), abs=1e-4)


@pytest.mark.parametrize("architecture", ["bert", "qwen3"])
def test_queries_and_passages_are_formatted_as_at_serving_time(architecture, tmp_path):
    opened = open_trainable(tiny_model(tmp_path / "m", architecture), SPEC, device="cpu")
    embedder = load_embedder(tmp_path / "m", device="cpu:float32")
    asked = load_embedder(tmp_path / "m", device="cpu:float32", options=EncoderOptions(instruction="window"))
    for query_format, prompt in ((embedder.spec.query_format, ""), (asked.spec.query_format, "window")):
        row = TrainingRow("花园 3", ("notes",), ("garden",), prompt=prompt)
        batch = Collator([row], SPEC, opened.tokenizer, opened.shape)(plan_batches([row], SPEC).batches[0])
        text = query_format.replace("{query}", "花园 3")
        expected = opened.tokenizer.copy().encode(text).ids
        assert batch["query_input_ids"][0].tolist() == expected
        passage = embedder.spec.document_format.replace("{text}", "garden")
        assert opened.tokenizer.copy().encode(passage).ids in [
            [i for i, m in zip(ids, mask, strict=True) if m]
            for ids, mask in zip(
                batch["passage_input_ids"].tolist(), batch["passage_attention_mask"].tolist(), strict=True
            )
        ]
    assert embedder.spec.query_format != asked.spec.query_format


def test_equal_texts_are_there_once_longest_first_and_cut(tmp_path):
    opened = open_trainable(tiny_model(tmp_path / "m"), SPEC, device="cpu")
    rows = [
        TrainingRow("打印机", ("printer",), ("shared", "花园" * 100)),
        TrainingRow("budget and more", ("预算", "又预算"), ("shared", "printer")),
        TrainingRow("printer?", ("shared",), kind="x_no_in_batch_neg", pos_scores=(0.9,)),
    ]
    spec = SPEC.model_copy(update={"batch_size": 3})
    draws = plan_batches(rows, spec).batches[0]
    batch = Collator(rows, spec, opened.tokenizer, opened.shape)(draws)
    for name in ("query", "passage"):
        lengths = batch[f"{name}_attention_mask"].sum(dim=1).tolist()
        assert lengths == sorted(lengths, reverse=True)
    assert batch["passage_input_ids"].shape == (4, 64)
    label = batch["label"]
    assert len(set(label["text"].tolist())) == 4
    assert sorted(label["alone"].tolist()) == [False, False, True]
    assert sorted(label["teacher"][:, 0].nan_to_num(-1).tolist()) == pytest.approx([-1, -1, 0.9])
    two = next(i for i in range(3) if (label["known"][i] >= 0).sum() == 2)  # the row with two answers knows both
    assert label["positive"][two] not in label["own"][two]


def test_adapters_merge_into_the_same_function(tmp_path):
    spec = TrainSpec.of({"lora": {"rank": 4, "alpha": 64}, "batch_size": 12})
    opened = open_trainable(tiny_model(tmp_path / "m", "qwen3"), spec, device="cpu")
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in opened.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)
    texts = ["how to fix printer", "怎么修理花园"]
    before = opened.embed(texts, max_tokens=64, token_budget=512)
    base = with_formats(load_embedder(tmp_path / "m", device="cpu:float32"), "{query}", "{text}").embed_documents(texts)
    assert (before * base).sum(axis=1).max() < 0.999
    merge_adapters(opened.model)
    assert not any("lora" in name for name, _ in opened.model.named_parameters())
    after = opened.embed(texts, max_tokens=64, token_budget=512)
    assert (before * after).sum(axis=1).min() > 0.99999


def test_a_decoder_that_attends_both_ways_is_trained_and_saved_so(tmp_path):
    import json

    from quarry.training.fit.embedder import finetune

    folder = tiny_model(tmp_path / "m", "qwen3")
    causal = load_embedder(folder, device="cpu:float32").embed_documents(["garden 3", "花园的说明"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"is_causal": False}))
    served = load_embedder(folder, device="cpu:float32")
    both_ways = served.embed_documents(["garden 3", "花园的说明"])
    opened = open_trainable(folder, SPEC, device="cpu")
    found = opened.embed(["garden 3", "花园的说明"], max_tokens=64, token_budget=512)
    assert (found * both_ways).sum(axis=1).min() > 0.9999
    assert (found * causal).sum(axis=1).min() < 0.999
    for lora in (None, {"rank": 2}):
        spec = TrainSpec.of({"batch_size": 16, "learning_rate": 1e-3, "checkpoint_steps": 0, "lora": lora})
        tuned = finetune(folder, topic_rows(16), spec, tmp_path / f"run{bool(lora)}", device="cpu").folder
        assert json.loads((tuned / "config.json").read_text())["is_causal"] is False
        again = open_trainable(tuned, SPEC, device="cpu").embed(["garden 3"], max_tokens=64, token_budget=512)
        assert (again * load_embedder(tuned, device="cpu:float32").embed_documents(["garden 3"])).sum() > 0.9999


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("lora", [None, {"rank": 2}])
@pytest.mark.parametrize(
    ("architecture", "pooling", "causal"),
    [("bert", "mean", None), ("bert", "cls", None), ("qwen3", "last_token", None), ("qwen3", "mean", None),
     ("qwen3", "mean", False), ("qwen3", "last_token", False)],
)  # fmt: skip  # a table
def test_what_is_trained_is_what_is_served(architecture, pooling, causal, lora, precision, tmp_path):
    """In training mode, padded, with gradients, as the loss sees it: the vectors that the encoder serves."""
    import json

    texts = ["garden 3", "花园的说明", "notes about the bicycle number 7. " * 4]
    folder = tiny_model(tmp_path / "m", architecture, dropout=0.0)
    for name, changes in (
        ("config.json", {} if causal is None else {"is_causal": causal}),
        ("quarry.json", {"pooling": pooling}),
    ):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(content | changes))
    spec = TrainSpec.of({"lora": lora, "max_passage_tokens": 300})
    opened = open_trainable(folder, spec, device="cpu")
    served = load_embedder(folder, device="cpu:float32").embed_documents(texts)
    tokenizer = Tokenizer(opened.tokenizer, 300)
    ids = sorted(tokenizer.encode([opened.document_text(text) for text in texts]), key=len, reverse=True)
    tokens = padded(ids, tokenizer.pad)
    opened.model.train()
    loss = ContrastiveLoss(opened.model, spec)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        found = loss._embed({"input_ids": tokens.ids, "attention_mask": tokens.mask})
    assert found.requires_grad
    same = (found.detach().float().numpy() * served[[2, 0, 1]]).sum(axis=1)
    assert same.min() > (0.9999 if precision == "float32" else 0.995)


TWO = """
import os, sys, torch
from pathlib import Path
from tests.training.tiny_model import topic_rows
from quarry.training.fit.embedder import finetune
from quarry.training.fit.spec import TrainSpec
torch.set_num_threads(1)
spec = TrainSpec(batch_size=4, epochs=1, learning_rate=1e-3, checkpoint_steps=0, mini_batch=int(sys.argv[3]), warmup=0)
result = finetune(Path(sys.argv[1]), topic_rows(16), spec, Path(sys.argv[2]), device="cpu")
assert result.folder.is_dir() and result.steps == 2, result
"""


@pytest.mark.slow
@pytest.mark.parametrize("mini_batch", [0, 2])
def test_two_processes_are_one_large_batch(mini_batch, tmp_path):
    """With in-batch negatives of both, two processes of 4 rows take the step of one process with 8."""
    from safetensors.torch import load_file

    from quarry.training.fit.embedder import finetune

    folder = tiny_model(tmp_path / "m", dropout=0.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, str(folder), str(tmp_path / "two"), str(mini_batch)],
            cwd=Path(__file__).parents[3],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    spec = TrainSpec(batch_size=8, learning_rate=1e-3, checkpoint_steps=0, warmup=0)
    rows = topic_rows(16)
    import quarry.training.fit.run as module

    small = plan_batches(rows, spec.model_copy(update={"batch_size": 4}), processes=2)
    paired = tuple(small.batches[i] + small.batches[i + 1] for i in (0, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "plan_batches", lambda *_, **__: type(small)(paired, (2,), 0))
        one = finetune(folder, rows, spec, tmp_path / "one", device="cpu")
    base, two, single = (
        load_file(path / "model.safetensors") for path in (folder, tmp_path / "two" / "model", one.folder)
    )
    moved = torch.cat([(two[name] - base[name]).flatten() for name in single])
    expected = torch.cat([(single[name] - base[name]).flatten() for name in single])
    assert float(expected.norm()) > 0.01
    assert float(torch.nn.functional.cosine_similarity(moved, expected, dim=0)) > 0.99


@pytest.mark.parametrize(("processes", "rank", "expected"), [(2, 1, "cuda:1"), (3, 1, None)])
def test_more_processes_than_gpus_are_refused_before_anything_is_loaded(processes, rank, expected, monkeypatch):
    for name, value in (("is_available", True), ("device_count", 2)):
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    if expected:
        assert own_device("auto") == expected
        return
    with pytest.raises(ModelError, match="3 processes were started on this machine, which has 2 GPUs"):
        own_device("cuda")
    assert own_device("cpu") == "cpu"


def test_checkpointed_activations_give_the_same_gradients_also_beside_the_gradient_cache(tmp_path):
    folder = tiny_model(tmp_path / "m", dropout=0.0)
    plain = gradients(open_trainable(folder, SPEC, device="cpu"), SPEC)
    saving = SPEC.model_copy(update={"gradient_checkpointing": True})
    opened = open_trainable(folder, saving, device="cpu")
    assert opened.model[0].model.is_gradient_checkpointing
    assert furthest(plain, gradients(opened, saving)) < 1e-3
    assert furthest(plain, gradients(opened, saving.model_copy(update={"mini_batch": 4}))) < 1e-3


def test_labelled_rows_see_the_labels_of_other_rows_only_as_their_own_negatives(tmp_path):
    opened = open_trainable(tiny_model(tmp_path / "m"), SPEC, device="cpu")
    rows = [
        TrainingRow(f"text {n}", (f"label {n % 2}",), (f"label {1 - n % 2}",), kind="classification:a")
        for n in range(4)
    ]
    batch = Collator(rows, SPEC, opened.tokenizer, opened.shape)(plan_batches(rows, SPEC).batches[0])
    roles = Roles(**batch["label"])
    assert roles.alone.tolist() == [True] * 4
    assert roles.text.shape == (2,)
    assert (roles.own[:, 0] != roles.positive).all()
    assert ((roles.own >= 0).sum(dim=1) == 1).all()


def test_a_row_without_instruction_is_its_query_alone(tmp_path):
    opened = open_trainable(tiny_model(tmp_path / "m"), SPEC, device="cpu")
    row = TrainingRow("花园 3", ("notes",), ("garden",), prompt="{query}")
    batch = Collator([row], SPEC, opened.tokenizer, opened.shape)(plan_batches([row], SPEC).batches[0])
    assert batch["query_input_ids"][0].tolist() == opened.tokenizer.copy().encode("花园 3").ids
