"""`quarry lake` from the command line: a lake in a folder from nothing to answers, and the reading commands on it."""

import json

import pytest

from quarry.indexer.stores.lake import view
from tests.app.running import quarry
from tests.indexer.lake.lakes import write_corpus
from tests.training.tiny_model import tiny_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "cache")


def run(*arguments: object) -> str:
    done = quarry(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_lake_is_made_filled_published_searched_rolled_back_and_cleaned(tmp_path):
    model, corpus, lake = tiny_model(tmp_path / "model"), write_corpus(tmp_path / "corpus", files=8), tmp_path / "lake"
    assert "conditional puts" in run("lake", "init", lake, "--model", model, "--chunk-tokens", 64, "--overlap", 16)
    added = json.loads(run("lake", "add", lake, corpus, "--quiet", "--json"))
    assert (added["documents"], added["kept"]) == (38, 0)
    assert f"quarry search {lake}" in run("lake", "publish", lake, "--quiet")

    status = json.loads(run("lake", "status", lake, "--json"))
    assert (status["generation"], status["documents"], status["to_publish"]) == ("000001", 38, False)
    assert "000001 is live: 38 documents" in run("lake", "status", lake)
    found = json.loads(run("search", lake, "renew a book", "--json", "--rerank", "none", "-k", 3))
    assert len(found["results"]) == 3
    assert not found["degraded"]
    explained = run("search", lake, "renew 续借", "--explain", "--rerank", "none")
    assert "terms: " in explained
    answered = quarry("ask", lake, "when is a book renewed?", "--json")
    assert answered.returncode == 3, answered.stderr  # words drawn at random answer nothing
    assert json.loads(answered.stdout)["refused"]

    write_corpus(tmp_path / "more", files=3, seed=8)
    run("lake", "add", lake, tmp_path / "more", "--quiet")
    assert "Next: quarry lake publish" in run("lake", "status", lake)
    run("lake", "publish", lake, "--quiet")
    assert json.loads(run("search", lake, "book", "--json", "--rerank", "none"))["generation"] == "000002"
    assert "000001 is live" in run("lake", "rollback", lake)
    assert json.loads(run("search", lake, "book", "--json", "--rerank", "none"))["generation"] == "000001"
    assert "0 are damaged" in run("lake", "doctor", lake)
    assert "0 objects" in run("lake", "clean", lake, "--dry-run")


def test_evaluate_takes_a_lake(tmp_path):
    model, lake = tiny_model(tmp_path / "model"), tmp_path / "lake"
    rows = [{"_id": f"d{number}", "text": f"the shelf {number} holds books"} for number in range(12)]
    data = tmp_path / "set"
    (data / "qrels").mkdir(parents=True)
    (data / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    (data / "queries.jsonl").write_text('{"_id": "q", "text": "shelf 7"}\n', "utf-8")
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td7\t1\n", "utf-8")
    run("lake", "init", lake, "--model", model)
    run("lake", "add", lake, data, "--quiet")
    run("lake", "publish", lake, "--quiet")
    done = quarry("evaluate", lake, data, "--routes", "bm25", "--json")
    assert done.returncode == 0, done.stderr
    assert "ndcg@10" in done.stdout.lower()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("publish", "docs"), "takes no PATHS"),
        (("status", "--model", "auto"), "--model belongs to init"),
        (("add",), "requires PATHS"),
        (("add", "docs", "--dry-run"), "--dry-run belongs to clean"),
        (("clean", "--hours", "0.5"), "greater than or equal to 1"),
    ],
)
def test_options_of_another_action_are_usage_errors(tmp_path, arguments, words):
    action, *rest = arguments
    done = quarry("lake", action, tmp_path / "lake", *rest)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())


def test_what_is_no_lake_is_an_error_with_the_command_to_run(tmp_path):
    done = quarry("lake", "status", tmp_path / "nothing")
    assert (done.returncode, "quarry lake init" in done.stderr) == (1, True)
    done = quarry("lake", "init", "gs://bucket/kb", "--model", tiny_model(tmp_path / "model"))
    assert (done.returncode, "not supported" in done.stderr) == (1, True)


def test_doctor_ends_with_1_when_a_shard_is_damaged(tmp_path):
    model, corpus, lake = tiny_model(tmp_path / "model"), write_corpus(tmp_path / "corpus", files=4), tmp_path / "lake"
    run("lake", "init", lake, "--model", model)
    run("lake", "add", lake, corpus, "--quiet")
    damaged = next((lake / "shards").glob("*.passages.*"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    done = quarry("lake", "doctor", lake, "--json")
    assert done.returncode == 1
    assert damaged.name in json.loads(done.stdout)["wrong"][0]


def test_an_index_is_not_built_into_a_lake(tmp_path):
    model, corpus, lake = tiny_model(tmp_path / "model"), write_corpus(tmp_path / "corpus", files=4), tmp_path / "lake"
    run("lake", "init", lake, "--model", model)
    for place in (lake, "s3://bucket/kb"):
        done = quarry("index", corpus, "--into", place, "--model", model)
        assert (done.returncode, "quarry lake add" in done.stderr) == (1, True)
