"""An index that this user may not write or read, by permissions and on a disk mounted read-only: searched, explained, never called damaged."""

import shlex
import subprocess
import sys
import time

import pytest

from tests.app.server.serving import small_index
from tests.powerless import drop_powers, quarry, read_only, unreadable

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="permissions of Linux")]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return small_index(tmp_path_factory.mktemp("access") / "index")


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    (folder / "new.txt").write_text("A new book can be borrowed.")
    return folder


def served_read_only(index):
    """Start `serve --read-only`; returns the process and its address."""
    command = [sys.executable, "-m", "quarry", "serve", str(index), "--read-only", "--port", "0", "--rerank", "none"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=drop_powers)  # noqa: PLW1509 (no threads)
    line = process.stdout.readline()
    assert "answers at " in line
    return process, line.split("answers at ")[1].split(" ")[0]


def test_a_read_only_index_is_searched_and_nothing_is_written(index, documents):
    before = sorted(index.rglob("*"))
    with read_only(index):
        found = quarry("search", index, "renew books")
        assert found.returncode == 0, found.stderr
        assert "loans.md" in found.stdout
        assert quarry("doctor", index).returncode == 0
        for command in (
            ("index", documents, "--into", index, "--model", "none"),
            ("generations", index, "--rollback"),
            ("compact", index),
            ("serve", index, "--port", "0", "--rerank", "none"),
        ):
            refused = quarry(*command)
            assert refused.returncode == 1, command
            (line,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
            assert "may not be opened by this user" in line
            assert "nothing is damaged" in line
            assert "rollback" not in line.lower().partition("nothing")[2]
    assert sorted(index.rglob("*")) == before


def test_a_read_only_server_serves_a_read_only_index_and_says_that_no_judgment_can_be_kept(index):
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    with read_only(index):
        process, url = served_read_only(index)
        try:
            with httpx.Client(base_url=url, timeout=30) as client:
                assert (
                    client.post("/search", json={"query": "renew books"}).json()["results"][0]["doc_id"] == "loans.md"
                )
                said = {"query": "q", "session": "s", "action": "thumb_up", "doc_id": "loans.md"}
                answer = client.post("/feedback", json=said)
                assert answer.status_code == 503
                assert "feedback.sqlite could not be used" in answer.json()["error"]["found"]
        finally:
            process.terminate()
            assert process.wait(30) == 0


@pytest.mark.parametrize("name", ["quarry-index.json", "manifest.json", "contents.sqlite", "chunks.sqlite", "segments"])
def test_what_may_not_be_read_is_named_and_not_called_damaged(index, documents, name):
    with unreadable(next(index.rglob(name))):
        for command in (
            ("search", index, "books"),
            ("doctor", index),
            ("index", documents, "--into", index, "--model", "none"),
        ):
            refused = quarry(*command)
            assert refused.returncode == 1, command
            said = refused.stdout + refused.stderr
            assert "may not be opened by this user" in said, said
            assert "Traceback" not in said
            assert "--rebuild" not in said
            assert "--rollback" not in said


def test_a_disk_mounted_read_only_is_named_as_one(index, documents):
    def inside(command):
        mounted = f"mount --bind {index} {index} && mount -o remount,ro,bind {index}"
        return ["unshare", "-m", "sh", "-c", f"{mounted} && {command}"]

    if subprocess.run(inside("true"), capture_output=True).returncode:
        pytest.skip("this user may not mount")
    own = [sys.executable, "-m", "quarry"]
    search = subprocess.run(inside(shlex.join([*own, "search", str(index), "renew"])), capture_output=True, text=True)
    assert search.returncode == 0, search.stderr
    adding = [*own, "index", str(documents), "--into", str(index), "--model", "none"]
    refused = subprocess.run(inside(shlex.join(adding)), capture_output=True, text=True)
    assert refused.returncode == 1
    assert "is on a disk that is mounted read-only" in refused.stderr
    serving = [*own, "serve", str(index), "--read-only", "--port", "0", "--rerank", "none"]
    with subprocess.Popen(inside("exec " + shlex.join(serving)), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "answers at " in process.stdout.readline()
            time.sleep(0.5)
            assert process.poll() is None
        finally:
            process.terminate()
