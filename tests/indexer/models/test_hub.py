"""The hub: an answer in seconds whatever it does, and safetensors only. The hub here is a real HTTP server that misbehaves."""

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import perf_counter

import huggingface_hub
import pytest

from quarry.indexer.errors import ModelError
from quarry.indexer.models import hub
from quarry.indexer.models.source import DOWNLOADED, resolve_model
from tests.indexer.models.tiny_models import make_model

SHA = "a" * 40


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # read once at import; CI sets it


class Hub(ThreadingHTTPServer):
    """Serves `files` as the repository of every id; `fault` says what goes wrong after the probe."""

    daemon_threads = True

    def __init__(self, files, fault=""):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.fault, self.asked, self.status = files, fault, [], 200
        self.over = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that gave up is not of interest."""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def reply(self, content, **headers):
        self.send_response(200)
        for name, value in {"Content-Length": len(content), "X-Repo-Commit": SHA, "ETag": '"1"', **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_GET(self):
        self.server.asked.append(f"{self.command} {self.path}")
        if self.path == "/":
            return self.send_error(self.server.status) if self.server.status != 200 else self.reply(b"")
        if self.server.fault == "stalls":
            return self.server.over.wait(30)
        if self.server.fault == "drops":
            return self.connection.shutdown(socket.SHUT_RDWR)
        if self.server.fault == "page":
            return self.reply(b"<html>Please log in</html>")
        files = self.server.files
        if "/tree/" in self.path:
            tree = [
                {"type": "file", "path": n, "size": len(c), "oid": f"{i:040}"} for i, (n, c) in enumerate(files.items())
            ]
            return self.reply(json.dumps(tree).encode(), **{"Content-Type": "application/json"})
        if self.path.startswith("/api/models/"):
            facts = {"_id": "1", "id": self.path[12:], "sha": SHA, "siblings": [{"rfilename": name} for name in files]}
            return self.reply(json.dumps(facts).encode(), **{"Content-Type": "application/json"})
        name = self.path.partition(f"/resolve/{SHA}/")[2]
        if self.server.fault == "cut" and name == "model.safetensors" and self.command == "GET":
            self.reply(files[name][: len(files[name]) // 2], **{"Content-Length": len(files[name])})
            return self.connection.shutdown(socket.SHUT_RDWR)
        return self.reply(files[name], ETag=f'"{list(files).index(name):040}"')

    do_HEAD = do_GET


@pytest.fixture
def serve(monkeypatch):
    servers = []

    def start(files, fault=""):
        servers.append(Hub(files, fault))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{servers[-1].server_port}")
        return servers[-1]

    yield start
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


def model_files(tmp_path):
    folder = make_model(tmp_path / "made", "bert")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_download_takes_what_is_needed_into_the_cache_and_no_pickle(tmp_path, serve):
    wanted = model_files(tmp_path)
    server = serve({**wanted, "pytorch_model.bin": b"pickle", "onnx/config.json": b"{}", "README.md": b"#"})
    source = resolve_model("BAAI/bge-small-zh-v1.5", allow_download=True)
    assert (source.origin, source.revision, source.model) == ("hub", SHA, "BAAI/bge-small-zh-v1.5")
    assert source.folder == tmp_path / "hub" / "models--BAAI--bge-small-zh-v1.5" / "snapshots" / SHA
    assert {
        p.relative_to(source.folder).as_posix(): p.read_bytes() for p in source.folder.rglob("*") if p.is_file()
    } == wanted
    assert not [line for line in server.asked if "pytorch_model" in line or "onnx" in line]
    assert tuple(map(str, source.trail)) == (
        "BAAI/bge-small-zh-v1.5 is not in the local model cache",
        "using BAAI/bge-small-zh-v1.5, downloaded from the model hub",
    )
    asked = len(server.asked)
    assert resolve_model("BAAI/bge-small-zh-v1.5", allow_download=True).origin == "cache"
    assert len(server.asked) == asked


def test_auto_downloads_a_model_of_both_languages(tmp_path, serve):
    serve(model_files(tmp_path))
    source = resolve_model("auto", allow_download=True)
    assert (source.model, source.origin) == (DOWNLOADED["embedder"], "hub")
    assert str(source.trail[0]).startswith("none of BAAI/bge-m3, ")


def test_nothing_is_asked_without_leave(tmp_path, serve):
    server = serve(model_files(tmp_path))
    with pytest.raises(ModelError, match="Allow a download with --download"):
        resolve_model("BAAI/bge-m3")
    resolve_model("auto", kind="reranker")
    assert server.asked == []


def test_a_repository_of_pickles_is_refused_before_it_is_downloaded(serve):
    server = serve({"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(
        ModelError, match=r"has no \*.safetensors on the hub.*Save it as safetensors where you trust it"
    ):
        resolve_model("BAAI/bge-m3", allow_download=True)
    assert not [line for line in server.asked if "/resolve/" in line]


def test_a_repository_without_a_tokenizer_is_not_taken(tmp_path, serve):
    serve(
        {
            name: c
            for name, c in model_files(tmp_path).items()
            if name not in ("tokenizer.json", "tokenizer_config.json")
        }
    )
    with pytest.raises(ModelError, match="the downloaded BAAI/bge-m3 is incomplete: .* has no tokenizer"):
        resolve_model("BAAI/bge-m3", allow_download=True)


@pytest.mark.parametrize("fault", ["drops", "stalls", "page"])
def test_a_hub_that_fails_after_the_probe_is_a_sentence_and_costs_seconds(serve, fault):
    serve({}, fault)
    started = perf_counter()
    with pytest.raises(ModelError, match="the model hub at 127.0.0.1 gives no file list of BAAI/bge-m3"):
        resolve_model("BAAI/bge-m3", allow_download=True)
    assert perf_counter() - started < 10


@pytest.mark.parametrize("status", [403, 405, 500])
def test_an_error_status_is_an_answer(tmp_path, serve, status):
    """A proxy or mirror may refuse HEAD, or its front page, and serve models all the same."""
    server = serve(model_files(tmp_path))
    server.status = status
    assert hub.probe(f"http://127.0.0.1:{server.server_port}", 3.0) is None
    assert resolve_model("BAAI/bge-small-zh-v1.5", allow_download=True).origin == "hub"


def test_a_connection_lost_in_the_middle_of_a_download_leaves_no_model_and_costs_seconds(tmp_path, serve):
    server = serve(model_files(tmp_path), "cut")
    started = perf_counter()
    with pytest.raises(ModelError, match=r"BAAI/bge-m3 could not be downloaded \(") as raised:
        resolve_model("BAAI/bge-m3", allow_download=True)
    assert perf_counter() - started < 30
    assert "\n" not in str(raised.value)
    with pytest.raises(ModelError, match="the cached BAAI/bge-m3 is incomplete"):
        resolve_model("BAAI/bge-m3")
    server.fault = ""
    source = resolve_model("BAAI/bge-m3", allow_download=True)
    assert source.origin == "hub"
    assert (source.folder / "model.safetensors").read_bytes() == server.files["model.safetensors"]


@pytest.mark.parametrize("kind", ["refused", "silent", "not http"])
def test_an_unreachable_hub_costs_seconds(monkeypatch, kind):
    server = socket.create_server(("127.0.0.1", 0))  # silent: connects by its backlog, and nobody ever answers
    endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    if kind == "refused":
        server.close()
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc" if kind == "not http" else endpoint)
    started = perf_counter()
    with pytest.raises(ModelError, match="the model hub does not answer at"):
        resolve_model("BAAI/bge-m3", allow_download=True)
    assert perf_counter() - started < 10
    server.close()


def test_the_probes_limit_holds_for_a_host_that_drips(monkeypatch):
    """A socket timeout starts anew with every byte; the thread's limit does not."""
    server = socket.create_server(("127.0.0.1", 0))

    def drip():
        peer, _ = server.accept()
        try:
            for _ in range(100):
                peer.sendall(b"H")
                time.sleep(0.1)
        except OSError:
            return

    threading.Thread(target=drip, daemon=True).start()
    started = perf_counter()
    assert str(hub.probe(f"http://127.0.0.1:{server.getsockname()[1]}", 1.0)) == "no answer within 1 s"
    assert perf_counter() - started < 2
    server.close()


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_the_offline_switches_hold_even_when_set_after_the_import(tmp_path, serve, monkeypatch, name):
    server = serve(model_files(tmp_path))
    monkeypatch.setenv(name, "true")
    with pytest.raises(ModelError, match=f"{name} is set, so the model hub is not asked"):
        resolve_model("BAAI/bge-m3", allow_download=True)
    assert server.asked == []


def test_an_error_without_a_message_is_still_a_sentence():
    assert hub._brief(TimeoutError()) == "TimeoutError: "
