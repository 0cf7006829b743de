"""Watching folders: what counts as a change, when it has come to rest, and what happens without events."""

import errno
import os
import shutil
import threading
import time
from dataclasses import replace

import pytest

import quarry.indexer.build.intake as intake
import quarry.indexer.build.roots as roots
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.corpus.events import SystemEvents
from quarry.indexer.corpus.listing import Skipped, list_files, printable
from quarry.indexer.corpus.snapshot import look, moved
from quarry.indexer.corpus.walk import UnchangedFile, read_corpus
from quarry.indexer.corpus.watcher import FolderWatch, WatchOptions
from quarry.indexer.errors import CorpusError
from quarry.indexer.opened import Index

QUICK = WatchOptions(quiet_s=0.1, patience_s=2.0, sweep_s=30.0, absent_s=0.1)


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    (folder / "子目录").mkdir(parents=True)
    (folder / "a.md").write_text("zebra", encoding="utf-8")
    (folder / "子目录" / "b.md").write_text("斑马", encoding="utf-8")
    return folder


@pytest.fixture
def watch(docs):
    stop = threading.Event()
    made = FolderWatch([docs], stop, QUICK)
    yield made
    stop.set()
    made.close()


def names(paths):
    return sorted(path.name for path in paths)


def test_two_looks_tell_what_moved(docs):
    before = look([docs])
    assert before.folders == {docs, docs / "子目录"}
    assert moved(before, look([docs])) == frozenset()
    (docs / "a.md").write_text("zebra and more", encoding="utf-8")
    (docs / "子目录" / "b.md").rename(docs / "c.md")
    (docs / ".hidden").write_text("x")
    assert names(moved(before, look([docs]))) == ["a.md", "b.md", "c.md"]


def test_other_rights_or_an_older_file_of_the_same_size_are_changes(docs):
    os.utime(docs / "a.md", (1_000, 1_000))
    before = look([docs])
    (docs / "older.tmp").write_text("other", encoding="utf-8")
    os.utime(docs / "older.tmp", (900, 900))
    (docs / "older.tmp").replace(docs / "a.md")
    (docs / "子目录" / "b.md").chmod(0o600)
    assert names(moved(before, look([docs]))) == ["a.md", "b.md"]


def test_links_lead_neither_out_nor_round(tmp_path, docs):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("x")
    (docs / "out").symlink_to(outside)
    (docs / "loop").symlink_to(docs)
    (docs / "self").symlink_to(docs / "self")
    state = look([docs])
    assert names(state.files) == ["a.md", "b.md"]
    assert state.folders == {docs, docs / "子目录"}


def test_a_file_can_be_watched_and_what_is_not_there_too(docs, tmp_path):
    state = look([docs / "a.md", tmp_path / "later"])
    assert (names(state.files), state.folders, state.missing) == (["a.md"], {docs}, (tmp_path / "later",))


@pytest.mark.parametrize(
    "change",
    [
        lambda docs: (docs / "new.txt").write_text("x"),
        lambda docs: (docs / "a.md").unlink(),
        lambda docs: (docs / "子目录").rename(docs / "folder"),
        lambda docs: shutil.rmtree(docs),
        lambda docs: os.utime(docs / "a.md"),
    ],
    ids=["new", "deleted", "folder renamed", "root gone", "touched"],
)
def test_the_system_tells_at_once(docs, watch, change):
    rest = watch.rest()
    assert not watch.changed(rest, 0.2)
    threading.Timer(0.3, change, [docs]).start()
    began = time.monotonic()
    assert watch.changed(rest, 25.0)
    assert time.monotonic() - began < 20  # long before the next look without an event


def test_what_happens_in_a_new_folder_is_heard(docs, watch):
    rest = watch.rest()
    (docs / "new").mkdir()
    assert not watch.changed(rest, 0.5)  # an empty folder changes nothing
    threading.Timer(0.2, (docs / "new" / "c.md").write_text, ["x"]).start()
    assert watch.changed(rest, 25.0)


def test_swap_files_are_no_reason_to_look(docs, watch, monkeypatch):
    rest, looks = watch.rest(), []
    import quarry.indexer.corpus.watcher as watching

    monkeypatch.setattr(watching, "look", lambda roots: (looks.append(1), look(roots))[1])
    assert not watch.changed(rest, 0.1)
    few = len(looks)
    (docs / ".a.md.swp").write_text("x")
    (docs / "~$a.docx").write_text("x")
    assert not watch.changed(rest, 1.0)
    assert len(looks) <= few + 2  # at the beginning and the end


def test_rest_comes_when_nothing_moves_or_patience_ends(docs, watch):
    stop = threading.Event()

    def write():
        while not stop.is_set():
            with (docs / "log.txt").open("a") as file:
                file.write("x")
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    began = time.monotonic()
    rest = watch.rest()
    stop.set()
    writer.join()
    assert time.monotonic() - began >= QUICK.patience_s
    assert names(rest.moving) == ["log.txt"]
    assert watch.changed(rest, 5.0)  # it has to be taken later
    assert watch.rest().moving == frozenset()


@pytest.mark.parametrize(
    "err",
    [OSError(errno.ENOSPC, "OS file watch limit reached"), ImportError("No module named 'watchfiles'")],
    ids=["limit", "absent"],
)
def test_without_events_it_looks_by_the_clock(docs, monkeypatch, err):
    def refuse(*_):
        raise err

    monkeypatch.setattr(SystemEvents, "watch", refuse)
    stop, said = threading.Event(), []
    watch = FolderWatch([docs], stop, QUICK, said.append)
    rest = watch.rest()
    assert [str(message) for message in said] == [
        f"the system gives no events for 2 folders ({err}); polling every 2 s instead"
    ]
    threading.Timer(0.2, (docs / "c.md").write_text, ["x"]).start()
    assert watch.changed(rest, 10.0)


def test_the_end_ends_every_wait(docs):
    stop = threading.Event()
    watch = FolderWatch([docs], stop, replace(QUICK, quiet_s=60.0, patience_s=60.0))
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    rest = watch.rest()
    assert not watch.changed(rest, 60.0)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("name", ["quiet_s", "patience_s", "sweep_s", "poll_s", "absent_s"])
def test_times_are_above_0(name):
    with pytest.raises(ValueError, match="expected all times above 0 seconds"):
        WatchOptions(**{name: 0.0})


# What a build does for it


def test_an_index_below_its_own_documents_is_not_read(docs):
    build_index(docs / "index", [docs], None, BuildOptions(analyzer="bigram"))
    report = build_index(docs / "index", [docs], None, BuildOptions(analyzer="bigram"))
    assert (report.switched, report.documents) == (False, 2)
    assert names(list_files(docs)) == ["a.md", "b.md"]


def test_a_file_that_is_left_is_not_opened(docs):
    name = printable(docs / "a.md")
    skip = Skipped(name, "being written", "later")
    events = list(read_corpus({"docs": docs}, leave={name: skip}))
    assert events[0] == skip
    assert not isinstance(events[1], (Skipped, UnchangedFile))


def test_a_file_that_is_being_written_keeps_its_documents_though_it_is_empty(tmp_path, docs):
    index, settings, name = tmp_path / "index", BuildOptions(analyzer="bigram"), printable(docs / "a.md")
    build_index(index, [docs], None, settings)
    (docs / "a.md").write_text("")
    left = replace(settings, leave={name: Skipped(name, "being written", "later")})
    assert build_index(index, [docs], None, left).removed == 0
    assert build_index(index, [docs], None, settings).removed == 1


def test_a_folder_that_is_taken_away_while_it_is_read_changes_nothing(tmp_path, docs, monkeypatch):
    index, settings = tmp_path / "index", BuildOptions(analyzer="bigram")
    build_index(index, [docs], None, settings)

    def interrupted(*args, **more):
        events = read_corpus(*args, **more)
        yield next(events)
        docs.rename(tmp_path / "away")
        yield from events

    monkeypatch.setattr(intake, "read_corpus", interrupted)
    with pytest.raises(CorpusError, match="was removed or replaced while it was being read; expected the same folder"):
        build_index(index, [docs], None, settings)
    assert Index.open(index).manifest.documents == 2


@pytest.mark.parametrize(
    ("number", "gone"), [(errno.ENOENT, True), (errno.EACCES, False), (errno.EIO, False), (errno.ESTALE, False)]
)
def test_only_what_is_not_there_is_gone(docs, monkeypatch, number, gone):
    def fail(_self):
        raise OSError(number, "as the system says")

    monkeypatch.setattr(type(docs), "stat", fail)
    assert roots.is_gone(docs / "a.md") is gone
