"""`quarry ui`: what it checks, what it starts, and that it stops."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from time import monotonic, sleep

import pytest

from quarry.app.cli.commands.ui import address, free_port, server_command, set_password
from quarry.indexer.build import index_documents
from quarry.indexer.errors import SettingsError
from quarry.indexer.hosts import is_loopback
from quarry.indexer.records import Document

ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "QUARRY_UI_PASSWORD": ""}


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", [Document("a", "Some text.", "A")], None)
    return tmp_path / "index"


def run(*arguments, cwd=None):
    command = [sys.executable, "-m", "quarry.app.cli", "ui", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=cwd, timeout=120)


def test_a_folder_that_is_no_index_is_told_at_once(tmp_path):
    done = run(tmp_path / "nothing")
    assert done.returncode == 1
    assert "does not exist; expected an index" in done.stderr


def test_a_further_index_that_cannot_be_shown_is_told_at_once(index, tmp_path):
    done = run(index, "--also", tmp_path / "nothing")
    assert done.returncode == 1
    assert "nothing does not exist" in " ".join(done.stderr.split())
    index_documents(tmp_path / "board", [Document("a", "The pay of the board.", "A", {"allow": "board"})], None)
    done = run(index, "--also", tmp_path / "board")
    assert done.returncode == 1
    assert "--everything" in done.stderr


def test_a_taken_port_is_told_with_what_to_do(index):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run(index, "--port", taken.getsockname()[1])
    assert done.returncode == 1
    assert "cannot listen on" in done.stderr
    assert "--port" in done.stderr


def test_free_ports_and_addresses():
    assert free_port("127.0.0.1", 0) > 0
    with pytest.raises(SettingsError, match="expected a free port of an address of this machine"):
        free_port("203.0.113.7", 0)
    assert address("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert address("::1", 80) == "http://[::1]:80"
    assert address("search.example.org", 80) == "http://search.example.org:80"


def test_only_loopback_goes_without_a_password():
    for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"):
        environment: dict[str, str] = {}
        assert is_loopback(host)
        assert set_password(environment, host) == ""
        assert not environment
    for host in ("0.0.0.0", "192.168.1.4", "::", "search.example.org"):
        environment = {}
        made = set_password(environment, host)
        assert len(made) >= 20
        assert environment["QUARRY_UI_PASSWORD"] == made
        assert set_password({"QUARRY_UI_PASSWORD": "correct horse"}, host) == ""
    assert set_password({}, "0.0.0.0") != set_password({}, "0.0.0.0")
    with pytest.raises(SettingsError, match="has 3 characters; expected at least 8"):
        set_password({"QUARRY_UI_PASSWORD": "abc"}, "127.0.0.1")


def test_the_server_sends_nothing_out_and_watches_no_files():
    command = server_command("127.0.0.1", 8501, headless=True)
    assert command[1:5] == ["-P", "-m", "quarry.app.ui.server", "run"]
    for flag in (
        "--browser.gatherUsageStats=false",
        "--server.headless=true",
        "--server.address=127.0.0.1",
        "--server.port=8501",
        "--server.fileWatcherType=none",
        "--logger.hideWelcomeMessage=true",
        "--server.maxUploadSize=20",
        "--runner.postScriptGC=false",
    ):
        assert flag in command


def test_the_folder_that_streamlit_puts_on_the_path_holds_nothing_but_the_start():
    """A file there would shadow every module of its name; a folder `pages` would be served without the frame."""
    from pathlib import Path

    start = Path(server_command("127.0.0.1", 1, headless=True)[5])
    assert [path.name for path in start.parent.iterdir() if path.name != "__pycache__"] == ["main.py"]


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_from_any_folder_and_stops_when_told(index, tmp_path, stop):
    (tmp_path / "here").mkdir()
    for name in ("streamlit", "app", "numpy", "evaluate"):  # what lies in the current folder is no module of ours
        (tmp_path / "here" / f"{name}.py").write_text("raise SystemExit('shadowed')")
    code = "from quarry.app.cli import main; main()"
    command = [sys.executable, "-P", "-c", code, "ui", str(index), "--port", "0", "--no-browser"]
    with subprocess.Popen(command, env=ENVIRONMENT, cwd=tmp_path / "here", stdout=subprocess.PIPE, text=True) as server:
        try:
            url = server.stdout.readline().split()[3]
            wait_for(url, server)
            server.send_signal(stop)
            assert server.wait(30) == 0
        finally:
            server.kill()
    assert "password" not in server.args


def test_a_thread_that_cannot_be_stopped_does_not_hold_the_end_up():
    code = (
        "import sys, threading, time, streamlit.web.cli as cli, quarry.app.ui.server as server\n"
        "def main(**_):\n threading.Thread(target=time.sleep, args=(60,)).start(); print('served'); sys.exit({})\n"
        "cli.main = main; server.main()"
    )
    for given, code_expected in (("0", 0), ("None", 0), ("7", 7), ("'broken'", 1)):
        begun = monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code.format(given)], capture_output=True, text=True, env=ENVIRONMENT, timeout=50
        )
        assert (done.returncode, done.stdout) == (code_expected, "served\n")
        assert monotonic() - begun < 50


def wait_for(url, server):
    until = monotonic() + 90
    while monotonic() < until:
        assert server.poll() is None, "the server ended by itself"
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=5) as reply:
                assert reply.status == 200
                return
        except OSError:
            sleep(0.2)
    pytest.fail("the server does not answer")
