"""Training in bfloat16 learns what float32 does, and says in which it was."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from quarry.training.fit.embedder import finetune
from quarry.training.fit.spec import TrainSpec
from tests.training.tiny_model import tiny_model, topic_rows


def test_both_precisions_learn_alike_and_the_run_says_which(tmp_path: Path) -> None:
    base = tiny_model(tmp_path / "base")
    lost = {}
    for precision in ("float32", "bfloat16"):
        spec = TrainSpec.of(
            {"epochs": 6, "batch_size": 8, "learning_rate": 1e-3, "dropout": 0.0, "precision": precision}
        )
        trained = finetune(base, topic_rows(16), spec, tmp_path / precision, device="cpu")
        lines = [json.loads(line) for line in (trained.run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        lost[precision] = [line["loss"] for line in lines if line.get("loss") is not None]
        record = json.loads((trained.run / "config.json").read_text(encoding="utf-8"))
        assert record["precision"] == precision
        assert all(weight.dtype == torch.float32 for weight in load_file(trained.folder / "model.safetensors").values())
    assert lost["float32"][-1] < 0.8 * lost["float32"][0]
    assert lost["bfloat16"] == pytest.approx(lost["float32"], rel=0.1)
    assert lost["bfloat16"] != lost["float32"]
