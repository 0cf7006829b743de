"""Generations: beside each other, switched by one rename, never half."""

import errno
import fcntl
import json
import subprocess
import sys

import pytest

from quarry.indexer.errors import IndexBusyError, IndexFormatError
from quarry.indexer.storage.files.hold import Hold
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.pointer import POINTER_NAME
from quarry.indexer.storage.writer_lock import writer_lock


def make(generations: Generations, reason: str = "built") -> str:
    building = generations.begin()
    (building / "manifest.json").write_text("{}")
    return generations.commit(building, reason)


def test_generations_are_numbered_and_the_newest_is_live(tmp_path):
    generations = Generations(tmp_path)
    assert [make(generations), make(generations)] == ["000001", "000002"]
    assert generations.live().name == "000002"
    assert [step.generation for step in generations.pointer().history] == ["000001", "000002"]


def test_rollback_goes_to_the_one_before_and_keeps_the_newer(tmp_path):
    generations = Generations(tmp_path)
    make(generations), make(generations)
    generations.switch(generations.previous(), "rolled back")
    assert generations.live().name == "000001"
    assert generations.finished() == ["000001", "000002"]
    with pytest.raises(IndexFormatError, match="the oldest one here; there is nothing to roll back to"):
        generations.previous()
    assert make(generations) == "000003"


def test_prune_never_removes_the_live_one(tmp_path):
    generations = Generations(tmp_path)
    for _ in range(4):
        make(generations)
    generations.switch("000001", "by hand")
    assert generations.prune(2) == ["000002", "000003"]
    assert generations.finished() == ["000001", "000004"]
    with pytest.raises(ValueError, match="keep is 0; expected at least 1"):
        generations.prune(0)


def test_what_is_being_read_is_not_pruned_until_it_is_let_go(tmp_path):
    generations = Generations(tmp_path)
    for _ in range(3):
        make(generations)
    name, hold = generations.hold("000001")
    again = Generations(tmp_path).hold("000001")[1]  # readers do not disturb each other
    assert (name, hold is not None, again is not None) == ("000001", True, True)
    assert generations.prune(1) == ["000002"]
    assert generations.finished() == ["000001", "000003"]
    again.let_go()
    assert generations.prune(1) == []
    del hold
    assert generations.prune(1) == ["000001"]
    assert generations.hold("000001") == ("000001", None)


def test_a_reader_looks_again_when_its_generation_is_pruned_before_it_holds_it(tmp_path, monkeypatch):
    generations = Generations(tmp_path)
    make(generations)
    on = Hold.on

    def late(folder):
        if folder.name == "000001":
            make(generations)
            assert generations.prune(1) == ["000001"]
        return on(folder)

    monkeypatch.setattr(Hold, "on", late)
    name, hold = generations.hold()
    assert (name, hold is not None) == ("000002", True)


def test_a_generation_that_is_just_being_pruned_cannot_be_held(tmp_path):
    generations = Generations(tmp_path)
    manifest = generations.folder / make(generations) / "manifest.json"
    with manifest.open("rb") as pruning:
        fcntl.flock(pruning, fcntl.LOCK_EX)
        assert generations.hold() == ("000001", None)
    assert generations.hold()[1] is not None


def test_without_locks_readers_work_and_pruning_goes_on(tmp_path, monkeypatch):
    def unsupported(*_args):
        raise OSError(errno.ENOTSUP, "no locks here")

    generations = Generations(tmp_path)
    make(generations), make(generations)
    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert generations.hold("000001")[1] is not None
    assert generations.prune(1) == ["000001"]


def test_what_a_crash_left_is_removed_by_the_next_build(tmp_path):
    generations = Generations(tmp_path)
    make(generations)
    (generations.begin() / "half").write_text("x")
    (tmp_path / "generations" / "000007").mkdir()  # renamed, but its manifest never reached the disk
    building = generations.begin()
    assert list(building.iterdir()) == []
    assert generations.finished() == ["000001"]
    assert not (tmp_path / "generations" / "000007").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{not json", "is not valid JSON"),
        (
            '{"format": 99, "generation": "000001"}',
            "has format 99; expected a format that this version of Quarry reads: 1, 2, 3, 4. Upgrade",
        ),
        ('{"format": 1}', "is damaged"),
        ('{"format": 1, "generation": "../../etc"}', "is not a plain name"),
        ("{}", "has format None"),
        ("[]", "holds a JSON list; expected an object"),
    ],
)
def test_a_bad_pointer_is_refused(tmp_path, content, message):
    (tmp_path / POINTER_NAME).write_text(content)
    with pytest.raises(IndexFormatError, match=message):
        Generations(tmp_path).pointer()


def test_folders_that_are_no_index_say_what_to_do(tmp_path):
    with pytest.raises(IndexFormatError, match="does not exist; expected an index. Make one with"):
        Generations(tmp_path / "none").pointer()
    with pytest.raises(IndexFormatError, match="is not an index"):
        Generations(tmp_path).pointer()
    (tmp_path / "generations").mkdir()
    with pytest.raises(IndexFormatError, match="was never finished"):
        Generations(tmp_path).pointer()
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(IndexFormatError, match="is a file; expected an index folder"):
        Generations(file).pointer()


def test_switching_to_what_is_not_there_changes_nothing(tmp_path):
    generations = Generations(tmp_path)
    make(generations)
    before = (tmp_path / POINTER_NAME).read_bytes()
    with pytest.raises(IndexFormatError, match="generation '000009' does not exist; expected one of 000001"):
        generations.switch("000009", "by hand")
    assert (tmp_path / POINTER_NAME).read_bytes() == before


def test_a_second_writer_is_told_who_is_first_and_a_dead_one_leaves_no_lock(tmp_path):
    code = f"""
import sys, time
from pathlib import Path
from quarry.indexer.storage.writer_lock import writer_lock
with writer_lock(Path({str(tmp_path)!r})):
    print("locked", flush=True)
    time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "locked\n"
    with pytest.raises(IndexBusyError, match=f"is being written by process {child.pid} on "), writer_lock(tmp_path):
        pass
    child.kill()
    child.wait()
    child.stdout.close()
    with writer_lock(tmp_path):
        assert json.loads((tmp_path / "writer.lock").read_text())["pid"] != child.pid
