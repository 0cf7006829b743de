"""Disks that are full at every step, and other things that go wrong below a writer: an error in words, and what was there stays.

After every fault the index holds what it held before or what the writer was making, every file matches its record, and the same
writer succeeds once the fault is gone.
"""

import errno
import os
import resource
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quarry.indexer.build import index_documents
from quarry.indexer.errors import IndexBusyError, SearchError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.files.durable import is_disk_full
from quarry.training.feedback.log import feedback_path
from tests.fakes import WordEmbedder
from tests.reliability import clocks
from tests.reliability.kills import ACTS, build, keep_segments, state
from tests.training.killing import Tell, changes_below, forked

WRITERS = ("append", "delete", "switch", "merge", "upload", "feedback")
NAMES = (
    "with spaces",
    "with\nnewline",
    "中文 文件夹",
    "emoji 📚👩‍🚀",
    "quo'te\"s",
    "per%20cent%41",
    "ques?tion",
    "ha#sh",
    "semi;colon&amp",
    "-dash",
    "[brackets]*",
    "tab\tand\u202eturned",
    "e\u0301 two forms \u00e9",
    "长" * 60,
    "x" * 251,  # 255 bytes with the ending of a file
    "-",
    " before and after ",
    "ends with a dot.",
    "~",
    "$HOME `id`",
    "back\\slash",
    "\x1b[31mcolor",
    "#0-9",
)
_DISK_KB = 4096
_PAGE = 4096 + 24  # bytes of SQLite's log for each page of the database


def full_at_every_step(folder: Path, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Let the disk be full at the n-th change that a writer makes, for every n."""
    for kind in WRITERS:
        yield _judged(folder / "step-feedback") if kind == "feedback" else _injected(kind, folder / f"step-{kind}")


def _judged(index: Path) -> dict[str, Any]:
    """Let SQLite, whose writes Python does not see, find no room at the n-th page of its files, for every n.

    Each time the log begins as it was after 30 judgements, and has to hold these and every one that was acknowledged.
    """
    assert forked(lambda tell: build(index, 0, tell))[0] == 0
    assert forked(lambda tell: ACTS["feedback"](index, 0, tell))[0] == 0
    log, before = feedback_path(index), state(index, "feedback")
    kept, refused, page, said = log.read_bytes(), 0, 0, "begun"
    while said:

        def work(tell: Tell, most: int = page * _PAGE) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            said = ""
            try:
                ACTS["feedback"](index, 1, tell)
            except (SearchError, OSError) as err:
                said = str(err)
            tell([said])

        code, told = forked(work)
        assert code == 0, told
        (said,), acknowledged = told[-1], told[:-1]
        after = state(index, "feedback")
        assert {*before, *acknowledged} <= set(after) and len(after) == len(set(after)), f"lost at page {page}"
        for each in (log, *(log.with_name(log.name + end) for end in ("-wal", "-shm"))):
            each.unlink(missing_ok=True)
        log.write_bytes(kept)
        refused, page = refused + bool(said), page + 1
    return {"fault": "full at the n-th page", "writer": "feedback", "tried": page, "refused": refused, "lost": 0}


def _injected(kind: str, index: Path) -> dict[str, Any]:
    assert forked(lambda tell: build(index, 0, tell))[0] == 0
    refused, step, changes = 0, 0, 1
    while step < changes:  # the run whose fault would come after its last change is left out
        before = state(index, kind)

        def full(number: int, limit: int = step) -> None:
            if number == limit:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        said, changes = _tried(kind, index, 1000 + step, lambda full=full: changes_below(index, full))  # type: ignore[misc]
        after = state(index, kind)
        assert said or after != before or kind in ("switch", "merge")
        refused, step = refused + bool(said), step + 1
        changes = step + 1 if said else changes
    return {"fault": "full at the n-th change", "writer": kind, "tried": step, "refused": refused, "lost": 0}


def small_disks(folder: Path, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Let writers work on a small disk in memory with less and less room; nothing without the right to mount one."""
    with mounted(folder / "disk") as disk:
        for kind in WRITERS if disk is not None else ():
            yield _with_room(kind, disk)


def _with_room(kind: str, disk: Path) -> dict[str, Any]:
    index, ballast, refused, tried = disk / kind, disk / "ballast", 0, 0
    assert forked(lambda tell: build(index, 0, tell))[0] == 0
    for room in (0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024):
        before = state(index, kind)
        ballast.write_bytes(b"x" * max(0, shutil.disk_usage(disk).free - room * 1024))
        said, _ = _tried(kind, index, 2000 + room, lambda: None)
        ballast.unlink()
        after = state(index, kind)
        assert not said or set(map(str, before)) <= set(map(str, after)) or kind != "feedback"
        tried, refused = tried + 1, refused + bool(said)
    shutil.rmtree(index)
    return {"fault": "a small disk", "writer": kind, "tried": tried, "refused": refused, "lost": 0}


def small_files(folder: Path, seed: int = 0) -> list[dict[str, Any]]:
    """Let no file grow over a limit (RLIMIT_FSIZE)."""
    found = []
    for kind in WRITERS:
        index, refused, tried = folder / f"files-{kind}", 0, 0
        assert forked(lambda tell, index=index: build(index, 0, tell))[0] == 0  # type: ignore[misc]
        for most in (0, 100, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 1 << 20):
            limits = (most, resource.RLIM_INFINITY)
            said, _ = _tried(
                kind, index, 3000 + most, lambda limits=limits: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            )  # type: ignore[misc]
            state(index, kind)
            tried, refused = tried + 1, refused + bool(said)
        found.append({"fault": "files that cannot grow", "writer": kind, "tried": tried, "refused": refused, "lost": 0})
    return found


def _tried(kind: str, index: Path, number: int, fault: Callable[[], Callable[[], int] | None]) -> tuple[str, int]:
    """Let a writer work with a fault, in a fork; returns what it said when it was refused, and what the fault counted.

    Raises:
        AssertionError: If it ended with another error than one in words, or than the system's for a full disk, which the command
            line and the servers put into words.
    """

    def work(tell: Tell) -> None:
        if kind == "merge":
            keep_segments()
        count, said = fault(), ""
        try:
            ACTS[kind](index, number, lambda word: None)
        except SearchError as err:
            said = str(err)
        except AssertionError as err:  # the app's upload keeps its error
            said = str(err.args[0])
        except OSError as err:
            said = str(err) if is_disk_full(err) else f"TRACEBACK {traceback.format_exc()}"
        tell([said, count() if count else 0])

    code, told = forked(work)
    assert code == 0, f"{kind} {number}: {told}"
    assert not told[0][0] or any(
        words in told[0][0] for words in ("full", "No space", "too large", "room", "temporary", "disk")
    ), told[0][0]
    said, count = told[0]
    return str(said), int(count)


def two_writers(folder: Path, rounds: int, seed: int = 0) -> dict[str, Any]:
    """Start two writers at the same moment: both finish, or the second is refused and the first is named."""
    index, busy, both = folder / "two", 0, 0
    assert forked(lambda tell: build(index, 0, tell))[0] == 0
    for number in range(1, rounds + 1):
        at = time.monotonic() + 0.1
        codes: list[int] = []
        for child in range(2):
            code = os.fork()
            if code == 0:
                os._exit(_write_at(index, at, number, child))
            codes.append(code)
        ends = [os.waitstatus_to_exitcode(os.waitpid(code, 0)[1]) for code in codes]
        assert set(ends) <= {0, 7} and 0 in ends, ends
        busy, both = busy + (7 in ends), both + (7 not in ends)
        texts = state(index, "append")
        assert any(f"version{number}{side}" in text for _, text in texts for side in (0, 1))
    return {"fault": "two writers", "tried": rounds, "refused": busy, "both finished": both, "lost": 0}


def _write_at(index: Path, at: float, number: int, child: int) -> int:
    time.sleep(max(0.0, at - time.monotonic()))
    try:
        index_documents(
            index, [Document(f"stamp{side}", f"library stamp version{number}{child}") for side in "ab"], WordEmbedder()
        )
    except IndexBusyError as err:
        return 7 if "process" in str(err) else 1
    except BaseException:  # noqa: BLE001 (the code of the process tells)
        return 1
    return 0


def names(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Build, update, search and examine indexes in folders with unusual names, of files with such names."""
    for number, name in enumerate(NAMES):
        texts, index = folder / "names" / name / "texts", folder / "names" / name / "index"
        texts.mkdir(parents=True)
        (texts / f"{name}.txt").write_text(f"library text {number}", encoding="utf-8")
        own = [sys.executable, "-m", "quarry"]
        for command, rc in (
            (["index", f"./{name}/texts", "--into", f"./{name}/index", "--model", "none"], 0),
            (["search", f"./{name}/index", "library", "--json"], 0),
            (["doctor", f"./{name}/index"], 0),
        ):
            done = subprocess.run([*own, *command], cwd=folder / "names", capture_output=True, text=True, check=False)
            assert done.returncode == rc, (name, command[0], done.stderr[-500:])
        assert Index.open(index).chunks.counts()[0] == 1, name
    assert sorted(path.name for path in (folder / "names").iterdir()) == sorted(NAMES), "a file beside an index"
    return {"fault": "names of folders and files", "tried": len(NAMES), "lost": 0}


def memory(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Let a run that updates an index have less and less memory: it finishes or ends with a sentence, and the index answers.

    C++ libraries end the process where they get none; that is counted apart.
    """
    index, texts, said, ended = folder / "memory", folder / "memory-texts", 0, 0
    texts.mkdir()
    own = [sys.executable, "-m", "quarry", "index", str(texts), "--into", str(index), "--model", "none"]
    (texts / "stamp.txt").write_text("library stamp", encoding="utf-8")
    subprocess.run(own, capture_output=True, check=True)
    sizes = (300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1500)
    for megabytes in sizes:
        (texts / "long.txt").write_text(f"the library of {megabytes} is open from nine. " * 100_000, encoding="utf-8")
        command = ["sh", "-c", f'ulimit -v {megabytes << 10}; exec "$@"', "sh", *own]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, (megabytes, done.stderr[-800:])
        said, ended = said + (done.returncode == 1), ended + (done.returncode < 0)
        opened = Index.open(index)
        assert not opened.manifest.damage(opened.folder, hashes=True)
        assert any(document.text == "library stamp" for document in opened.chunks.documents())
    return {"fault": "too little memory", "tried": len(sizes), "refused": said, "ended by a library": ended, "lost": 0}


@contextmanager
def mounted(folder: Path) -> Iterator[Path | None]:
    """Mount a small disk in memory; None without the right to."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_KB}k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def run(folder: Path, only: list[str], rounds: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Try all faults, or some; yields a row for each."""
    for name in only or TRIALS:
        found = two_writers(folder, rounds, seed) if name == "writers" else TRIALS[name](folder, seed)
        yield from [found] if isinstance(found, dict) else found


TRIALS: dict[str, Callable[..., Any]] = {
    "steps": full_at_every_step,
    "disks": small_disks,
    "files": small_files,
    "writers": two_writers,
    "clocks": clocks.of_files,
    "clock": clocks.run,
    "names": names,
    "memory": memory,
}
