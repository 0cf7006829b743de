"""A model card that is written is used: huggingface_hub parses it, and every snippet of its usage runs on the model folder."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from quarry.indexer.models.encoder import load_embedder
from quarry.retriever.benchmark.results.card_text import model_card
from quarry.retriever.benchmark.results.stored import read_results
from quarry.retriever.benchmark.run import run_benchmark
from quarry.retriever.benchmark.tasks.choices import chosen
from quarry.training.fit.models.model_folder import write_tuned
from quarry.training.fit.models.trainable import open_trainable
from quarry.training.fit.spec import TrainSpec
from tests import ROOT
from tests.indexer.models.tiny_models import make_model
from tests.retriever.benchmark import native_data as made

pytest.importorskip("mteb")

TASKS = "T2Retrieval,T2Reranking,STSBenchmark,Ocnli,Banking77Classification,CLSClusteringS2S,SummEvalSummarization.v2"
KINDS = {"Retrieval", "Reranking", "STS", "PairClassification", "Classification", "Clustering", "Summarization"}
TEXTS = ["how to renew a book", "图书馆的书"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tuned model with its card: seven kinds of mteb's tasks, scored by the model itself."""
    base = tmp_path_factory.mktemp("card")
    model = base / "my-model"
    record = {
        "base": {"model": "tests/base", "revision": "1"},
        "rows": 12,
        "rows_digest": "ab",
        "steps": 3,
        "dev_digest": "cd",
    }
    trainable = open_trainable(
        make_model(base / "base", "bert"), TrainSpec(), model_id="intfloat/multilingual-e5-small", device="cpu"
    )
    write_tuned(trainable, model, digest="ef", record=record)
    data = made.write_everything(base / "data")
    embedder = load_embedder(model, device="cpu:float32")
    list(run_benchmark(embedder, chosen(TASKS, data).choices, base / "results"))
    card = model_card(model, read_results(base / "results"))
    (model / "README.md").write_text(card.text(), encoding="utf-8")
    return model


def snippets(folder, language):
    """Return the code of the card by the heading above it."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    found = re.findall(rf"^([\w-]+):\n\n```{language}\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    return {name: code.replace("FOLDER", str(folder)) for name, code in found}


def run(code, folder):
    env = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    found = subprocess.run(
        command, capture_output=True, text=True, env=env, timeout=300, cwd=folder.parent, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]
    return np.array(json.loads(found.stdout.splitlines()[-1]))


def test_the_card_is_parsed_by_the_hubs_own_library_with_every_score(folder):
    from huggingface_hub import ModelCard

    card = ModelCard.load(folder / "README.md")
    results = card.data.eval_results
    assert {each.task_type for each in results} == KINDS
    assert {each.dataset_name.removeprefix("MTEB ") for each in results} == set(TASKS.split(","))
    assert all(isinstance(each.metric_value, float) for each in results)
    stored = {each.task: each for each in read_results(folder.parent / "results")}
    (found,) = (
        each.metric_value
        for each in results
        if each.dataset_name == "MTEB T2Retrieval" and each.metric_type == "ndcg_at_10"
    )
    assert found == pytest.approx(next(stored["T2Retrieval"].task_scores()).score)
    assert card.data.base_model == "tests/base"
    assert card.data.library_name == "sentence-transformers"
    for told in (
        "digest of their content (first 16 digits) `ab`",
        "base model `tests/base`, revision `1`",
        "## Limits",
        "at most",
    ):
        assert told in card.text


def test_the_snippets_in_python_run_and_give_the_same_vectors(folder):
    found = snippets(folder, "python")
    assert list(found) == ["sentence-transformers", "transformers", "FlagEmbedding"]
    tail = "\nimport json; print(json.dumps(queries.tolist()))"
    ours = load_embedder(folder, device="cpu:float32").embed_queries(TEXTS)
    code = found["sentence-transformers"].replace('["..."]', repr(TEXTS))
    np.testing.assert_allclose(run(code + tail, folder), ours, atol=1e-5)
    assert '"..."' in found["transformers"]
    code = found["transformers"].replace('"..."', repr(TEXTS[0]))
    np.testing.assert_allclose(run(code + "\nqueries = vectors" + tail, folder), ours[:1], atol=1e-5)


def test_the_snippet_for_flag_embedding_is_python(folder):
    """It is run where the package can be imported; it needs an older transformers than the other packages have here."""
    code = snippets(folder, "python")["FlagEmbedding"]
    compile(code, "card", "exec")
    probe = subprocess.run([sys.executable, "-c", "import FlagEmbedding"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("FlagEmbedding is not installed, or does not work with this transformers")
    tail = "\nimport json; print(json.dumps(queries.tolist()))"
    ours = load_embedder(folder, device="cpu:float32").embed_queries(TEXTS)
    np.testing.assert_allclose(run(code.replace('["..."]', repr(TEXTS)) + tail, folder), ours, atol=1e-2)


def test_the_commands_of_quarry_run(folder, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "note.md").write_text("# Loans\n\nHow to renew a book of the library.\n")
    commands = snippets(folder, "bash")["Quarry"].strip().splitlines()
    assert [line.split()[:2] for line in commands] == [["quarry", "index"], ["quarry", "search"]]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    for line in commands:
        words = line.replace('"..."', "renew").split()[1:]
        found = subprocess.run(
            [sys.executable, "-m", "quarry.app.cli", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=env,
            timeout=300,
            check=False,
        )
        assert found.returncode == 0, found.stderr
    assert "note.md" in found.stdout
