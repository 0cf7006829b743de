"""`quarry index --watch` as real processes: what it prints, how it ends, and that kill -9 costs nothing."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from quarry.indexer.errors import SearchError
from quarry.indexer.opened import Index
from quarry.indexer.storage.generations import Generations
from quarry.retriever.searcher import Searcher
from tests.app.cli.watched_folders import Editor, assert_like_built_from_nothing, run_command, wait_for
from tests.app.running import quarry
from tests.sizes import KILLS

pytestmark = pytest.mark.slow
_PROCESSES = multiprocessing.get_context("forkserver")  # a fork of a warm process costs no start of Python
_PROCESSES.set_forkserver_preload(["tests.app.cli.watched_folders", "quarry.app.cli.watching", "watchfiles", "bm25s"])


class Command:
    """The command in a process of its own, with what it printed."""

    def __init__(self, folder, index, *flags):
        self.err = folder / f"err{len(list(folder.glob('err*')))}"
        arguments = [
            "index",
            str(folder / "docs"),
            "--into",
            str(index),
            "--watch",
            "--model",
            "none",
            "--analyzer",
            "bigram",
            *flags,
        ]
        self.process = _PROCESSES.Process(target=run_command, args=(arguments, str(self.err)), daemon=True)
        self.process.start()

    def out(self):
        path = self.err.with_name(self.err.name + ".out")
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def end(self, number=signal.SIGTERM):
        os.kill(self.process.pid, number)
        self.process.join(60)
        return self.process.exitcode


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Zebra\n\nA zebra renews a loan.", encoding="utf-8")
    (folder / "斑马.md").write_text("# 斑马\n\n斑马在图书馆续借。", encoding="utf-8")
    return folder


def test_lines_and_a_clean_end(tmp_path, docs):
    index = tmp_path / "index"
    command = Command(tmp_path, index)
    wait_for(lambda: "2 added, 0 changed, 0 removed, 0 unchanged; 0 passages encoded" in command.out())
    (docs / "b.txt").write_text("历史 history", encoding="utf-8")
    (docs / "blank.txt").write_text(" ", encoding="utf-8")
    wait_for(lambda: "generation 000002: 1 added, 0 changed, 0 removed, 2 unchanged; 1 skipped;" in command.out())
    assert command.end(signal.SIGINT) == 0
    said = command.err.read_text(encoding="utf-8")
    assert f"watching {docs}; press Ctrl-C to stop" in said
    assert "blank.txt: no text:" in said
    assert said.splitlines()[-1].endswith("stopped; the index stays usable, and the same command resumes from here")
    assert [hit.doc_id for hit in Searcher.open(index).search("历史", 1).results] == ["docs/b.txt"]


def test_one_json_object_for_each_round(tmp_path, docs):
    command = Command(tmp_path, tmp_path / "index", "--json", "--poll", "0.2")
    wait_for(lambda: command.out().count("\n") == 1)
    (docs / "a.md").unlink()
    wait_for(lambda: command.out().count("\n") == 2)
    assert command.end() == 0
    first, second = map(json.loads, command.out().splitlines())
    assert (first["round"], first["added"], first["generation"], first["model"]) == (1, 2, "000001", "")
    assert (second["round"], second["removed"], second["switched"], second["skipped"]) == (2, 1, True, [])


def test_a_second_writer_waits(tmp_path, docs):
    index = tmp_path / "index"
    command = Command(tmp_path, index)
    wait_for(lambda: "2 added" in command.out())
    other = tmp_path / "other"
    other.mkdir()
    for number in range(30):  # both write the same index at once
        (docs / f"n{number}.txt").write_text(f"zebra {number}", encoding="utf-8")
        (other / f"m{number}.txt").write_text(f"library {number}", encoding="utf-8")
        if number % 10 == 0:
            done = quarry("index", other, "--into", index, "--model", "none", "-q")
            assert done.returncode == 0 or "is being written by" in done.stderr
    wait_for(lambda: quarry("index", other, "--into", index, "--model", "none", "-q").returncode == 0)
    wait_for(lambda: Index.open(index).manifest.documents == 62)
    assert command.end() == 0


def test_wrong_use(tmp_path, docs):
    for flags in (["--poll", "1"], ["--watch", "--strict"]):
        done = quarry("index", docs, "--into", tmp_path / "index", *flags)
        assert done.returncode == 2
        assert "--poll requires --watch" in done.stderr


def test_kill_9_at_random_moments(tmp_path, docs):
    index, kills, editor, rng = tmp_path / "index", KILLS // 2, Editor(docs, 7), random.Random(7)
    for number in range(60):
        (docs / f"more{number}.txt").write_text(f"zebra 斑马 {number} " * 200, encoding="utf-8")
    build_s, opened = 1.0, 0
    for number in range(kills):
        for _ in range(rng.randint(1, 6)):
            editor.once()
        command = Command(tmp_path, index)
        if number % 4 == 0:  # now and then a round is let through, and its edits are killed in the next
            began = time.monotonic()
            wait_for(lambda: "generation" in command.out())  # noqa: B023 (called in this round)
            build_s = time.monotonic() - began
            editor.once()
        time.sleep(1.0 + rng.random() * build_s)  # it waits a second for the files to rest
        command.process.kill()
        command.process.join()
        assert command.process.exitcode == -9
        try:
            found = Index.open(index)
        except SearchError as err:
            assert not opened, err
        else:
            opened += 1
            assert len(found.lexical) == found.manifest.chunks == found.chunks.counts()[1]
            assert found.manifest.damage(found.folder, hashes=True) == []
    assert opened > kills * 3 / 4
    command = Command(tmp_path, index)
    wait_for(lambda: "generation" in command.out())
    assert command.end() == 0
    assert_like_built_from_nothing(index, tmp_path / "fresh", docs)
    assert len(Generations(index).finished()) <= 4  # the killed ones left nothing behind
    assert [path.name for path in (index / "generations").iterdir() if path.name.startswith(".")] == []


def test_a_real_process_picks_up_a_file_and_a_server_answers_with_it(tmp_path, docs):
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    import threading

    from tests.app.server.serving import start

    index = tmp_path / "index"
    command = [
        sys.executable,
        "-m",
        "quarry.app.cli",
        "index",
        str(docs),
        "--into",
        str(index),
        "--watch",
        "--model",
        "none",
    ]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    errors, stop, answered = [], threading.Event(), []
    try:
        assert "2 added" in watching.stdout.readline()
        server, url, _ = start(index)
        drain = threading.Thread(target=server.stderr.read, daemon=True)
        drain.start()

        def ask():
            with httpx.Client(base_url=url, timeout=60) as client:
                while not stop.is_set():
                    answer = client.post("/search", json={"query": "zebra 斑马"})
                    (answered if answer.status_code == 200 and answer.json()["results"] else errors).append(answer.text)

        def found(number):
            answer = httpx.post(f"{url}/search", json={"query": f"quagga{number}"}, timeout=60)
            return f"quagga{number}.md" in answer.text

        clients = [threading.Thread(target=ask) for _ in range(2)]
        for client in clients:
            client.start()
        try:
            for number in range(4):
                (docs / f"quagga{number}.md").write_text(f"quagga{number} 斑驴{number} is a zebra", encoding="utf-8")
                wait_for(partial(found, number))
        finally:
            stop.set()
            for client in clients:
                client.join()
            server.terminate()
            server.wait(30)
        assert errors == []
        assert len(answered) > 10
    finally:
        watching.terminate()
        assert watching.wait(60) == 0
        watching.stdout.close()
