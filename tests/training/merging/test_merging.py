"""Mixtures of a model and its base: weights by arithmetic, formats kept, misfits refused, nothing half written."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import quarry.training.merging.mixture as module
from quarry.indexer.errors import ModelError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.training.fit.embedder import finetune
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.spec import TrainSpec
from quarry.training.merging.mixture import merge_models
from quarry.training.merging.share import KeptShare, keep_share, score_mixtures
from tests.training.tiny_model import tiny_model, topic_rows

SPEC = TrainSpec(batch_size=16, learning_rate=3e-3, checkpoint_steps=0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("merge")
    base = tiny_model(folder / "base")
    return base, finetune(base, topic_rows(96), SPEC, folder / "run").folder


def test_the_weights_are_the_mixture_and_the_ends_are_the_two(pair, tmp_path):
    first, second = (load_file(path / "model.safetensors") for path in pair)
    for alpha in (0.0, 0.3, 1.0):
        out = merge_models(*pair, tmp_path / f"m{alpha}", alpha=alpha)
        mixed = load_file(out / "model.safetensors")
        assert mixed.keys() == second.keys()
        for name, value in mixed.items():
            assert torch.allclose(value, (1 - alpha) * first[name] + alpha * second[name], atol=1e-6)
    name = "encoder.layer.0.output.dense.weight"
    assert not torch.equal(first[name], second[name])


def test_a_mixture_is_a_model_of_its_own(pair, tmp_path):
    out = merge_models(*pair, tmp_path / "m", alpha=0.5)
    embedder, tuned = load_embedder(out, device="cpu:float32"), load_embedder(pair[1], device="cpu:float32")
    assert embedder.spec.query_format == tuned.spec.query_format
    assert embedder.spec.model.startswith("tests/tiny-bert+tuned-")
    assert embedder.spec.model != tuned.spec.model
    assert resolve_model(str(out)).revision != resolve_model(str(pair[1])).revision
    card = (out / "README.md").read_text()
    assert "0.5 of the tuned weights" in card
    assert embedder.spec.model in card
    assert tuned.spec.model not in card


def test_a_few_dev_queries_do_not_move_the_share_from_the_usual_one(pair, tmp_path):
    dev = DevSet.of_rows(topic_rows(24, first=200))  # 24 queries: less than 0.0167 is no difference

    def chosen(scores):
        known = {0.0: 0.5, **dict(zip((0.3, 0.6, 1.0), scores, strict=True))}
        return keep_share(*pair, dev, SPEC, tmp_path / "kept", shares=(1.0, 0.6, 0.3), known=known, device="cpu")

    assert chosen((0.71, 0.70, 0.71)).share == 0.6
    assert chosen((0.72, 0.70, 0.71)).share == 0.3
    assert chosen((0.69, 0.68, 0.71)) == KeptShare(pair[1], 1.0, 0.71, 0.5)


def test_scores_of_mixtures_are_those_of_the_folders(pair, tmp_path):
    dev = DevSet.of_rows(topic_rows(24, first=200))
    lines = score_mixtures(*pair, [dev], SPEC, alphas=(0.0, 0.6, 1.0), device="cpu")
    assert lines[2].scores[0] > lines[0].scores[0] + 0.1
    merged = merge_models(*pair, tmp_path / "m", alpha=0.6)
    again = score_mixtures(pair[0], merged, [dev], SPEC, alphas=(1.0,), device="cpu")
    assert again[0].scores[0] == pytest.approx(lines[1].scores[0], abs=0.02)
    with pytest.raises(ModelError, match="differ in .* weights"):
        score_mixtures(tiny_model(tmp_path / "q", "qwen3"), pair[1], [dev], SPEC, device="cpu")


def test_what_does_not_fit_is_refused_and_leaves_nothing(pair, tmp_path, monkeypatch):
    base, tuned = pair
    out = tmp_path / "m"
    with pytest.raises(ValueError, match="alpha is 1.5; expected 0 to 1"):
        merge_models(base, tuned, out, alpha=1.5)
    with pytest.raises(ModelError, match="is used as .*expected the same"):
        merge_models(tiny_model(tmp_path / "other", "qwen3"), tuned, out, alpha=0.5)
    with pytest.raises(ModelError, match="exists; expected a new folder"):
        merge_models(base, tuned, tmp_path, alpha=0.5)
    shrunk = tiny_model(tmp_path / "shrunk")
    weights = load_file(shrunk / "model.safetensors")
    short = {**weights, "embeddings.LayerNorm.bias": torch.zeros(3)}
    save_file(short, shrunk / "model.safetensors")
    with pytest.raises(ModelError, match=r"has the shape \(3,\) in the base and \(32,\)"):
        merge_models(shrunk, tuned, out, alpha=0.5)
    save_file({name: weights[name] for name in list(weights)[1:]}, shrunk / "model.safetensors")
    with pytest.raises(ModelError, match="the base lacks 1 of"):
        merge_models(shrunk, tuned, out, alpha=0.5)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "sync_tree", full)
    with pytest.raises(ModelError, match=r"cannot be written .*No space left"):
        merge_models(base, tuned, out, alpha=0.5)
    assert not out.exists()
    assert not list(tmp_path.glob(".m*"))
