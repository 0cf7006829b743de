"""A candidate generation: built with another model beside the live one, which answers until the switch."""

import errno
import os

import pytest

from quarry.indexer.build import build_candidate, build_index, compact_index, delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.facts import EmbedderFacts, Lineage
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.stores import STORE_KINDS
from tests.fakes import WordEmbedder
from tests.indexer.build.segmented import DIM, answers, corpus
from tests.indexer.writing import keep_segments

DOCUMENTS = [Document("a", "图书馆可以续借两次。"), Document("b", "Renew a book twice before it is due.")]


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder("1"))
    return tmp_path / "index"


def test_a_candidate_has_the_same_passages_and_other_vectors_and_does_not_answer(index):
    report = build_candidate(index, WordEmbedder("2"))
    assert (report.generation, report.switched, report.encoded) == ("000002", False, 2)
    live, candidate = Index.open(index), Index.open(index, generation="000002")
    assert live.generation == "000001"
    assert live.chunks.digests() == candidate.chunks.digests()
    assert live.manifest.embedder.fingerprint != candidate.manifest.embedder.fingerprint


def test_a_refused_candidate_is_removed_and_never_rolled_back_to(index):
    generations = Generations(index)
    build_candidate(index, WordEmbedder("2"))
    index_documents(index, [Document("c", "第三篇")], WordEmbedder("1"))
    assert generations.pointer().generation == "000003"
    assert generations.previous() == "000001"
    generations.discard("000002")
    assert generations.finished() == ["000001", "000003"]
    with pytest.raises(IndexFormatError, match="generation 000003 is live; expected one that is not"):
        generations.discard("000003")
    with pytest.raises(IndexFormatError, match="generation '000002' does not exist; expected one of 000001, 000003"):
        generations.discard("000002")


def test_the_same_model_makes_no_candidate(index):
    assert build_candidate(index, WordEmbedder("1")).generation == "000001"
    assert Generations(index).finished() == ["000001"]


def test_the_lineage_stays_as_long_as_the_model_does(index):
    generations = Generations(index)
    name = build_candidate(index, WordEmbedder("2")).generation
    folder = generations.folder / name
    lineage = Lineage(
        parent="000001",
        base=EmbedderFacts.of(WordEmbedder("1").spec, ""),
        run="r",
        verdict="better",
        forced=False,
        promoted="2026",
        calibration={},
    )
    Manifest.read(folder).model_copy(update={"lineage": lineage}).write(folder)
    generations.switch(name, "promoted")
    index_documents(index, [Document("c", "第三篇")], WordEmbedder("2"))
    assert Index.open(index).manifest.lineage == lineage
    build_index(index, [_file(index)], WordEmbedder("1"), BuildOptions(rebuild=True))
    assert Index.open(index).manifest.lineage is None


@pytest.mark.parametrize("kind", STORE_KINDS)
def test_a_candidate_shares_texts_and_terms_with_the_live_generation(tmp_path, monkeypatch, kind):
    keep_segments(monkeypatch)
    index, options = tmp_path / "index", BuildOptions(store=kind, analyzer="jieba")
    for first, count in ((0, 30), (30, 12), (42, 8)):
        index_documents(index, corpus(first, count), WordEmbedder(dim=DIM), options)
    delete_documents(index, ["d3", "d4", "d31"], WordEmbedder(dim=DIM))
    live = Manifest.read(Generations(index).live())
    assert len(live.segments) == 3
    other = WordEmbedder("2", dim=DIM)
    report = build_candidate(index, other, BuildOptions(store=kind))
    candidate = Manifest.read(Generations(index).folder / report.generation)
    assert (report.encoded, report.chunks) == (47, 47), "what is removed is not encoded"
    assert [one.passages for one in candidate.segments] == [one.passages for one in live.segments]
    for mine, theirs in zip(candidate.segments, live.segments, strict=True):
        folders = [index / "segments" / one.name for one in (mine, theirs)]
        for name in ("chunks.sqlite", "lexical/blocks.npy", "lexical/ids.npy"):
            assert (folders[0] / name).samefile(folders[1] / name)
    Generations(index).switch(report.generation, "promoted")
    documents = Index.open(index).chunks.documents()
    fresh = tmp_path / "fresh"
    index_documents(fresh, documents, other, options)
    assert answers(index) == answers(fresh)
    index_documents(index, corpus(60, 2), other)
    delete_documents(index, ["d5", "d32"], other)
    assert compact_index(index, other).encoded == 0
    index_documents(fresh, corpus(60, 2), other)
    delete_documents(fresh, ["d5", "d32"], other)
    assert answers(index) == answers(fresh)


def test_a_candidate_outlives_the_generation_that_it_shares_with(index):
    report = build_candidate(index, WordEmbedder("2"))
    generations = Generations(index)
    shared = list((index / "segments").glob("*/chunks.sqlite"))
    assert len(shared) == 2
    assert shared[0].samefile(shared[1])
    generations.switch(report.generation, "promoted")
    generations.discard("000001")
    assert len(list((index / "segments").iterdir())) == 1
    assert Index.open(index).chunks.document("a") == DOCUMENTS[0]


def test_without_hard_links_a_candidate_gets_copies(index, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    build_candidate(index, WordEmbedder("2"))
    one, other = (index / "segments").glob("*/chunks.sqlite")
    assert not one.samefile(other)
    assert one.read_bytes() == other.read_bytes()


def _file(index):
    path = index.parent / "d.txt"
    path.write_text("a fourth text", encoding="utf-8")
    return path
