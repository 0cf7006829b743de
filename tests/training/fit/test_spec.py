"""Bounds of every setting, and KaLM's preset."""

import json

import pytest

from quarry.indexer.errors import SettingsError
from quarry.training.fit.spec import MatryoshkaSpec, TrainSpec


def test_kalms_preset_at_its_own_dimension_and_scaled():
    own = MatryoshkaSpec.kalm(896)
    assert own.dims == (896, 512, 256, 128, 64)
    assert own.weights == (1.0, 0.3, 0.2, 0.1, 0.1)
    assert MatryoshkaSpec.kalm(384).dims == (384, 216, 112, 56, 24)
    assert MatryoshkaSpec.kalm(8) == MatryoshkaSpec(dims=(8,), weights=(1.0,))  # parts that fall together count once


def test_a_spec_survives_json():
    spec = TrainSpec.of({"matryoshka": {"dims": [8, 4], "weights": [1, 0.5]}, "lora": {"targets": ["query"]}})
    assert TrainSpec.of(json.loads(spec.model_dump_json())) == spec


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs: Input should be greater"),
        ({"learning_rat": 1e-5}, "learning_rat: Extra inputs"),
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"loss": {"temperature": 0}}, "loss.temperature"),
        ({"loss": {"in_batch_negatives": False, "hard_negatives": 0}}, "neither in-batch nor hard negatives"),
        ({"batch_size": 8, "mini_batch": 16}, "mini_batch is 16; expected at most batch_size, 8"),
        ({"matryoshka": {"dims": [8], "weights": []}}, "1 dims and 0 weights"),
        ({"matryoshka": {"dims": [8, 8], "weights": [1, 1]}}, "hold one twice"),
        ({"batches": {"order": "sorted"}}, "batches.order"),
        ({"distillation": {"teacher_temperature": 0}}, "distillation.teacher_temperature"),
        ({"lora": {"rank": 0}}, "lora.rank"),
        ({"epochs": 0, "seed": -1}, "has|have 2 faults"),
    ],
)
def test_what_is_out_of_bounds_is_named(settings, message):
    with pytest.raises(SettingsError, match=message):
        TrainSpec.of(settings)
