"""The stages' own settings, what a user puts over them, and what a run begins with."""

import json
from pathlib import Path

import pytest

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.encoder import load_embedder
from quarry.training.fit.models.start import started
from quarry.training.fit.spec import (
    PretrainSpec,
)
from quarry.training.fit.stages import fitting, stage_spec
from tests.training.masked_model import masked_model
from tests.training.tiny_model import tiny_model


def test_the_stages_are_those_of_the_papers():
    general, task, pre = (stage_spec(name, {}, gpu=True) for name in ("general", "task", "pretrain"))
    assert (general.loss.hard_negatives, general.loss.false_negative_margin, general.query_format) == (
        0,
        None,
        "{query}",
    )
    assert (task.batch_size, task.size_of("symmetric_sts"), task.size_of("retrieval:a")) == (512, 256, 512)
    assert (task.batches.order, task.loss.hard_negatives, task.loss.temperature) == ("homogeneous", 7, 0.02)
    assert isinstance(pre, PretrainSpec)
    assert (pre.encoder_mask, pre.decoder_mask) == (0.3, 0.5)


def test_settings_go_over_the_stages_own_table_by_table():
    spec = stage_spec("task", {"batch_size": 32, "loss": {"temperature": 0.05}}, gpu=True)
    assert (spec.batch_size, spec.mini_batch, spec.batches.other_size) == (32, 32, 32)
    assert (spec.loss.temperature, spec.loss.hard_negatives) == (0.05, 7)
    assert stage_spec("task", {"batches": {"order": "random"}}, gpu=True).batches.other_size is None
    with pytest.raises(SettingsError, match="loss.temprature"):
        stage_spec("general", {"loss": {"temprature": 1}}, gpu=True)


def test_a_batch_that_the_data_cannot_fill_shrinks_or_is_refused():
    spec = stage_spec("task", {}, gpu=True)
    small = fitting(spec, 160, processes=2, given=False)
    assert (small.batch_size, small.mini_batch, small.batches.other_size) == (10, 10, 10)
    assert fitting(spec, 100_000, processes=2, given=False) is spec
    with pytest.raises(SettingsError, match="a step has 1,024 rows and the data 1,000 rows; expected at most as many"):
        fitting(spec, 1000, processes=2, given=True)


def test_a_model_that_is_served_as_it_is_is_begun_with_as_it_is(tmp_path):
    folder = tiny_model(tmp_path / "m")
    assert started(folder, tmp_path / "run") == folder
    assert not (tmp_path / "run").exists()


def test_weights_are_drawn_by_the_seed_where_there_is_only_a_config(tmp_path):
    folder = masked_model(tmp_path / "m", weights=False)
    first, again, other = (started(folder, tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    vectors = [load_embedder(made, device="cpu").embed_documents(["花园"]) for made in (first, again, other)]
    assert (vectors[0] == vectors[1]).all()
    assert not (vectors[0] == vectors[2]).all()
    assert not any(folder.glob("*.safetensors"))
    with pytest.raises(ModelError, match="has no config.json; expected a model folder, or a config with a tokenizer"):
        started(tmp_path / "nothing", tmp_path / "d")


def test_a_raw_decoder_gets_its_end_token(tmp_path):
    folder = tiny_model(tmp_path / "m", "qwen3")
    (folder / "quarry.json").unlink()
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["post_processor"] = None
    path.write_text(json.dumps(content))
    settings = folder / "tokenizer_config.json"
    named = json.loads(settings.read_text())
    for key in ("sep_token", "cls_token"):
        named.pop(key, None)
    settings.write_text(json.dumps({**named, "eos_token": "[SEP]"}))
    made = started(folder, tmp_path / "run")
    embedder = load_embedder(made, device="cpu")
    assert embedder.spec.pooling == "last_token"
    assert embedder._tokenizer.encode("garden").tokens == [*"garden", "[SEP]"]
    named.pop("eos_token", None)
    settings.write_text(json.dumps(named))
    with pytest.raises(ModelError, match="has no end token"):
        started(folder, tmp_path / "other")
    assert load_embedder(started(folder, tmp_path / "mean", pooling="mean"), device="cpu").spec.pooling == "mean"


def test_pooling_is_added_to_a_checkpoint_that_has_none(tmp_path):
    made = started(masked_model(tmp_path / "m", "roberta"), tmp_path / "run", pooling="mean")
    assert load_embedder(made, device="cpu").spec.pooling == "mean"
    assert Path(made / "model.safetensors").is_symlink()
