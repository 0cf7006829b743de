"""A real server on a free port: in a thread of the tests with fakes for models, or `quarry serve` as a process."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from quarry.app.server.application import create_app
from quarry.app.server.services import Services
from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from tests.fakes import WordEmbedder

DOCUMENTS = [
    Document("loans.md", "Borrow ten books for thirty days. Renew books twice online.", "Loans", {"lang": "en"}),
    Document("hours.md", "The library opens at nine and closes at eight. It is closed on Mondays.", "", {"lang": "en"}),
    Document("借书.md", "每位读者可以借十本书，可以在网上续借两次。", "借书", {"lang": "zh"}),
]


def small_index(folder: Path, embedder: WordEmbedder | None = None) -> Path:
    index_documents(folder, DOCUMENTS, embedder)
    return folder


@dataclass
class Served:
    url: str
    services: Services
    client: httpx.Client
    server: uvicorn.Server


@contextmanager
def served(settings: ServeOptions, embedder=None, reranker=None, work=None) -> Iterator[Served]:
    services = Services.open(replace(settings, poll_s=0.05), embedder=embedder, reranker=reranker)
    if work is not None:
        work(services)
    with answering(create_app(services)) as (client, server):
        yield Served(str(client.base_url).rstrip("/"), services, client, server)


@contextmanager
def answering(app: FastAPI) -> Iterator[tuple[httpx.Client, uvicorn.Server]]:
    """Run an application on a free port."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client, server
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def limit_files(process: subprocess.Popen, count: int) -> None:
    """Let a process open so many files; not by this process's own limit, which may have more of them open already."""
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (count, count))


def start(
    index: Path, *flags: str, token: str = "", threads: str = "1", files: int = 0
) -> tuple[subprocess.Popen, str, str]:
    """Start the command, which may open so many files; returns the process, its address, and the rest of what it printed until then."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": threads, "QUARRY_TOKEN": token}
    if not threads:
        del environment["OMP_NUM_THREADS"]
    command = [sys.executable, "-m", "quarry.app.cli", "serve", str(index), "--port", "0", "--rerank", "none", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    if files:
        limit_files(process, files)
    line = process.stdout.readline()
    if "answers at" not in line:
        process.kill()
        raise AssertionError(line + process.stderr.read())
    url = line.split("answers at ")[1].split(" ")[0]
    printed = process.stdout.readline() if "0.0.0.0" in flags and not token else ""
    for _ in range(200):
        try:
            httpx.get(f"{url}/health", timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return process, url, printed
    raise AssertionError("the server does not answer")


def finished(client: httpx.Client, job: str, seconds: float = 30) -> dict:
    end = time.monotonic() + seconds
    while True:
        state = client.get(f"/documents/jobs/{job}").json()
        if state["state"] != "queued" or time.monotonic() > end:
            return state
        time.sleep(0.02)


def problem(answer: httpx.Response, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["found"]
    assert error["expected"]
    assert error["do"]
    return error
