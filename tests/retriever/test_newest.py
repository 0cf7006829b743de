"""A searcher that is held for long: it goes on to the newer generation, keeps its models, and says when it cannot."""

import shutil

import pytest

from quarry.indexer.build import build_candidate, index_documents
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.retriever.searcher import Searcher
from tests.fakes import OverlapReranker, WordEmbedder
from tests.indexer.older import part_of

NEW = Document("new", "A quagga is a kind of zebra 斑驴")


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", [Document("a", "zebra"), Document("b", "续借 renew")], WordEmbedder())
    return tmp_path / "index"


def found(searcher, query):
    return [hit.doc_id for hit in searcher.search(query, 1).results]


def test_nothing_newer_is_the_same_searcher(index):
    searcher = Searcher.open(index, embedder=WordEmbedder())
    assert searcher.newest() is searcher


def test_a_newer_generation_answers_with_the_models_that_are_loaded(index):
    embedder, reranker = WordEmbedder(), OverlapReranker()
    searcher = Searcher.open(index, embedder=embedder, rerank=reranker)
    index_documents(index, [NEW], WordEmbedder())
    newer = searcher.newest()
    assert (newer.index.generation, found(newer, "quagga"), found(newer, "斑驴")) == ("000002", ["new"], ["new"])
    answer = newer.search("quagga", 1)
    assert {stage.stage: stage.status for stage in answer.stages}["dense"] == "ran"  # with no model to be found on disk
    assert (newer.lazy_embedder.get(), newer.lazy_reranker.get()[0]) == (embedder, reranker)
    assert answer.notices == ()
    assert found(searcher, "zebra") == ["a"]  # the old one is not disturbed


def test_the_old_generation_is_let_go_when_its_searcher_is(index):
    searcher = Searcher.open(index, embedder=WordEmbedder())
    for number in range(4):
        index_documents(index, [Document(f"n{number}", "zebra")], WordEmbedder())
    assert "000001" in Generations(index).finished()  # held, though only three are kept
    searcher = searcher.newest()
    Generations(index).prune(1)
    assert Generations(index).finished() == ["000005"] == [searcher.index.generation]


def test_another_model_is_not_taken_along(index, monkeypatch):
    tuned = WordEmbedder("tuned")
    monkeypatch.setattr("quarry.retriever.models.lazy.recorded_embedder", lambda *_: tuned)
    searcher = Searcher.open(index, embedder=WordEmbedder())
    Generations(index).switch(build_candidate(index, tuned).generation, "promoted")
    assert searcher.newest().lazy_embedder.get() is tuned


def test_a_named_generation_stays(index):
    searcher = Searcher.open(index, embedder=WordEmbedder(), generation="000001")
    index_documents(index, [NEW], WordEmbedder())
    assert searcher.newest() is searcher


def test_a_newer_one_that_cannot_be_opened_is_a_notice(index):
    searcher = Searcher.open(index, embedder=WordEmbedder())
    index_documents(index, [NEW], WordEmbedder())
    shutil.rmtree(part_of(index, "lexical"))
    assert searcher.newest() is searcher
    (notice,) = searcher.search("zebra", 1).notices
    assert str(notice).startswith(
        "generation 000001 answers; a newer one could not be opened: generation 000002 is damaged"
    )
    Generations(index).switch("000001", "rolled back")
    assert searcher.newest().search("zebra", 1).notices == ()
