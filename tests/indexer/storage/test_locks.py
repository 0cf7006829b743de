"""One process holds a lock file; it is named, and when it is killed nothing is left to repair."""

import errno
import json
import os
import subprocess
import sys

import pytest

from quarry.indexer.errors import AccessError, IndexBusyError
from quarry.indexer.storage.files.locks import ProcessLock, process_lock

HOLD = """
import sys, time
from pathlib import Path
from quarry.indexer.storage.files.locks import ProcessLock
from quarry.indexer.errors import AccessError, IndexBusyError
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


def test_a_lock_of_a_dead_process_whose_number_another_has_now_is_free(tmp_path):
    path = tmp_path / "run.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        child.kill()
    left = json.loads(path.read_text())
    path.write_text(json.dumps({**left, "pid": os.getppid()}))  # that process lives, and holds nothing
    with process_lock(path, busy):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_an_owner_that_cannot_be_read_is_another_process(tmp_path):
    lock = ProcessLock(tmp_path / "a", busy)
    (tmp_path / "a").write_text("{")
    with pytest.raises(IndexBusyError, match="held by another process. Wait"):
        ProcessLock(tmp_path / "a", busy)
    lock.release()
    with pytest.raises(FileNotFoundError):
        ProcessLock(tmp_path / "none" / "a", busy)


REMOVE_AND_WRITE = """
import os, sys
from pathlib import Path
from quarry.indexer.errors import AccessError, IndexBusyError
from quarry.indexer.storage.writer_lock import writer_lock
index = Path(sys.argv[1])
os.unlink(index / "writer.lock")
try:
    with writer_lock(index):
        print("two writers")
except IndexBusyError:
    print("busy")
"""


def test_a_removed_lock_file_lets_no_second_writer_in(tmp_path):
    from quarry.indexer.storage.writer_lock import writer_lock

    command = [sys.executable, "-c", REMOVE_AND_WRITE, str(tmp_path)]
    with writer_lock(tmp_path):
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "busy\n"
    with writer_lock(tmp_path):  # free again afterwards
        pass


def test_on_a_file_system_without_locks_of_folders_the_lock_file_counts(tmp_path, monkeypatch):
    from quarry.indexer.storage.files import locks
    from quarry.indexer.storage.writer_lock import writer_lock

    def refuse(descriptor):
        import stat

        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(9, "Bad file descriptor")  # as NFS does for what is open for reading only
        return taken(descriptor)

    taken = locks.lock
    monkeypatch.setattr(locks, "lock", refuse)
    with writer_lock(tmp_path), pytest.raises(IndexBusyError, match=f"process {os.getpid()} "), writer_lock(tmp_path):
        pass


def test_a_file_system_without_any_locks_is_refused_in_words_and_can_still_be_read(tmp_path, monkeypatch):
    from quarry.indexer.build import index_documents
    from quarry.indexer.opened import Index
    from quarry.indexer.records import Document

    index_documents(tmp_path / "index", [Document("a", "renew books")], None)

    def none(descriptor, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", none)
    with pytest.raises(AccessError, match="writer.lock cannot be locked .No locks available.; expected a file system"):
        index_documents(tmp_path / "index", [Document("b", "more")], None)
    assert Index.open(tmp_path / "index").chunks.counts()[0] == 1
