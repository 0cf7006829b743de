"""`--examples` is obeyed wherever an index is asked: by evaluate, serve and the app, and examples come out of users' own judgements."""

import json

import numpy as np
import pytest

from quarry.app.cli.commands import ui
from quarry.app.server import running
from quarry.app.ui.shared import session
from quarry.indexer.models.few_shot import read_shots
from quarry.indexer.opened import Index
from tests.app.server.serving import answering
from tests.training.in_context.asking import indexed, right, run
from tests.training.in_context.two_readings import HELD, said
from tests.training.tuning.test_embedder import DENSE


@pytest.fixture
def index(trained, files):
    return indexed(files / "index", trained)


def first(answers, letter):
    """Return the share of held-out queries whose first passage is their answer in a reading."""
    return float(np.mean([text.strip() == said(letter, one) for text, one in zip(answers, HELD, strict=True)]))


def passages(index):
    """Return the passages of an index by their texts."""
    chunks = Index.open(index).chunks
    return {chunk.text.strip(): chunk for chunk in chunks.chunks(chunks.digests()[0])}


def test_evaluate_judges_with_the_examples(index, files):
    judged = files / "judged"
    (judged / "qrels").mkdir(parents=True)
    asked = [json.dumps({"_id": f"q{n}", "text": said("n", one)}) for n, one in enumerate(HELD)]
    (judged / "queries.jsonl").write_text("\n".join(asked), encoding="utf-8")
    names = [passages(index)[said("x", one)].doc_id for one in HELD]
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\t{name}\t1" for n, name in enumerate(names))]
    (judged / "qrels" / "test.tsv").write_text("\n".join(lines), encoding="utf-8")
    found = {}
    for letter in "xy":
        given = ["--index", index, "--routes", "dense", "--measures", "nDCG@1", "--device", "cpu", "--json"]
        report = json.loads(run("evaluate", judged, *given, "--examples", files / f"{letter}.jsonl"))
        found[letter] = report["routes"]["dense"]["means"]["nDCG@1"]["value"]
    assert found["x"] > 0.9
    assert found["y"] < 0.1


def test_a_server_answers_with_the_examples(index, files, monkeypatch):
    started = []
    monkeypatch.setattr(running, "run", lambda app, *_, **__: started.append(app))
    run("serve", index, "--rerank", "none", "--device", "cpu", "--port", "0", "--examples", files / "y.jsonl")
    with answering(started[0]) as (client, _):
        bodies = [{"query": said("n", one), "k": 1, "route": "dense"} for one in HELD]
        answers = [client.post("/search", json=body).json()["results"][0]["text"] for body in bodies]
    assert first(answers, "y") > 0.9


def test_the_app_answers_with_the_examples(index, files, monkeypatch):
    begun = []
    monkeypatch.setattr(ui, "become", lambda _, environment: begun.append(environment))
    run("ui", index, "--rerank", "none", "--device", "cpu", "--no-browser", "--examples", files / "y.jsonl")
    for name, value in begun[0].items():
        if name.startswith("QUARRY_UI_"):
            monkeypatch.setenv(name, value)
    searcher = session._live(str(index), "none", "cpu").newest()
    found = [searcher.search(said("n", one), k=1, options=DENSE).results[0].text for one in HELD]
    assert first(found, "y") > 0.9


def test_examples_are_written_out_of_judgements_and_obeyed(index, files):
    found = passages(index)
    for voter, one in enumerate(HELD[:4]):
        given = ["--add", "--query", said("n", one), "--grade", "3", "--session", f"s{voter}"]
        run("feedback", index, *given, "--chunk", found[said("y", one)].chunk_id)
    run("feedback", index, "--write-examples", files / "own.jsonl")
    # the passage as it is embedded, with its title
    assert {(shot.query, shot.response.rpartition("\n")[2]) for shot in read_shots(files / "own.jsonl")} == {
        (said("n", one), said("y", one)) for one in HELD[:4]
    }
    assert right(index, "y", "--examples", files / "own.jsonl") > 0.9
    assert right(index, "x", "--examples", files / "own.jsonl") < 0.1
