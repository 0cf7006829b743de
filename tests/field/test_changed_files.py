"""An edit is an edit, whatever size and time stamps say."""

import os
import time

import pytest

from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.corpus import walk
from quarry.indexer.corpus.walk import ReadFile, UnchangedFile, read_corpus
from quarry.indexer.readers.base import ReadOptions

BEFORE, AFTER = "The gate code is 3317.", "The gate code is 8842."


@pytest.mark.parametrize("stamp", [1_700_000_000, None])
def test_an_edit_that_keeps_the_size_and_the_time_is_read(tmp_path, stamp):
    path = tmp_path / "gate.txt"
    path.write_text(BEFORE)
    times = path.stat()
    stamps = (stamp or times.st_atime, stamp or times.st_mtime)
    os.utime(path, stamps)
    settings = BuildOptions(analyzer="bigram")
    build_index(tmp_path / "ix", [path], None, settings)
    path.write_text(AFTER)
    os.utime(path, stamps)
    assert build_index(tmp_path / "ix", [path], None, settings).changed == 1


def events(path, known, options=ReadOptions()):
    return list(read_corpus({"a": path}, known=lambda _: known, options=options))


def test_a_file_that_has_come_to_rest_is_not_opened_again(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text(BEFORE)
    later = time.time_ns() + 60 * 10**9
    monkeypatch.setattr(walk.time, "time_ns", lambda: later)
    (first,) = events(path, None)
    assert isinstance(first, ReadFile)
    monkeypatch.setattr(walk, "_whole", None)
    (second,) = events(path, first.file)
    assert isinstance(second, UnchangedFile)


def test_every_file_is_compared_by_its_digest_when_asked_for(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text(BEFORE)
    later = time.time_ns() + 60 * 10**9
    monkeypatch.setattr(walk.time, "time_ns", lambda: later)
    (first,) = events(path, None)
    assert isinstance(first, ReadFile)
    monkeypatch.setattr(walk, "_stamp", lambda _facts: first.file.mtime_ns)  # a disk whose clock stands still
    path.write_text(AFTER)
    (blind,), (seeing,) = events(path, first.file), events(path, first.file, ReadOptions(checksum=True))
    assert isinstance(blind, UnchangedFile)
    assert isinstance(seeing, ReadFile)
