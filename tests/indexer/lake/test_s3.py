"""A lake on S3, of moto's server over HTTP on the loopback: the same answers, conditional puts, and what happens when they are missing."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexBusyError, IndexFormatError, SettingsError
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.keeping import clean, examine, roll_back, status_of
from quarry.indexer.lake.making import Lake, check_conditional_puts
from quarry.indexer.lake.publishing import publish
from quarry.indexer.shards.shard import ShardError
from quarry.indexer.stores.lake import view
from quarry.indexer.stores.lake.layout import read_pointer, replace_pointer
from quarry.indexer.stores.lake.objects import objects_of
from quarry.retriever.searcher import Searcher, SearchOptions
from tests import ROOT
from tests.fakes import WordEmbedder
from tests.indexer.lake.lakes import SPEC, filled_lake, new_lake, write_corpus
from tests.indexer.lake.storage import BUCKET, endpoint, free_port, needs_storage

__all__ = ["endpoint"]

pytestmark = needs_storage


@pytest.fixture
def place(endpoint, request, tmp_path, monkeypatch):
    """An address of its own for each test; views go into the test's folder."""
    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(view, "_EVERY_S", 0.0)
    return f"s3://{BUCKET}/{request.node.name[:40]}"


def test_a_lake_on_s3_answers_as_an_index_of_the_same_documents(place, tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    filled_lake(place, corpus)
    build_index(tmp_path / "index", [corpus], WordEmbedder(), BuildOptions(chunking=SPEC, rerank_vectors=False))
    one, other = (Searcher.open(where, embedder=WordEmbedder(), rerank="none") for where in (tmp_path / "index", place))
    for question in ("renew a book", "续借图书", '"loan fine"', "printer -filament"):
        for route in ("bm25", "dense", "hybrid"):
            for filters in (None, {"lang": "zh"}, {"price": "<10"}):
                options = SearchOptions(route=route, filters=filters)
                mine, theirs = (searcher.search(question, 10, options).results for searcher in (one, other))
                assert [hit.chunk_id for hit in mine] == [hit.chunk_id for hit in theirs], (question, route, filters)


def test_the_pointer_is_replaced_only_by_who_has_seen_it(place, tmp_path):
    lake = new_lake(place, WordEmbedder())
    pointer, before = read_pointer(lake.objects)
    replace_pointer(lake.objects, pointer.model_copy(update={"generation": "000001"}), before)
    with pytest.raises(IndexBusyError, match="was changed by another process"):
        replace_pointer(lake.objects, pointer.model_copy(update={"generation": "000002"}), before)
    assert read_pointer(lake.objects)[0].generation == "000001"


def test_a_reader_follows_and_clean_leaves_it_its_files(place, tmp_path):
    embedder = WordEmbedder()
    lake = filled_lake(place, write_corpus(tmp_path / "corpus", files=6))
    reader = Searcher.open(place, embedder=embedder, rerank="none")
    add_to_lake(lake, [write_corpus(tmp_path / "more", files=3, seed=8)], embedder)
    publish(lake, embedder)
    lake.objects.write("generations/000077/passages.lance/data/half.lance", b"x")
    assert clean(lake).objects == ()  # all is younger than a day
    found = clean(lake, hours=0, keep=1)
    assert found.generations == ("000077",)
    assert reader.search("renew a book", 5).results
    assert reader.newest().index.generation == "000002"
    assert roll_back(lake).generation == "000001"
    assert all(finding is None for finding in examine(lake))
    assert status_of(lake).to_publish


def test_a_damaged_shard_is_refused_by_name(place, tmp_path):
    embedder = WordEmbedder()
    lake = new_lake(place, embedder)
    add_to_lake(lake, [write_corpus(tmp_path / "corpus", files=6)], embedder)
    name = next(each.name for each in lake.objects.names("shards") if ".names." in each.name)
    content = bytearray(lake.objects.read(name).content)
    content[-9] ^= 1
    lake.objects.write(name, bytes(content))
    with pytest.raises(ShardError, match=name):
        publish(lake, embedder)
    assert read_pointer(lake.objects)[0].generation == ""


def test_a_publish_that_is_killed_at_any_point_leaves_what_is_live(place, tmp_path):
    embedder = WordEmbedder()
    lake = filled_lake(place, write_corpus(tmp_path / "corpus", files=6))
    add_to_lake(lake, [write_corpus(tmp_path / "more", files=3, seed=8)], embedder)
    events = int(_published(place, 10_000, "dry"))
    for point in np.linspace(1, events, 10, dtype=int).tolist():
        assert _published(place, point, "kill") == ""
        assert Searcher.open(place, embedder=embedder, rerank="none").index.manifest.documents == 36
    assert publish(lake, embedder).documents == 69
    assert len(clean(lake, hours=0, keep=0).generations) >= 10
    assert all(finding is None for finding in examine(lake))


def _published(place: str, point: int, how: str) -> str:
    arguments = [sys.executable, "-m", "tests.indexer.lake.killed", place, str(point), how]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False, env=dict(os.environ))
    assert done.returncode == (0 if how == "dry" else -9), done.stderr[-2000:]
    return done.stdout.strip()


class Forgetful(BaseHTTPRequestHandler):
    """Hands requests on without their conditions, as stores do that know none."""

    behind = ""

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        left_out = {"if-none-match", "if-match", "host", "connection", "accept-encoding"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
        asked = urllib.request.Request(self.behind + self.path, body or None, headers, method=self.command)
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                status, facts, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as err:
            status, facts, content = err.code, err.headers, err.read()
        self.send_response(status)
        for name, value in facts.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "server", "date"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = _hand_on

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_storage_that_drops_conditions_is_refused(endpoint, monkeypatch):
    monkeypatch.setattr(Forgetful, "behind", endpoint)
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_address[1]}")
            with pytest.raises(SettingsError, match="does not keep conditional puts"):
                check_conditional_puts(objects_of(f"s3://{BUCKET}/forgetful"))
        finally:
            proxy.shutdown()


def test_a_bucket_that_does_not_exist_or_answer_is_an_error_with_what_to_check(endpoint, monkeypatch):
    with pytest.raises(IndexFormatError):
        Lake.open("s3://no-such-bucket-here/kb")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(IndexFormatError, match=r"cannot be reached.*AWS_ENDPOINT_URL"):
        Lake.open(f"s3://{BUCKET}/kb")
