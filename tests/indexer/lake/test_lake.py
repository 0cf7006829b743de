"""A lake answers as an index of the same documents does, is changed as a whole or not at all, and says what is wrong with it."""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from quarry.app.cli.commands.why_not import command
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.encode.work import encode_corpus, shard_settings
from quarry.indexer.errors import (
    BadFilter,
    CorpusError,
    IndexBusyError,
    IndexFormatError,
    IndexMismatchError,
    SearchError,
    SettingsError,
    UnknownFilter,
)
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.indexing import LEAST_RECALL
from quarry.indexer.lake.keeping import _kept_generations, clean, examine, roll_back, status_of
from quarry.indexer.lake.making import Lake, check_conditional_puts, make_lake, settings_for
from quarry.indexer.lake.publishing import publish
from quarry.indexer.lake.roots import remove_root
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.principals import Principals
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.shards.folder import ShardFolder
from quarry.indexer.shards.shard import ShardError
from quarry.indexer.storage.pointer import Switch
from quarry.indexer.stores.lake.layout import read_pointer
from quarry.indexer.stores.lake.objects import LocalObjects
from quarry.indexer.stores.lake.view import as_index, place_of
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.several import Several, names_of
from quarry.retriever.why_not.report import why_not
from quarry.retriever.why_not.search import Search
from tests import ROOT
from tests.fakes import OverlapReranker, WordEmbedder
from tests.indexer.lake.lakes import SPEC, filled_lake, new_lake, write_corpus

QUESTIONS = [
    "renew a book",
    "续借图书",
    "打印",
    "借",
    "Title 7",
    "003.md",
    "printer filament printer filament printer",
    "printer -filament",
    '"loan fine"',
    "“到期”",
    "no such words at all",
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Views of lakes go into the test's own folder; the dictionary stays where it is."""
    from quarry.indexer.stores.lake import view

    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """An index and a lake of the same documents, for tests that only read."""
    root = tmp_path_factory.mktemp("both")
    corpus = write_corpus(root / "corpus")
    filled_lake(root / "lake", corpus)
    build_index(root / "index", [corpus], WordEmbedder(), BuildOptions(chunking=SPEC, rerank_vectors=False))
    return root


@pytest.fixture
def searchers(both):
    return tuple(Searcher.open(both / name, embedder=WordEmbedder(), rerank="none") for name in ("index", "lake"))


@pytest.mark.parametrize("route", ["bm25", "dense", "hybrid"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_lake_answers_as_an_index_of_the_same_documents(searchers, question, route):
    mine, theirs = (searcher.search(question, 10, SearchOptions(route=route)) for searcher in searchers)
    assert [hit.chunk_id for hit in mine.results] == [hit.chunk_id for hit in theirs.results]
    assert [hit.score for hit in mine.results] == pytest.approx([hit.score for hit in theirs.results], abs=1e-4)
    assert [hit.evidence.terms for hit in mine.results] == [hit.evidence.terms for hit in theirs.results]
    assert [(hit.title, hit.text, hit.source, hit.page, dict(hit.meta)) for hit in mine.results] == [
        (hit.title, hit.text, hit.source, hit.page, dict(hit.meta)) for hit in theirs.results
    ]
    assert [(stage.stage, stage.status) for stage in mine.stages] == [
        (stage.stage, stage.status) for stage in theirs.stages
    ]
    assert mine.notices == theirs.notices


@pytest.mark.parametrize(
    "filters",
    [
        {"lang": "zh"},
        {"lang": ["zh", "en"]},
        {"source": "*00*"},
        {"modified": ">=2023-01-01"},
        {"price": ["<10", ">=3"]},
        {"price": "!=5"},
        {"tags": "odd"},
        {"TAGS": "even"},
        {"when": "2024-03"},
        {"title": "Title 1*"},
        {"doc_id": "corpus/003.md"},
        {"tags": "odd", "price": {"lt": 20}},
        {"tags": "neither"},
    ],
)
@pytest.mark.parametrize("route", ["bm25", "hybrid"])
def test_filters_let_through_what_they_do_in_an_index(searchers, filters, route):
    options = SearchOptions(filters=filters, route=route)
    mine, theirs = (searcher.search("renew 续借 book", 10, options).results for searcher in searchers)
    assert [hit.chunk_id for hit in mine] == [hit.chunk_id for hit in theirs]
    allowed = [searcher.index.chunks.matching(filters) for searcher in searchers]
    assert set(allowed[0]) == set(allowed[1])
    assert len(allowed[0]) == len(allowed[1])


def test_filters_that_cannot_be_answered_are_refused_as_in_an_index(searchers):
    for searcher in searchers:
        with pytest.raises(UnknownFilter, match="no document has the metadata colour"):
            searcher.search("book", 3, SearchOptions(filters={"colour": "red"}))
        with pytest.raises(BadFilter, match="cannot be compared"):
            searcher.search("book", 3, SearchOptions(filters={"tags": ">3"}))


def test_a_second_stage_and_an_explanation_are_the_same(both):
    found = []
    for name in ("index", "lake"):
        ranker = OverlapReranker()
        searcher = Searcher.open(both / name, embedder=WordEmbedder(), rerank=ranker)
        found.append(searcher.search("renew a book at the library", 10))
        assert ranker.passages_scored > 10
    mine, theirs = (
        [(hit.chunk_id, hit.evidence.rerank, hit.evidence.bm25.rank) for hit in one.results] for one in found
    )
    assert mine == theirs


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("renew a loan", "000.md"),
        ("图书馆续借", "rows.jsonl"),
        ("renew a laon", "Title 7"),
        ('"printer book"', "001.md"),
        ("renew", "corpus/000.md"),
        ("renew", "nothing.md"),
    ],
)
def test_why_a_document_is_missing_is_told_of_a_lake_as_of_an_index(searchers, question, document):
    mine, theirs = (why_not(searcher, Search(question, 2), document).to_dict() for searcher in searchers)
    for told in (mine, theirs):
        told.pop("remarks")  # an index knows its files, and tells when one has changed
    assert mine == theirs


def test_a_lake_is_called_by_its_address_beside_other_indexes(both):
    roots = [as_index(both / "lake"), both / "index"]
    assert names_of(roots) == {"lake": roots[0], "index": roots[1]}
    assert place_of(roots[0]) == str(both / "lake")
    found, _ = Several(
        {name: Searcher.open(root, embedder=WordEmbedder()) for name, root in names_of(roots).items()}
    ).search("renew a loan", 4)
    assert {hit.index for hit in found.results} == {"lake", "index"}
    assert "or one is a lake" in str(found.notices[-1])
    assert f"quarry search {both / 'lake'} " in command(roots[0], Search("renew", 3))


def test_a_lake_without_its_model_answers_by_words_and_says_so(both):
    answer = Searcher.open(both / "lake", rerank="none").search("renew a book", 5)
    assert answer.results
    assert [stage.status for stage in answer.stages if stage.stage == "dense"] == ["missing"]


def test_the_measurement_and_the_digest_are_those_of_the_index(both):
    index, lake = Index.open(both / "index").manifest, Index.open(both / "lake").manifest
    assert lake.corpus_sha256 == index.corpus_sha256
    assert (lake.documents, lake.chunks) == (index.documents, index.chunks)
    assert lake.probes.quality == index.probes.quality
    assert lake.probes.spread == pytest.approx(index.probes.spread, rel=1e-4)
    assert lake.probes.languages == index.probes.languages
    assert lake.probes.names.quality == index.probes.names.quality


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


def test_a_view_is_only_read(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=4)
    filled_lake(tmp_path / "lake", corpus)
    view = as_index(tmp_path / "lake")
    with pytest.raises(IndexMismatchError, match="quarry lake add"):
        build_index(view, [corpus], WordEmbedder())
    index = Index.open(view)
    with pytest.raises(SearchError, match="not offered for a lake"):
        index.chunks.passages().__next__()
    with pytest.raises(IndexFormatError, match="may see a document"):
        index.seen_by(Principals.of("ann"))


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
