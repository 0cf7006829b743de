"""One process holds a lock file; it is named, and when it is killed nothing is left to repair."""

import json
import os
import subprocess
import sys

import pytest

from quarry.indexer.errors import IndexBusyError
from quarry.indexer.storage.locks import ProcessLock, process_lock

HOLD = """
import sys, time
from pathlib import Path
from quarry.indexer.storage.locks import ProcessLock
from quarry.indexer.errors import IndexBusyError
lock = ProcessLock(Path(sys.argv[1]), lambda owner: IndexBusyError(str(owner)))
print("held", flush=True)
time.sleep(600)
"""


def busy(owner):
    return IndexBusyError("held", "held by {owner}", do="Wait", owner=owner)


def test_the_holder_is_named_and_a_killed_one_is_taken_over_from(tmp_path):
    path = tmp_path / "run.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        host = json.loads(path.read_text())["host"]
        with pytest.raises(IndexBusyError, match=rf"^held by process {child.pid} on {host} since 2\S+. Wait$"):
            ProcessLock(path, busy)
        assert json.loads(path.read_text())["pid"] == child.pid  # who asked in vain has written nothing
        child.kill()
    with process_lock(path, busy):
        assert json.loads(path.read_text())["pid"] == os.getpid()
        with pytest.raises(IndexBusyError, match=f"process {os.getpid()} "):
            ProcessLock(path, busy)
    lock = ProcessLock(path, busy)
    lock.release()
    lock.release()
    ProcessLock(path, busy)  # forgotten at once
    ProcessLock(path, busy).release()


def test_an_owner_that_cannot_be_read_is_another_process(tmp_path):
    lock = ProcessLock(tmp_path / "a", busy)
    (tmp_path / "a").write_text("{")
    with pytest.raises(IndexBusyError, match="held by another process. Wait"):
        ProcessLock(tmp_path / "a", busy)
    lock.release()
    with pytest.raises(FileNotFoundError):
        ProcessLock(tmp_path / "none" / "a", busy)
