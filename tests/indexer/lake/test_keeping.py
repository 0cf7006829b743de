"""What a lake keeps and lets go: generations that somebody reads or may go back to, and what nothing names."""

import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.keeping import _kept_generations, clean, examine, roll_back
from quarry.indexer.lake.publishing import publish
from quarry.indexer.messages import Message
from quarry.indexer.storage.pointer import Switch
from quarry.retriever.searcher import Searcher
from tests.fakes import WordEmbedder
from tests.indexer.lake.lakes import filled_lake, write_corpus

pytestmark = pytest.mark.usefixtures("own_cache")


def test_clean_removes_what_nothing_names_and_never_what_a_reader_has(tmp_path):
    corpus, embedder = write_corpus(tmp_path / "corpus", files=6), WordEmbedder()
    lake = filled_lake(tmp_path / "lake", corpus)
    reader = Searcher.open(tmp_path / "lake", embedder=embedder, rerank="none")
    before = [hit.chunk_id for hit in reader.search("renew a book", 5).results]
    for seed in (1, 2, 3, 4):
        add_to_lake(lake, [write_corpus(tmp_path / "corpus", files=6, seed=seed)], embedder)
        publish(lake, embedder)
    objects = lake.objects
    objects.write("generations/000099/passages.lance/data/half.lance", b"x")
    objects.write("shards/feed.passages.0.arrow", b"x")
    _age(tmp_path / "lake", 2)
    # what was live within the last day stays, whatever its age
    found = clean(lake)
    assert found.objects == ()
    assert [hit.chunk_id for hit in reader.search("renew a book", 5).results] == before

    found = clean(lake, hours=1, dry_run=True)
    assert "generations/000099/passages.lance/data/half.lance" in found.objects
    assert clean(lake, hours=1).objects == found.objects
    assert found.generations == ("000099",)  # all others were live within the last hour
    assert [hit.chunk_id for hit in reader.search("renew a book", 5).results] == before

    _age(tmp_path / "lake", 3)
    found = clean(lake, hours=0, keep=1)
    assert found.kept == ("000004", "000005")
    assert all(finding is None for finding in examine(lake))
    needed = {"000004", "000005"}
    assert {each.name.split("/")[1] for each in objects.names("generations")} == needed
    assert Searcher.open(tmp_path / "lake", embedder=embedder, rerank="none").search("renew", 3).results
    assert roll_back(lake).generation == "000004"


def test_a_generation_that_was_live_until_now_is_kept_though_the_clock_was_set_back_for_a_switch():
    at = {"1": "2026-11-27T08:00:00+00:00", "2": "2026-11-27T09:00:00+00:00", "3": "2016-11-27T10:00:00+00:00"}
    history = tuple(
        Switch(generation=name, at=moment, reason=Message.plain("published")) for name, moment in at.items()
    )
    since = datetime(2026, 11, 27, 8, 30, tzinfo=UTC).timestamp()
    assert _kept_generations(history, "3", since, keep=0) == {"1", "2", "3"}
    assert _kept_generations(history, "3", since + 86_400, keep=0) == {"3"}


def _age(folder: Path, hours: float) -> None:
    past = time.time() - hours * 3600
    for path in folder.rglob("*"):
        os.utime(path, (past, past))


def test_a_reader_follows_what_is_published_and_what_is_rolled_back(tmp_path, monkeypatch):
    from quarry.indexer.stores.lake import view

    monkeypatch.setattr(view, "_EVERY_S", 0.0)
    corpus, embedder = write_corpus(tmp_path / "corpus", files=6), WordEmbedder()
    lake = filled_lake(tmp_path / "lake", corpus)
    reader = Searcher.open(tmp_path / "lake", embedder=embedder, rerank="none")
    assert reader.newest() is reader
    add_to_lake(lake, [write_corpus(tmp_path / "more", files=3, seed=8)], embedder)
    publish(lake, embedder)
    newer = reader.newest()
    assert (newer.index.generation, newer.index.chunks.counts()[0]) == ("000002", 69)
    assert reader.index.chunks.counts()[0] == 36  # the older one is pinned
    step = roll_back(lake)
    assert step.generation == "000001"
    assert newer.newest().index.generation == "000001"
    shutil.move(tmp_path / "lake" / "lake.json", tmp_path / "lake.json")
    assert newer.newest() is newer
    assert "is not a lake" in str(newer.behind)
