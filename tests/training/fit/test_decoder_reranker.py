"""Decoders trained as rerankers are served as they were trained, at every depth and every ratio of token compression."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.source import resolve_model
from quarry.retriever.rerankers.cross_encoder import load_reranker
from quarry.retriever.rerankers.decoder import padded_left
from quarry.retriever.rerankers.depth import reranker_at
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.models.decoder_trainee import DecoderTrainee, asked_prompt
from quarry.training.fit.reranker import finetune_reranker
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.spec import RERANKER_PROMPTS, RerankerSpec
from tests.retriever.rerankers.tiny_rerankers import make


def rows(count):
    """Rows whose answers are told by one word."""
    rng = random.Random(1)

    def noise(length):
        return "".join(rng.choice("abcdefgh ") for _ in range(length))

    return [
        TrainingRow(
            noise(8), (f"{noise(9)} yes {noise(9)}",), (f"{noise(9)} no {noise(9)}", f"{noise(9)} not {noise(9)}")
        )
        for _ in range(count)
    ]


ROWS, HELD = rows(64), rows(80)[64:]
BASE = {
    "batch_size": 8,
    "epochs": 2,
    "learning_rate": 3e-3,
    "max_tokens": 64,
    "checkpoint_steps": 0,
    "token_budget": 4096,
    "precision": "float32",
    "loss": {"hard_negatives": 2},
    "prompt": "same meaning",
}
LAYERWISE = {**BASE, "head": "layerwise", "start_layer": 1, "compress": [1, 2, 4], "compress_layer": 1, "batch_size": 4}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make(tmp_path_factory.mktemp("llama") / "m", "llama")


def right(reranker):
    """Return the share of held-out positives that are above their negatives."""
    scores = [reranker.score(row.query, [*row.pos, *row.neg]) for row in HELD]
    return float(np.mean([one[0] > one[1:].max() for one in scores]))


@pytest.mark.parametrize("lora", [None, {"rank": 8, "alpha": 16}])
def test_a_yes_logit_is_learned_and_served(base, tmp_path, lora):
    done = finetune_reranker(base, ROWS, RerankerSpec.of({**BASE, "lora": lora}), tmp_path / "run", device="cpu")
    source = resolve_model(str(done.folder), kind="reranker")
    assert source.model.partition("+tuned-")[1]
    reranker = load_reranker(done.folder, model_id=source.model, device="cpu:float32")
    assert right(reranker) >= 0.8
    profile = json.loads((done.folder / "quarry.json").read_text())["reranker"]
    assert profile["prompt"] == RERANKER_PROMPTS["same meaning"]
    changed = {
        name.split(".")[-2]
        for name, value in load_file(done.folder / "model.safetensors").items()
        if not torch.equal(value, load_file(base / "model.safetensors").get(name, torch.zeros(0)))
    }
    assert ("embed_tokens" in changed) == (lora is None)
    assert {"q_proj", "lm_head"} <= changed


def test_every_depth_of_a_layerwise_model_ranks_and_is_served_as_it_was_trained(base, tmp_path):
    done = finetune_reranker(base, ROWS, RerankerSpec.of(LAYERWISE), tmp_path / "run", device="cpu")
    heads = load_file(done.folder / "heads.safetensors")
    assert set(heads) == {"head.1", "head.2", "head.3"}
    assert not torch.equal(heads["head.1"], heads["head.3"])
    name = resolve_model(str(done.folder), kind="reranker").model
    scores = []
    whole = load_reranker(done.folder, model_id=name, device="cpu:float32")
    for depth, ratio in ((1, 1), (2, 1), (3, 1), (2, 2), (3, 2), (3, 4)):
        reranker = load_reranker(done.folder, model_id=name, device="cpu:float32", cutoff_layers=depth, compress=ratio)
        assert right(reranker) > 0.5  # a third is chance
        scores.append(reranker.score(HELD[0].query, [*HELD[0].pos, *HELD[0].neg]))
        lower = reranker_at(whole, depth, ratio).score(HELD[0].query, [*HELD[0].pos, *HELD[0].neg])
        assert lower == pytest.approx(scores[-1], abs=1e-4)
    assert len({tuple(np.round(one, 4)) for one in scores}) == len(scores)
    assert whole.score(HELD[0].query, HELD[0].pos) == pytest.approx(scores[2][:1], abs=1e-5)
    with pytest.raises(ModelError, match="the layer cutoff is 4; expected 1 to 3, the layers with a head"):
        load_reranker(done.folder, model_id=name, device="cpu", cutoff_layers=4)
    with pytest.raises(ModelError, match="the compression is 8, and .* was trained with 1, 2, 4"):
        load_reranker(done.folder, model_id=name, device="cpu", compress=8)


def test_the_trained_modules_logits_are_those_of_the_served_folder(base, tmp_path):
    trainee = DecoderTrainee(base, ROWS, RerankerSpec.of(LAYERWISE), "cpu")
    folder = tmp_path / "m"
    record = {"base": {"model": "x", "revision": "1"}, "rows": 64, "rows_digest": "1", "steps": 1, "dev": None}
    trainee.write(folder, "1234567890", record)
    texts = [*HELD[0].pos, *HELD[0].neg, "short", HELD[1].pos[0] * 4]
    from quarry.retriever.rerankers.decoder import decoder_pairs

    batch = padded_left(decoder_pairs(trainee._layout, HELD[0].query, texts), 0, "cpu")
    trainee.model.eval()
    for ratio in (1, 2, 4):
        with torch.no_grad():
            logits = trainee.model.logits(batch, ratio, (1, 2, 3)).numpy()
        for depth in (2, 3):
            served = load_reranker(
                folder, model_id="x", device="cpu:float32", cutoff_layers=depth, compress=ratio
            ).score(HELD[0].query, texts)
            assert np.abs(served - logits[depth - 1]).max() <= 1e-4


def test_self_distillation_pulls_the_depths_to_the_last(base):
    def gradient(weight):
        torch.manual_seed(0)
        trainee = DecoderTrainee(base, ROWS, RerankerSpec.of({**LAYERWISE, "self_distillation": weight}), "cpu")
        trainee.model.eval()
        inputs = trainee.collate([Draw(n, 0, (0, 1)) for n in range(4)])
        trainee.model(inputs).backward()
        return {depth: row.grad.clone() for depth, row in trainee.model.heads.items()}

    with_it, without = gradient(1.0), gradient(0.0)
    assert torch.equal(with_it["3"], without["3"])  # the last depth is the teacher, and learns nothing from it
    assert not torch.allclose(with_it["1"], without["1"])


def test_a_row_brings_its_own_question(base):
    spec = RerankerSpec.of(BASE)
    assert asked_prompt(spec, ROWS[0]) == RERANKER_PROMPTS["same meaning"]
    assert asked_prompt(spec, replace(ROWS[0], prompt="counterargument")) == RERANKER_PROMPTS["counterargument"]
    assert asked_prompt(spec, replace(ROWS[0], prompt="Is B good?")) == "Is B good?"
    mixed = [replace(ROWS[0], prompt="Is B good?"), ROWS[1]]
    trainee = DecoderTrainee(base, mixed, spec, "cpu")
    inputs = trainee.collate([Draw(0, 0, (0,)), Draw(1, 0, (0,))])
    tails = {1 + len(trainee._tokenizer.ids(text)) for text in ("Is B good?", RERANKER_PROMPTS["same meaning"])}
    assert set(inputs["tails"].tolist()) == tails


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("llama", {**LAYERWISE, "start_layer": 9}, "start_layer is 9 .* the model has 3 layers"),
        ("llama", {**LAYERWISE, "compress_layer": 3}, "compress_layer 3, and the model has 3 layers"),
        ("bert", {**BASE, "lora": {"rank": 4}}, "is trained as a cross-encoder; expected a decoder"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(tmp_path, kind, settings, message):
    with pytest.raises(SettingsError, match=message):
        finetune_reranker(make(tmp_path / "m", kind), ROWS, RerankerSpec.of(settings), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
