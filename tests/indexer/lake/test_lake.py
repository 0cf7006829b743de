"""A lake is changed as a whole or not at all, and says what is wrong with it."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.encode.work import encode_corpus, shard_settings
from quarry.indexer.errors import (
    CorpusError,
    IndexBusyError,
    IndexFormatError,
    IndexMismatchError,
    SearchError,
    SettingsError,
)
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.indexing import LEAST_RECALL
from quarry.indexer.lake.keeping import clean, examine, roll_back, status_of
from quarry.indexer.lake.making import Lake, check_conditional_puts, make_lake, settings_for
from quarry.indexer.lake.publishing import publish
from quarry.indexer.lake.roots import remove_root
from quarry.indexer.opened import Index
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.shards.shard import ShardError
from quarry.indexer.stores.lake.layout import read_pointer
from quarry.indexer.stores.lake.objects import LocalObjects
from quarry.retriever.searcher import Searcher
from tests import ROOT
from tests.fakes import WordEmbedder
from tests.indexer.lake.lakes import SPEC, filled_lake, new_lake, write_corpus
from tests.indexer.lake.test_keeping import _age

pytestmark = pytest.mark.usefixtures("own_cache")


def test_the_same_command_adds_nothing_and_a_changed_file_costs_its_unit(tmp_path):
    corpus, embedder = write_corpus(tmp_path / "corpus"), WordEmbedder()
    lake = new_lake(tmp_path / "lake", embedder)
    first = add_to_lake(lake, [corpus], embedder)
    assert (first.kept, first.documents) == (0, 70)
    before = embedder.texts_encoded
    again = add_to_lake(lake, [corpus], embedder)
    assert (again.kept, again.encoded, again.documents) == (again.shards, 0, 70)
    assert embedder.texts_encoded == before
    assert publish(lake, embedder).switched
    assert not publish(lake, embedder).switched

    (corpus / "new.md").write_text("# Osmosis\n\nWater passes through a membrane.", "utf-8")
    (corpus / "001.md").unlink()
    add_to_lake(lake, [corpus], embedder)
    assert status_of(lake).to_publish
    report = publish(lake, embedder)
    assert (report.generation, report.documents) == ("000002", 70)
    found = Searcher.open(tmp_path / "lake", embedder=embedder, rerank="none")
    assert found.search("osmosis", 1).results[0].title == "Osmosis"
    assert "corpus/001.md" not in found.index.chunks.doc_ids()


def test_vectors_of_quarry_encode_are_taken_and_nothing_is_encoded(tmp_path):
    corpus, maker, mine = write_corpus(tmp_path / "corpus"), WordEmbedder(), WordEmbedder()
    folder = ShardFolder.create(tmp_path / "shards", shard_settings(maker, "", SPEC, ReadOptions(), token_states=False))
    encode_corpus([corpus], folder, maker)
    lake = new_lake(tmp_path / "lake", mine)
    report = add_to_lake(lake, [corpus], mine, vectors=tmp_path / "shards")
    assert (report.encoded, mine.texts_encoded) == (0, 0)
    assert report.taken > report.passages > 0
    publish(lake, mine)
    filled_lake(tmp_path / "other", corpus)
    one, other = (Index.open(tmp_path / name).vectors for name in ("lake", "other"))
    question = mine.embed_queries(["renew a book"])
    assert one.search(question, 20) == other.search(question, 20)


def test_vectors_of_another_model_or_cut_are_refused(tmp_path):
    corpus, embedder = write_corpus(tmp_path / "corpus", files=4), WordEmbedder()
    lake = new_lake(tmp_path / "lake", embedder)
    with pytest.raises(IndexMismatchError, match="another one"):
        add_to_lake(lake, [corpus], WordEmbedder("2"))
    other = ShardFolder.create(
        tmp_path / "shards",
        shard_settings(WordEmbedder("2"), "", SPEC, ReadOptions(), token_states=False),
    )
    with pytest.raises(IndexMismatchError, match="model"):
        add_to_lake(lake, [corpus], embedder, vectors=other.root)
    with pytest.raises(IndexMismatchError, match="with other settings"):
        make_lake(tmp_path / "lake", settings_for(WordEmbedder("2"), "", SPEC, ReadOptions()))


def test_a_document_that_is_in_two_folders_is_there_once(tmp_path):
    for name, text in (("one", "first"), ("two", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "corpus.jsonl").write_text(f'{{"_id": "same", "title": "t", "text": "the {text} text"}}\n')
    embedder = WordEmbedder()
    lake = new_lake(tmp_path / "lake", embedder)
    add_to_lake(lake, [tmp_path / "one", tmp_path / "two"], embedder)
    report = publish(lake, embedder)
    assert (report.documents, report.left_out, report.passages) == (1, 1, 1)
    assert "first" in Index.open(tmp_path / "lake").chunks.document("same").text


def test_a_folder_is_taken_out_and_another_of_its_name_is_refused(tmp_path):
    embedder = WordEmbedder()
    one, two = write_corpus(tmp_path / "a" / "docs", files=4), write_corpus(tmp_path / "b" / "docs", files=5)
    more = write_corpus(tmp_path / "more", files=3, seed=8)
    lake = new_lake(tmp_path / "lake", embedder)
    add_to_lake(lake, [one, more], embedder)
    publish(lake, embedder)
    with pytest.raises(IndexMismatchError, match="has a folder docs already"):
        add_to_lake(lake, [two], embedder)
    with pytest.raises(CorpusError, match="has no folder dogs"):
        remove_root(lake, "dogs")
    remove_root(lake, "docs")
    assert status_of(lake).to_publish
    assert publish(lake, embedder).documents == 33
    assert {doc_id.split("/")[0] for doc_id in Index.open(tmp_path / "lake").chunks.doc_ids()} == {"more"}


def test_a_damaged_shard_is_refused_by_name_and_the_live_generation_answers_on(tmp_path):
    corpus, embedder = write_corpus(tmp_path / "corpus"), WordEmbedder()
    lake = filled_lake(tmp_path / "lake", corpus)
    add_to_lake(lake, [write_corpus(tmp_path / "more", files=3, seed=8)], embedder)
    shards = sorted((tmp_path / "lake" / "shards").glob("*.passages.*.arrow"))
    content = bytearray(shards[-1].read_bytes())
    content[len(content) // 2] ^= 1
    shards[-1].write_bytes(bytes(content))
    with pytest.raises(ShardError, match=shards[-1].name):
        publish(lake, embedder)
    assert any(finding and shards[-1].name in str(finding) for finding in examine(lake))
    assert Searcher.open(tmp_path / "lake", embedder=embedder, rerank="none").search("renew", 3).results

    shards[-1].unlink()
    with pytest.raises(ShardError, match="it is missing"):
        publish(lake, embedder)
    add_to_lake(lake, [corpus, tmp_path / "more"], embedder)  # makes it again
    assert publish(lake, embedder).documents == 103
    (tmp_path / "lake" / "shards" / (shards[-1].name.partition(".")[0] + ".json")).unlink()
    assert any(finding and "is missing" in str(finding) for finding in examine(lake))


def test_a_writer_that_was_overtaken_is_told_so_and_what_is_live_stays(tmp_path, monkeypatch):
    from quarry.indexer.lake import publishing

    corpus, embedder = write_corpus(tmp_path / "corpus", files=6), WordEmbedder()
    lake = new_lake(tmp_path / "lake", embedder)
    add_to_lake(lake, [corpus], embedder)
    measure = publishing.measure

    def overtaken(*arguments):
        monkeypatch.setattr(publishing, "measure", measure)
        publish(Lake.open(tmp_path / "lake"), embedder)
        return measure(*arguments)

    monkeypatch.setattr(publishing, "measure", overtaken)
    with pytest.raises(IndexBusyError, match="was changed by another process"):
        publish(lake, embedder)
    pointer, _ = read_pointer(lake.objects)
    assert pointer.generation == "000002"  # that of the faster one
    assert Searcher.open(tmp_path / "lake", embedder=embedder, rerank="none").search("renew", 3).results


def test_a_lake_that_was_made_again_at_the_same_place_is_read_anew(tmp_path):
    filled_lake(tmp_path / "lake", write_corpus(tmp_path / "corpus", files=6))
    assert Index.open(tmp_path / "lake").chunks.counts()[0] == 36
    shutil.rmtree(tmp_path / "lake")
    time.sleep(1.1)  # the time of a switch is kept in seconds
    filled_lake(tmp_path / "lake", write_corpus(tmp_path / "other", files=9, seed=8))
    again = Index.open(tmp_path / "lake")
    assert (again.generation, again.chunks.counts()[0]) == ("000001", 39)


def test_what_is_not_a_lake_or_empty_is_refused_with_the_command_to_run(tmp_path):
    with pytest.raises(IndexFormatError, match="quarry lake init"):
        Lake.open(tmp_path / "nothing")
    lake = new_lake(tmp_path / "lake", WordEmbedder())
    with pytest.raises(IndexFormatError, match="quarry lake add"):
        Index.open(tmp_path / "lake")
    with pytest.raises(IndexFormatError, match="quarry lake add"):
        publish(lake, WordEmbedder())
    with pytest.raises(IndexFormatError, match="no generation before"):
        roll_back(lake)
    with pytest.raises(SettingsError, match="not supported"):
        Lake.open("gs://bucket/kb")
    with pytest.raises(CorpusError, match="no readable document"):
        (tmp_path / "empty").mkdir()
        add_to_lake(lake, [tmp_path / "empty"], WordEmbedder())


class Forgetful(LocalObjects):
    """Storage that takes no notice of conditions, as some that speak the protocol of S3."""

    def create(self, name: str, content: bytes) -> bool:
        self.write(name, content)
        return True

    def replace(self, name: str, content: bytes, tag: str) -> bool:
        return self.create(name, content)


def test_storage_without_conditional_puts_is_refused_by_trial(tmp_path):
    with pytest.raises(SettingsError, match="If-None-Match on one that is there was accepted"):
        check_conditional_puts(Forgetful(tmp_path / "a"))
    assert not any((tmp_path / "a").rglob("*.*"))
    check_conditional_puts(LocalObjects(tmp_path / "b"))
    assert [*LocalObjects(tmp_path / "b").names()] == []


def test_with_an_index_over_the_vectors_recall_is_measured_and_kept(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=400)
    lake = filled_lake(tmp_path / "lake", corpus, index_from=500)
    facts = status_of(lake).live.passages
    assert facts.index == "IVF_RQ"
    assert facts.recall >= LEAST_RECALL
    assert facts.refine >= 10
    index, embedder = Index.open(tmp_path / "lake"), WordEmbedder()
    assert index.manifest.store.details["recall@10"] == facts.recall
    questions = embedder.embed_queries(["renew a book", "续借图书", "printer filament"])
    exact = [{near.chunk_id for near in index.vectors.exact(one, 10)} for one in questions]
    found = [{near.chunk_id for near in hits} for hits in index.vectors.search(questions, 10)]
    assert np.mean([len(a & b) / 10 for a, b in zip(exact, found, strict=True)]) >= LEAST_RECALL


def test_recall_below_the_least_is_refused_and_the_live_generation_stays(tmp_path, monkeypatch):
    from quarry.indexer.lake import indexing

    corpus, embedder = write_corpus(tmp_path / "corpus", files=200), WordEmbedder()
    lake = filled_lake(tmp_path / "lake", corpus)
    add_to_lake(lake, [write_corpus(tmp_path / "more", files=10, seed=8)], embedder)
    monkeypatch.setattr(indexing, "LEAST_RECALL", 1.01)
    with pytest.raises(SearchError, match=r"recall@10 of .* expected at least 1.01"):
        publish(lake, embedder, index_from=100)
    assert read_pointer(lake.objects)[0].generation == "000001"
    assert Searcher.open(tmp_path / "lake", embedder=embedder, rerank="none").search("renew", 3).results


def test_a_publish_that_is_killed_leaves_the_live_generation(tmp_path):
    corpus, embedder = write_corpus(tmp_path / "corpus", files=6), WordEmbedder()
    lake = filled_lake(tmp_path / "lake", corpus)
    add_to_lake(lake, [write_corpus(tmp_path / "more", files=3, seed=8)], embedder)
    events = int(_published(tmp_path / "lake", 10_000, dry=True))
    switched = 0
    for point in np.linspace(2, events, 4, dtype=int).tolist():
        assert _published(tmp_path / "lake", point) == ""
        generation = read_pointer(lake.objects)[0].generation
        switched += generation != "000001"
        documents = Index.open(tmp_path / "lake").manifest.documents
        assert documents == (69 if switched else 36)
    assert switched == 0  # the last event comes before the switch
    publish(lake, embedder)
    _age(tmp_path / "lake", 3)
    assert len(clean(lake, hours=0, keep=0).generations) >= 4
    assert all(finding is None for finding in examine(lake))
    assert Index.open(tmp_path / "lake").manifest.documents == 69


def _published(lake: Path, point: int, *, dry: bool = False) -> str:
    """Publish in a process that kills itself at an event; return what it printed: nothing when it was killed."""
    arguments = [sys.executable, "-m", "tests.indexer.lake.killed", str(lake), str(point), "dry" if dry else "kill"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == (0 if dry else -9), done.stderr[-2000:]
    return done.stdout.strip()
