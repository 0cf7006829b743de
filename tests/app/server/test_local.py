"""`quarry search` asks a running `quarry serve` on its index: the same answers, and no trust in files that are left behind."""

import json
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

pytest.importorskip("fastapi")

from quarry.app.server.local.carried import carried, received
from quarry.app.server.local.state import RunningServer, _path, announce, announced, withdraw
from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import index_documents
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.retriever.results import Answer
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.app.running import quarry
from tests.app.server.serving import served, small_index, start
from tests.fakes import WordEmbedder

ASKED = "asked the server at"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("QUARRY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def server(tmp_path):
    process, url, _ = start(small_index(tmp_path / "index"), "--rerank", "auto")
    yield process, url
    process.kill()
    process.wait()


def without_times(line):
    answer = json.loads(line)
    answer.pop("milliseconds")
    for stage in answer["stages"]:
        stage.pop("milliseconds")
    return answer


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-k", "1"),
        ("--route", "bm25"),
        ("--filter", "lang=zh"),
        ("--all-copies",),
        ("--rerank-depth", "5"),
    ],
)
def test_a_running_server_gives_the_answer_that_the_command_gives_alone(server, tmp_path, options):
    for query in ("renew books 续借", '"ten books" -library', "zzz"):
        by_server = quarry("search", tmp_path / "index", query, *options, "--json")
        alone = quarry("search", tmp_path / "index", query, *options, "--json", "--no-server")
        assert ASKED in by_server.stderr
        assert ASKED not in alone.stderr
        assert by_server.returncode == alone.returncode == 0
        assert without_times(by_server.stdout) == without_times(alone.stdout)
        as_text = [quarry("search", tmp_path / "index", query, *options, *more) for more in ((), ("--no-server",))]
        assert as_text[0].stdout == as_text[1].stdout


def test_what_only_this_process_can_say_is_said_here(server, tmp_path):
    for options in (("--explain",), ("--generation", "000001"), ("--device", "cpu"), ("--rerank", "none")):
        done = quarry("search", tmp_path / "index", "renew", *options)
        assert (done.returncode, ASKED in done.stderr) == (0, False), options


def test_a_mistake_is_the_same_error_with_a_server(server, tmp_path):
    for query, options in (("", ()), ("renew", ("--filter", "color=red"))):
        found = [quarry("search", tmp_path / "index", query, *options, *more) for more in ((), ("--no-server",))]
        assert (found[0].returncode, found[0].stderr) == (2, found[1].stderr)


def test_an_index_that_was_updated_a_moment_ago_is_searched_as_it_is_now(server, tmp_path):
    for number in range(3):
        index_documents(tmp_path / "index", [Document(f"new{number}.md", f"A zeppelin number{number}.", "", {})], None)
        done = quarry("search", tmp_path / "index", f"number{number}", "--json")
        assert json.loads(done.stdout)["results"][0]["doc_id"] == f"new{number}.md"


def test_a_server_that_ended_takes_its_file_with_it_and_one_that_was_killed_harms_nobody(tmp_path):
    index = small_index(tmp_path / "index")
    process, _, _ = start(index, "--rerank", "auto")
    assert ASKED in quarry("search", index, "renew").stderr
    process.terminate()
    process.wait(30)
    assert not list((tmp_path / "cache" / "servers").iterdir())
    process, _, _ = start(index, "--rerank", "auto")
    process.kill()
    process.wait()
    assert list((tmp_path / "cache" / "servers").iterdir())
    done = quarry("search", index, "renew")
    assert (done.returncode, ASKED in done.stderr, "loans.md" in done.stdout) == (0, False, True)


def test_another_program_on_the_port_of_a_file_gets_neither_question_nor_token(tmp_path):
    index, seen = small_index(tmp_path / "index"), []

    class Impostor(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, dict(self.headers)))
            body = json.dumps({"proof": "0" * 64}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            seen.append((self.path, dict(self.headers)))

        def log_message(self, *_):
            pass

    impostor = HTTPServer(("127.0.0.1", 0), Impostor)
    threading.Thread(target=impostor.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{impostor.server_port}"
    announce(RunningServer(str(index.resolve()), url, "auto", "auto", token="a-token-of-20-letters"))
    try:
        done = quarry("search", index, "renew secretly")
    finally:
        impostor.shutdown()
    assert (done.returncode, ASKED in done.stderr) == (0, False)
    assert len(seen) == 1
    assert seen[0][0].startswith("/local?nonce=")
    assert "a-token-of-20-letters" not in str(seen)
    assert "secretly" not in str(seen)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "0.0.1"},
        {"index": "/elsewhere"},
        {"pid": 2**22 + 1},
        {"pid": -1},
    ],
)
def test_a_file_of_another_version_index_or_process_is_not_believed(tmp_path, change):
    named = RunningServer(str(tmp_path.resolve()), "http://127.0.0.1:9", "auto", "auto")
    announce(named)
    assert announced(tmp_path) == named
    other = replace(named, **change)
    announce(other).replace(_path(tmp_path.resolve()))
    assert announced(tmp_path) is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX's modes")
def test_the_file_is_its_users_own_or_not_believed(tmp_path):
    path = announce(RunningServer(str(tmp_path.resolve()), "http://127.0.0.1:9", "auto", "auto"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    assert announced(tmp_path) is None
    path.chmod(0o600)
    assert announced(tmp_path) is not None
    path.parent.chmod(0o755)
    assert announced(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"index": 1}', "x" * 20_000])
def test_a_damaged_file_is_no_server(tmp_path, content):
    path = announce(RunningServer(str(tmp_path.resolve()), "http://127.0.0.1:9", "auto", "auto"))
    path.write_text(content)
    assert announced(tmp_path) is None
    withdraw(RunningServer(str(tmp_path.resolve()), "http://127.0.0.1:9", "auto", "auto"))
    assert path.exists()  # it is not the file of this server


def test_a_server_with_a_token_is_asked_with_it_and_refuses_others(tmp_path):
    process, url, _ = start(small_index(tmp_path / "index"), "--rerank", "auto", token="0123456789abcdef")
    try:
        assert ASKED in quarry("search", tmp_path / "index", "renew").stderr
        body = {"query": "renew", "k": 1, "options": carried(SearchOptions())}
        assert httpx.post(f"{url}/local/search", json=body).status_code == 401
        assert httpx.get(f"{url}/local?nonce=short").status_code == 422
    finally:
        process.kill()
        process.wait()


def test_a_server_without_a_file_has_nothing_to_prove(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"))) as running:
        assert running.client.get("/local", params={"nonce": "n" * 20}).status_code == 404
        assert running.client.post("/local/search", json={"query": "a", "k": 1, "options": {}}).status_code == 404


@pytest.mark.parametrize(
    "options", [SearchOptions(), SearchOptions(route="dense"), SearchOptions(filters={"lang": ["en"]})]
)
def test_answers_and_options_arrive_as_they_were(tmp_path, options):
    embedder = WordEmbedder()
    searcher = Searcher.open(small_index(tmp_path / "index", embedder), embedder=embedder)
    (answer,) = [searcher.search("renew 续借 books", k=3, options=options)]
    assert received(Answer, json.loads(json.dumps(carried(answer)))) == answer
    assert received(SearchOptions, json.loads(json.dumps(carried(options)))) == options
    inner = Message.of("search.test", "{n:page|pages} of {what}", n=2, what=Message.plain("this"))
    assert str(received(Message, json.loads(json.dumps(carried(inner))))) == "2 pages of this"
