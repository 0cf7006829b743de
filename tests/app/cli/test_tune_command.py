"""`quarry tune` from the command line, on a tiny real model: promoted, refused, and what was wrong said in one line."""

import json

import pytest

from tests.app.cli.test_cli import quarry
from tests.training.tuning.test_embedder import general, index, model, pairs

__all__ = ["general", "index", "model", "pairs"]

SETTINGS = "batch_size = 16\nlearning_rate = {rate}\nepochs = {epochs}\npatience = 0\n"


@pytest.fixture
def settings(tmp_path):
    def write(rate, epochs):
        path = tmp_path / "settings.toml"
        path.write_text(SETTINGS.format(rate=rate, epochs=epochs), encoding="utf-8")
        return path

    return write


@pytest.mark.slow
def test_a_refusal_has_its_own_exit_code_and_its_reasons(index, pairs, settings, tmp_path):
    pool = tmp_path / "pool.jsonl"
    pool.write_text('{"text": "The desk opens at nine."}\n{"text": "服务台九点开放。"}\n', encoding="utf-8")
    given = ("tune", index, "--pairs", pairs, "--candidate-pool", pool, "--route", "dense", "--run", "one")
    done = quarry(*given, "--settings", settings(1e-7, 1))
    assert done.returncode == 4, done.stderr
    assert "refused: no gain is shown on the held-out queries" in done.stdout
    assert "General set: No difference shown" in done.stdout
    assert "generation 000001 stays live" in done.stdout
    assert "step 2 of 7: mining negatives for" in done.stderr
    assert "about " in done.stderr.split("step 3 of 7: training on")[0]
    folder = index / "tuning" / "one" / "merged"  # the mixture that was judged
    assert f"the tuned model is in {folder}" in done.stdout
    loading = [line.strip() for line in done.stdout.splitlines()[-2:]]
    assert loading == [
        "from sentence_transformers import SentenceTransformer",
        f"model = SentenceTransformer('{folder}')",
    ]
    loaded: dict = {}
    exec("\n".join(loading), loaded)  # what is printed is what loads it
    assert loaded["model"].encode(["书"]).shape == (1, 32)
    assert f"2 passages for negatives from {pool}" in done.stderr
    assert "the candidate pool is not used" in done.stderr  # the index holds the passages of all of these pairs
    again = quarry(*given, "--settings", settings(1e-7, 1), "--force", "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert (report["promoted"], report["forced"], report["verdict"]["promote"]) == (True, True, False)
    history = quarry("models", "history", index).stdout
    assert "promoted against the verdict" in history
    assert "run one" in history


@pytest.mark.parametrize(
    ("text", "message"),
    [("epochs = 'many'", "epochs: "), ("epoch = 2", "epoch: "), ("epochs = ", "expected TOML with training settings")],
)
def test_settings_that_are_wrong_are_named(index, pairs, tmp_path, text, message):
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    done = quarry("tune", index, "--pairs", pairs, "--settings", path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_usual_names_come_before_the_file_and_the_preset(index, pairs, settings):
    given = ("tune", index, "--pairs", pairs, "--learning-rate", "1e-7", "--batch-size", "32", "--temperature", "0.5")
    done = quarry(*given, "--settings", settings(1e-3, 1), "--run", "named", "--no-promote", "--route", "dense")
    assert done.returncode == 4, done.stderr
    spec = json.loads((index / "tuning" / "named" / "plan.json").read_text(encoding="utf-8"))["spec"]
    assert (spec["learning_rate"], spec["batch_size"], spec["epochs"]) == (1e-7, 32, 1)
    assert spec["loss"]["temperature"] == 0.5
    assert spec["patience"] == 0  # of the file
    wrong = quarry(*given, "--temperature", "7", "--run", "wrong")
    assert wrong.returncode == 1
    assert "temperature" in wrong.stderr


def test_too_few_examples(index):
    done = quarry("tune", index)
    assert done.returncode == 1
    assert "there are 0 examples; expected at least 10" in done.stderr


def test_what_is_missing_for_a_reranker_or_a_language_model_is_said(index, pairs):
    done = quarry("tune", index, "--what", "reranker", "--pairs", pairs)
    assert done.returncode == 1
    assert "there is no reranker to tune" in done.stderr
    assert "--reranker from-encoder" in done.stderr
    done = quarry("tune", index, "--synthetic", "20", "--endpoint-model", "m")
    assert done.returncode == 1
    assert "--synthetic 20 needs an endpoint and a model" in done.stderr
    done = quarry("tune", index, "--personas", "people.jsonl")
    assert done.returncode == 1
    assert "--personas was given without --synthetic" in done.stderr
    assert not (index / "tuning").exists()


def test_json_and_quiet_change_what_is_printed_and_nothing_else(index, pairs):
    given = ("tune", index, "--what", "queries", "--pairs", pairs, "--no-feedback", "--no-promote")
    loud, silent, parsed = (
        quarry(*given, "--run", run, *more) for run, more in (("a", ()), ("b", ("--quiet",)), ("c", ("--json",)))
    )
    assert [done.returncode for done in (silent, parsed)] == [loud.returncode] * 2, parsed.stderr
    assert "step 1 of " in loud.stderr
    assert silent.stderr == ""
    assert "step 1 of " in parsed.stderr
    assert silent.stdout.replace("run b", "run a").replace("/b/", "/a/") == loud.stdout
    assert "run a: " in loud.stdout
    report = json.loads(parsed.stdout)
    assert report["run"] == "c" and report["promoted"] is False
