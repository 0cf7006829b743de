"""The follower of the live generation: what it takes over, what it keeps, and what it says when it cannot."""

import shutil
import threading
import time

import pytest

from quarry.indexer.build import build_candidate, index_documents
from quarry.indexer.errors import IndexFormatError, IndexMismatchError, ModelError
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.retriever.live import LiveSearcher
from tests.fakes import OverlapReranker, WordEmbedder
from tests.indexer.older import part_of

NEW = Document("new", "A quagga is a kind of zebra 斑驴")


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", [Document("a", "zebra"), Document("b", "续借 renew")], WordEmbedder())
    return tmp_path / "index"


def best(searcher, query):
    return [hit.doc_id for hit in searcher.search(query, 1).results]


def wait(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_a_newer_generation_takes_over_with_the_loaded_models(index):
    embedder, reranker = WordEmbedder(), OverlapReranker()
    live = LiveSearcher(index, embedder=embedder, rerank=reranker)
    first = live.searcher
    assert live.newest() is first
    index_documents(index, [NEW], WordEmbedder())
    assert live.searcher is first, "nothing is looked up without being asked to"
    assert best(live.newest(), "quagga") == ["new"]
    assert live.embedder() is embedder
    assert live.reranker.get()[0] is reranker
    assert best(first, "zebra") == ["a"], "who still reads the old one is not disturbed"


def test_it_follows_in_a_thread_until_it_is_closed(index):
    live = LiveSearcher(index, embedder=WordEmbedder())
    live.follow(0.05)
    index_documents(index, [NEW], WordEmbedder())
    wait(lambda: live.searcher.index.generation == "000002")
    live.close()
    index_documents(index, [Document("c", "gnu")], WordEmbedder())
    time.sleep(0.3)
    assert live.searcher.index.generation == "000002"


def test_the_old_one_answers_while_the_new_ones_model_is_loading(index, monkeypatch):
    loading, go_on = threading.Event(), threading.Event()

    def load(*_):
        loading.set()
        go_on.wait(20)
        return WordEmbedder("tuned")

    monkeypatch.setattr("quarry.retriever.models.lazy.recorded_embedder", load)
    live = LiveSearcher(index, embedder=WordEmbedder())
    Generations(index).switch(build_candidate(index, WordEmbedder("tuned")).generation, "promoted")
    thread = threading.Thread(target=live.newest)
    thread.start()
    assert loading.wait(20)
    assert live.newest().index.generation == "000001"
    go_on.set()
    thread.join(20)
    assert live.searcher.index.generation == "000002"
    assert live.embedder().spec.revision == "tuned"


def test_a_newer_one_that_cannot_be_opened_leaves_the_old_one_and_is_a_problem(index):
    live = LiveSearcher(index, embedder=WordEmbedder())
    assert live.problem is None
    index_documents(index, [NEW], WordEmbedder())
    shutil.rmtree(part_of(index, "lexical"))
    assert best(live.newest(), "zebra") == ["a"]
    assert "generation 000001 answers; a newer one could not be opened" in str(live.problem)
    Generations(index).switch("000001", "rolled back")
    live.refresh()
    assert live.problem is None


def test_a_model_that_cannot_be_loaded_is_a_warning_and_an_error_for_who_needs_it(index):
    live = LiveSearcher(index)
    (warning,) = live.warnings
    assert str(warning).startswith("the embedding model could not be loaded: tests/words ")
    with pytest.raises(ModelError, match="tests/words"):
        live.embedder()
    assert best(live.searcher, "zebra") == ["a"]


def test_a_lexical_index_has_no_embedder_and_no_warning(tmp_path):
    index_documents(tmp_path / "index", [NEW], None)
    live = LiveSearcher(tmp_path / "index")
    assert (live.embedder(), live.warnings) == (None, ())


def test_what_is_no_index_or_another_embedder_is_refused(index, tmp_path):
    with pytest.raises(IndexFormatError):
        LiveSearcher(tmp_path / "nothing")
    with pytest.raises(IndexMismatchError):
        LiveSearcher(index, embedder=WordEmbedder("another"))


def test_warming_reads_the_chinese_dictionary(index, monkeypatch):
    read = []
    monkeypatch.setattr("jieba.dt.initialized", False)
    monkeypatch.setattr("jieba.dt.initialize", lambda: read.append(True))
    LiveSearcher(index, embedder=WordEmbedder())
    assert read == [True]
