"""The whole search scored by mteb, on retrieval and on reranking tasks."""

import numpy as np
import pytest

from quarry.indexer.errors import SettingsError
from quarry.retriever.benchmark.run import score_tasks
from quarry.retriever.benchmark.search_model import MtebBaseline, MtebReranker, MtebSearch, SearchSettings, suits
from quarry.retriever.benchmark.tasks.choices import chosen
from tests.fakes import OverlapReranker, WordEmbedder
from tests.retriever.benchmark import native_data as made

mteb = pytest.importorskip("mteb")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return made.write_everything(tmp_path_factory.mktemp("copies"))


def scored(model, data, into, tasks="T2Retrieval,SciDocsRR"):
    return {found.task: found for found in score_tasks(model, chosen(tasks, data).choices, into)}


@pytest.mark.parametrize("route", ["bm25", "hybrid+rerank"])
def test_a_search_finds_documents_by_words(route, data, tmp_path):
    embedder = None if route == "bm25" else WordEmbedder()
    model = MtebSearch(embedder, SearchSettings(route, OverlapReranker()))
    found = scored(model, data, tmp_path)
    assert found["T2Retrieval"].score > 0.6
    assert found["SciDocsRR"].score > 0.5
    again = scored(model, data, tmp_path, "T2Retrieval")["T2Retrieval"]
    assert (again.reused, again.score) == (True, pytest.approx(found["T2Retrieval"].score, abs=1e-6))
    folder = next((tmp_path / "results").iterdir()).name
    assert folder == ("quarry__bm25" if route == "bm25" else "quarry__hybrid+rerank-tests_overlap-tests_words")


def test_candidates_alone_are_ranked_and_all_of_them():
    from datasets import Dataset

    corpus = Dataset.from_list([{"id": name, "title": "", "text": text} for name, text in (
        ("a", "renew books"), ("b", "opening hours"), ("c", "renew books renew books"), ("d", "renew a card"))])  # fmt: skip  # a table
    queries = Dataset.from_list([{"id": "q", "text": "renew books"}, {"id": "other", "text": "hours"}])
    model = MtebSearch(None, SearchSettings("bm25"))
    model.index(corpus)
    found = model.search(queries, top_k=10, top_ranked={"q": ["b", "d", "a"], "other": ["b", "a"]})
    assert list(found["q"]) == ["a", "d", "b"]
    assert list(found["other"]) == ["b", "a"]
    assert list(found["q"].values()) == sorted(found["q"].values(), reverse=True)
    whole = model.search(queries, top_k=2)
    assert set(whole["q"]) == {"a", "c"}


def test_mteb_takes_each_for_what_it_is(tmp_path):
    protocols = pytest.importorskip("mteb.models")
    search, reranker = MtebSearch(None, SearchSettings("bm25")), MtebReranker(OverlapReranker())
    assert isinstance(search, protocols.SearchProtocol)
    assert not isinstance(search, protocols.EncoderProtocol)
    assert isinstance(reranker, protocols.CrossEncoderProtocol)
    assert (suits("Reranking"), suits("STS")) == (True, False)


def test_a_reranker_scores_each_query_once(data, tmp_path):
    reranker = OverlapReranker()
    scores = MtebReranker(reranker).predict(
        [{"text": ["a b", "a b"]}, {"text": ["c"]}], [{"text": ["a", "x"]}, {"text": ["c"]}]
    )
    assert np.allclose(scores, [0.5, 0, 1])
    assert scored(MtebReranker(reranker), data, tmp_path, "SciDocsRR")["SciDocsRR"].score > 0.5


def test_mtebs_baseline_stands_beside_under_its_own_name(data, tmp_path):
    pytest.importorskip("bm25s")
    found = scored(MtebBaseline(), data, tmp_path, "T2Retrieval")
    assert found["T2Retrieval"].score > 0.3
    assert next((tmp_path / "results").iterdir()).name.startswith("mteb__baseline-bm25s")


def test_a_route_that_needs_a_model_says_so():
    with pytest.raises(SettingsError, match="hybrid needs an embedding model"):
        MtebSearch(None, SearchSettings("hybrid"))
    with pytest.raises(SettingsError, match="unknown route 'fast'"):
        MtebSearch(None, SearchSettings("fast"))


def test_a_task_in_another_language_is_searched_by_its_words():
    from datasets import Dataset

    corpus = Dataset.from_list(
        [{"id": "a", "title": "", "text": "Les chevaux courent."}, {"id": "b", "title": "", "text": "Le musée ferme."}]
    )
    queries = Dataset.from_list([{"id": "q", "text": "cheval"}])
    model = MtebSearch(None, SearchSettings("bm25"))
    model.index(corpus, task_metadata=mteb.get_task("AlloprofRetrieval").metadata)
    assert list(model.search(queries, top_k=5)["q"]) == ["a"]
    model.index(corpus, task_metadata=mteb.get_task("NFCorpus").metadata)
    assert model.search(queries, top_k=5)["q"] == {}
