"""A candidate generation: built with another model beside the live one, which answers until the switch."""

import pytest

from quarry.indexer.build import build_candidate, build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import EmbedderFacts, Lineage, Manifest
from tests.fakes import WordEmbedder

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


def _file(index):
    path = index.parent / "d.txt"
    path.write_text("a fourth text", encoding="utf-8")
    return path


def _rebuild():
    from quarry.indexer.build.plan import BuildOptions

    return BuildOptions(rebuild=True)
