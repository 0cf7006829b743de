"""`quarry models`: the list, the history of an index's model, and the way back."""

import json

import pytest

from tests.app.cli.test_cli import quarry
from tests.training.tuning.test_promotion import index, tune

__all__ = ["index"]


def test_history_shows_why_each_model_answered(index):
    tune(index, "tuned")
    shown = quarry("models", "history", index)
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert "tests/words base" in lines[0]
    assert lines[1].startswith("000002") and lines[1].endswith("promoted  (live)")
    assert "tuned from tests/words base of generation 000001, run run-tuned" in lines[2]
    assert lines[3].strip() == "Promote"
    chinese = quarry("models", "history", index, "--lang", "zh").stdout.splitlines()
    assert chinese[1].endswith("上线  (使用中)")
    assert [line.strip() for line in chinese[2:]] == [
        "由版本 000001 的 tests/words base 微调而来，运行 run-tuned",
        "可以上线",
    ]
    steps = json.loads(quarry("models", "history", index, "--json").stdout)
    assert [(step["revision"], step["live"]) for step in steps] == [("base", False), ("tuned", True)]
    assert steps[1]["lineage"]["verdict"] == "Promote"


def test_rollback_answers_with_the_old_model_again(index):
    tune(index, "tuned")
    done = quarry("models", "rollback", index)
    assert done.returncode == 0
    assert "generation 000001 is live" in done.stderr
    again = quarry("models", "rollback", index)
    assert again.returncode == 1
    assert "was not tuned here" in again.stderr


@pytest.mark.parametrize("action", ["history", "rollback"])
def test_the_index_has_to_be_named(action):
    refused = quarry("models", action)
    assert refused.returncode == 2
    assert f"quarry models {action} INDEX" in refused.stderr
