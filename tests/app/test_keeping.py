"""An index that is kept in step: every change arrives, nothing is lost, and what cannot be done is said."""

import os
import random
import shutil
import threading
import time
from dataclasses import replace

import pytest

from quarry.app.keeping import Keeper
from quarry.app.wiring import ChosenModel
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.corpus.watcher import FolderWatch
from quarry.indexer.errors import IndexMismatchError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.writer_lock import writer_lock
from tests.app.cli.watched_folders import QUICK, SETTINGS, Editor, Heard, assert_like_built_from_nothing, kept, wait_for
from tests.fakes import WordEmbedder


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("# Zebra\n\nA zebra renews a loan.", encoding="utf-8")
    (folder / "斑马.md").write_text("# 斑马\n\n斑马在图书馆续借。", encoding="utf-8")
    return folder


def ids(index):
    return [document.doc_id for document in Index.open(index).chunks.documents()]


def test_saving_renaming_and_deleting_arrive(tmp_path, docs):
    index, embedder = tmp_path / "index", WordEmbedder()
    with kept(index, docs, embedder=embedder) as heard:
        wait_for(lambda: heard.rounds)
        assert embedder.texts_encoded == 2
        (docs / "new.txt").write_text("开放时间 nine to five", encoding="utf-8")
        wait_for(lambda: len(heard.rounds) == 2)
        assert embedder.texts_encoded == 3  # only what is new
        (docs / "a.md").rename(docs / "b.md")
        wait_for(lambda: len(heard.rounds) == 3)
        (docs / "斑马.md").unlink()
        wait_for(lambda: len(heard.rounds) == 4)
        assert ids(index) == ["docs/b.md", "docs/new.txt"]
        assert [model for _, model in heard.rounds] == ["tests/words"] * 4
        counts = [(report.added, report.changed, report.removed) for report, _ in heard.rounds]
        assert counts == [(2, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)]
    assert len(Generations(index).finished()) == 3  # the older ones were pruned
    assert heard.failures == []


def test_a_burst_of_1000_files_is_one_build(tmp_path, docs):
    with kept(tmp_path / "index", docs) as heard:
        wait_for(lambda: heard.rounds)
        (docs / "burst").mkdir()
        for number in range(1000):
            (docs / "burst" / f"{number}.txt").write_text(f"zebra 斑马 {number}", encoding="utf-8")
        wait_for(lambda: len(heard.rounds) == 2)
        assert heard.rounds[1][0].added == 1000
        time.sleep(3 * QUICK.quiet_s)
        assert len(heard.rounds) == 2


def test_a_file_that_is_being_written_is_not_read_half(tmp_path, docs):
    index, seen = tmp_path / "index", []
    with kept(index, docs) as heard:
        wait_for(lambda: heard.rounds)
        with (docs / "slow.txt").open("w", encoding="utf-8") as file:
            for number in range(15):
                file.write(f"第{number}段 part{number} ")
                file.flush()
                time.sleep(QUICK.quiet_s / 3)
                seen += ids(index)
        wait_for(lambda: len(heard.rounds) == 2)
        assert "docs/slow.txt" not in seen
        assert "part14" in Index.open(index).chunks.document("docs/slow.txt").text


def test_a_file_that_never_rests_holds_nothing_else_up(tmp_path, docs):
    index, stop = tmp_path / "index", threading.Event()

    def log():
        with (docs / "log.txt").open("w", encoding="utf-8") as file:
            while not stop.is_set():
                file.write("a line of a log ")
                file.flush()
                time.sleep(0.01)

    with kept(index, docs, watching=replace(QUICK, patience_s=0.5)) as heard:
        wait_for(lambda: heard.rounds)
        thread = threading.Thread(target=log)
        thread.start()
        try:
            (docs / "new.txt").write_text("zebra", encoding="utf-8")
            wait_for(lambda: len(heard.rounds) == 2)
            assert ids(index) == ["docs/a.md", "docs/new.txt", "docs/斑马.md"]
            assert [skip.reason for skip in heard.rounds[1][0].skipped] == ["being written"]
        finally:
            stop.set()
            thread.join()
        wait_for(lambda: len(heard.rounds) == 3)
        assert "docs/log.txt" in ids(index)


def test_a_folder_that_vanishes_keeps_its_documents(tmp_path, docs):
    index, other = tmp_path / "index", tmp_path / "other"
    other.mkdir()
    (other / "c.txt").write_text("history 历史", encoding="utf-8")
    with kept(index, docs, other) as heard:
        wait_for(lambda: heard.rounds)
        docs.rename(tmp_path / "away")
        wait_for(lambda: len(heard.rounds) == 2)
        assert f"{docs} is not there; its 2 files stay in the index until it is back" in heard.remarks
        (other / "d.txt").write_text("library", encoding="utf-8")  # the other one goes on
        wait_for(lambda: len(heard.rounds) == 3)
        docs.mkdir()  # as an empty mount point
        wait_for(
            lambda: any("is empty now (is a drive not mounted?); its 2 files stay" in said for said in heard.remarks)
        )
        assert ids(index) == ["docs/a.md", "docs/斑马.md", "other/c.txt", "other/d.txt"]
        docs.rmdir()
        (tmp_path / "away" / "a.md").write_text("changed while away", encoding="utf-8")
        (tmp_path / "away").rename(docs)
        wait_for(lambda: any(report.changed for report, _ in heard.rounds))
        assert Index.open(index).chunks.document("docs/a.md").text == "changed while away"
    assert heard.failures == []


def test_an_emptied_folder_is_emptied_only_when_that_is_allowed(tmp_path, docs):
    index = tmp_path / "index"
    with kept(index, docs, settings=replace(SETTINGS, allow_empty=True)) as heard:
        wait_for(lambda: heard.rounds)
        for path in docs.iterdir():
            path.unlink()
        wait_for(lambda: len(heard.rounds) == 2)
        assert ids(index) == []
        shutil.rmtree(docs)  # gone is not emptied
        wait_for(lambda: any("is not there" in said for said in heard.remarks))


def test_folders_that_come_later_and_empty_ones_are_waited_for(tmp_path):
    index, docs = tmp_path / "index", tmp_path / "docs"
    with kept(index, docs) as heard:
        wait_for(lambda: f"{docs} is not there; waiting for it" in heard.remarks)
        docs.mkdir()
        wait_for(lambda: f"{docs} has no files yet; waiting for some" in heard.remarks)
        (docs / "a.txt").write_text("zebra", encoding="utf-8")
        wait_for(lambda: heard.rounds)
    assert ids(index) == ["docs/a.txt"]
    assert heard.failures == []


def test_files_that_were_skipped_are_not_opened_again_until_they_change(tmp_path, docs, monkeypatch):
    (docs / "scan.bin").write_bytes(bytes(range(256)) * 8)
    (docs / "blank.txt").write_text("  \n", encoding="utf-8")
    read = []
    import quarry.indexer.corpus.walk as corpus

    monkeypatch.setattr(corpus, "_TICK_NS", 0)  # else a file that has just changed is compared again
    whole = corpus._whole
    monkeypatch.setattr(corpus, "_whole", lambda path, *rest: (read.append(path.name), whole(path, *rest))[1])
    with kept(tmp_path / "index", docs) as heard:
        wait_for(lambda: heard.rounds)
        first = {(skip.source, skip.reason) for skip in heard.rounds[0][0].skipped}
        assert len(first) == 2
        assert sorted(read) == ["a.md", "blank.txt", "scan.bin", "斑马.md"]
        (docs / "b.txt").write_text("zebra", encoding="utf-8")
        wait_for(lambda: len(heard.rounds) == 2)
        assert read[4:] == ["b.txt"]
        assert {(skip.source, skip.reason) for skip in heard.rounds[1][0].skipped} == first
        (docs / "blank.txt").write_text("不再空白 no longer blank", encoding="utf-8")
        wait_for(lambda: len(heard.rounds) == 3)
        assert read[5:] == ["blank.txt"]


def test_a_busy_index_is_waited_for_and_named(tmp_path, docs):
    index = tmp_path / "index"
    with kept(index, docs) as heard:
        wait_for(lambda: heard.rounds)
        with writer_lock(index):
            (docs / "b.txt").write_text("zebra", encoding="utf-8")
            wait_for(lambda: heard.failures)
            assert f"is being written by process {os.getpid()}" in heard.failures[0][0]
            time.sleep(1.5)
        wait_for(lambda: len(heard.rounds) == 2)
    assert len(heard.failures) == 1  # said once
    assert "docs/b.txt" in ids(index)


def test_a_failed_round_keeps_the_live_index_and_is_tried_again(tmp_path, docs, monkeypatch):
    index = tmp_path / "index"
    import quarry.app.keeping as keeping

    with kept(index, docs) as heard:
        wait_for(lambda: heard.rounds)
        attempts = []

        def full(*_):
            attempts.append(time.monotonic())
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(keeping, "build_index", full)
        (docs / "b.txt").write_text("zebra", encoding="utf-8")
        wait_for(lambda: len(attempts) == 3)
        assert attempts[2] - attempts[1] > attempts[1] - attempts[0] > 1.0
        assert heard.failures == [("[Errno 28] No space left on device", 1.0)]
        assert ids(index) == ["docs/a.md", "docs/斑马.md"]
        monkeypatch.setattr(keeping, "build_index", build_index)
        wait_for(lambda: len(heard.rounds) == 2)
    assert "docs/b.txt" in ids(index)


def test_a_model_that_was_promoted_meanwhile_is_loaded(tmp_path, docs):
    index, tuned = tmp_path / "index", WordEmbedder("tuned")
    with kept(index, docs, embedder=WordEmbedder(), reload=lambda: ChosenModel(tuned, "models/run", ())) as heard:
        wait_for(lambda: heard.rounds)
        index_documents(index, [Document("d", "by another writer 另一个")], tuned, replace(SETTINGS, rebuild=True))
        (docs / "b.txt").write_text("zebra", encoding="utf-8")
        wait_for(lambda: len(heard.rounds) == 2)
    manifest = Index.open(index).manifest
    assert (manifest.embedder.fingerprint, manifest.embedder.folder) == (tuned.spec.fingerprint, "models/run")
    assert ids(index) == ["d", "docs/a.md", "docs/b.txt", "docs/斑马.md"]
    assert heard.remarks == ["the live generation has another model; continuing with tests/words"]


def test_the_first_build_with_another_model_is_refused(tmp_path, docs):
    index = tmp_path / "index"
    build_index(index, [docs], WordEmbedder("one"), SETTINGS)
    stop = threading.Event()
    keeper = Keeper(
        index,
        FolderWatch([docs], stop, QUICK),
        ChosenModel(WordEmbedder("two"), "", ()),
        SETTINGS,
        voice=Heard(),
        stop=stop,
        reload=lambda: ChosenModel(None, "", ()),
    )
    with pytest.raises(IndexMismatchError, match="vectors of two models"):
        keeper.run()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("poll_s", [None, 0.1], ids=["events", "polling"])
def test_after_20_rounds_of_random_edits_it_is_like_one_built_from_nothing(tmp_path, docs, seed, poll_s):
    index, embedder, editor, rng = tmp_path / "index", WordEmbedder(), Editor(docs, seed), random.Random(seed)
    with kept(index, docs, embedder=embedder, watching=replace(QUICK, poll_s=poll_s)) as heard:
        for _ in range(20):
            for _ in range(rng.randint(1, 8)):
                editor.once()
            time.sleep(rng.random() * 3 * QUICK.quiet_s)
        wait_for(lambda: heard.rounds)
        editor.new_path().write_text("完 the end", encoding="utf-8")
        last = len(heard.rounds)
        wait_for(lambda: len(heard.rounds) > last and _is_in_step(index, docs))
    assert heard.failures == []
    assert_like_built_from_nothing(index, tmp_path / "fresh", docs, embedder=embedder)


def _is_in_step(index, docs):
    return any("the end" in document.text for document in Index.open(index).chunks.documents())
