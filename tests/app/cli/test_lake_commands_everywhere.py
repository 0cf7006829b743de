"""Every command that reads an index takes a lake, by its folder or by its address on storage that the environment names."""

import asyncio
import json
import os
import subprocess
import sys
from time import monotonic, sleep

import httpx
import pytest

from quarry.indexer.stores.lake import view
from tests.app.running import quarry
from tests.app.server.serving import start
from tests.indexer.lake.storage import BUCKET, endpoint, needs_storage
from tests.training.tiny_model import tiny_model
from tests.training.tuning.test_embedder import rows
from tests.training.tuning.test_reranker import general

__all__ = ["endpoint", "general"]

COUNT = 60


def run(*arguments: object, ends_with: int = 0) -> str:
    done = quarry(*arguments)
    assert done.returncode == ends_with, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["folder", pytest.param("s3", marks=needs_storage)])
def lake(request, tmp_path_factory):
    """The address of a published lake, and a folder of judged queries on it; made by the command line."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "s3":
        request.getfixturevalue("endpoint")
    place = f"s3://{BUCKET}/commands" if request.param == "s3" else str(root / "lake")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(view, "cache_folder", lambda: root / "cache")
        patch.setattr(view, "_EVERY_S", 0.0)
        patch.setenv("QUARRY_CACHE", str(root / "cache"))  # for commands that are processes of their own
        model = tiny_model(root / "model")
        data = root / "set"
        (data / "qrels").mkdir(parents=True)
        asked = rows(COUNT)
        _write(data / "corpus.jsonl", ({"_id": f"d{n}", "text": row.pos[0]} for n, row in enumerate(asked)))
        _write(data / "queries.jsonl", ({"_id": f"q{n}", "text": row.query} for n, row in enumerate(asked)))
        judged = "".join(f"q{n}\td{n}\t1\n" for n in range(COUNT))
        (data / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", "utf-8")
        _write(root / "pairs.jsonl", ({"query": row.query, "pos": list(row.pos), "neg": []} for row in asked))
        assert "conditional puts" in run("lake", "init", place, "--model", model)
        run("lake", "add", place, data / "corpus.jsonl", "--quiet")
        assert f"quarry search {place}" in run("lake", "publish", place, "--quiet")
        yield place, root


def _write(path, rows):
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")


def test_keeping(lake):
    place, _ = lake
    status = json.loads(run("lake", "status", place, "--json"))
    assert (status["lake"], status["documents"], status["to_publish"]) == (place, COUNT, False)
    assert "0 are damaged" in run("lake", "doctor", place)
    assert "0 objects" in run("lake", "clean", place, "--dry-run")
    assert "has no generation before the live one" in quarry("lake", "rollback", place).stderr


def test_search_ask_and_what_describes_an_index(lake):
    place, _ = lake
    query = rows(9)[8].query
    found = json.loads(run("search", place, query, "--json", "--rerank", "none", "-k", 3))
    assert len(found["results"]) == 3
    assert not found["degraded"]
    done = quarry("ask", place, query, "--json")
    assert done.returncode in {0, 3}, done.stderr
    assert json.loads(done.stdout)["question"] == query
    assert f"\nd{COUNT - 1} " in run("documents", place)
    assert "000001" in run("generations", place)
    assert run("why-not", place, query, "d8", "--json")


def test_evaluate(lake):
    place, root = lake
    printed = run("evaluate", place, root / "set", "--routes", "bm25,dense", "--json")
    assert "ndcg@10" in printed.lower()


@pytest.mark.slow
def test_tune_and_rollback(lake, general, monkeypatch):
    place, root = lake
    monkeypatch.setattr("quarry.demo_corpus.general_path", lambda: general)
    given = ("tune", place, "--what", "queries", "--pairs", root / "pairs.jsonl", "--route", "dense", "--run", "first")
    report = json.loads(run(*given, "--force", "--json", "--quiet"))
    assert (report["promoted"], report["generation"]) == (True, "000002")
    assert "questions move as judgements taught" in run("models", "history", place)
    assert "000001 is live" in run("lake", "rollback", place)
    refused = quarry("tune", place, "--pairs", root / "pairs.jsonl")
    assert (refused.returncode, "its embedding model is fixed" in refused.stderr) == (1, True)


@pytest.mark.slow
def test_serve_and_mcp_over_http(lake):
    pytest.importorskip("fastapi")
    pytest.importorskip("mcp")
    from mcp import Client

    place, _ = lake
    query = rows(9)[8].query
    process, url, _ = start(place)
    try:
        answer = httpx.post(f"{url}/search", json={"query": query}, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.json()["results"]
        refused = httpx.post(f"{url}/documents", json={"documents": [{"id": "new", "text": "a zebra"}]})
        assert refused.status_code == 403
    finally:
        process.terminate()
        process.communicate(timeout=60)

    async def asked():
        command = [sys.executable, "-m", "quarry.app.cli", "mcp", place]
        from mcp.client.stdio import StdioServerParameters, stdio_client

        server = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
        async with Client(stdio_client(server)) as session:
            return [tool.name for tool in (await session.list_tools()).tools], await session.call_tool(
                "search", {"query": query}
            )

    names, found = asyncio.run(asked())
    assert "search" in names
    assert not found.is_error
    assert "d8" in found.model_dump_json()


@pytest.mark.slow
def test_ui(lake):
    place, _ = lake
    command = [sys.executable, "-m", "quarry.app.cli", "ui", place, "--port", "0", "--no-browser"]
    environment = {**os.environ, "QUARRY_UI_PASSWORD": ""}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().split()[3]
            until = monotonic() + 60
            while True:
                try:
                    assert httpx.get(url, timeout=5).status_code == 200
                    break
                except httpx.TransportError:
                    assert monotonic() < until, "the pages did not come up"
                    sleep(0.3)
        finally:
            server.terminate()
            server.wait(30)


@needs_storage
def test_an_endpoint_that_is_not_there_is_told_in_one_line(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for command in (("lake", "status"), ("search",)):
        done = quarry(*command, f"s3://{BUCKET}/kb", *(("book",) if command == ("search",) else ()))
        assert done.returncode == 1
        assert "cannot be reached" in done.stderr
        assert "AWS_ENDPOINT_URL" in done.stderr
        assert done.stderr.count("\n") == 1
