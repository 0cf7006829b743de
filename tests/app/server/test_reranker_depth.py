"""Each request chooses how much of a layerwise reranker runs: the scores are those of a reranker loaded so, and no others."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.rerankers.cross_encoder import load_reranker
from quarry.retriever.rerankers.depth import DepthError
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.app.server.serving import served, small_index
from tests.fakes import OverlapReranker, WordEmbedder
from tests.retriever.rerankers.test_gemma import NAME, folder
from tests.retriever.rerankers.tiny_rerankers import PASSAGES

__all__ = ["folder"]
QUERY = "renew a book"
DEPTHS = [(None, None), (2, None), (3, 2), (2, 8), (3, 1), (None, 4)]


@pytest.fixture
def index(tmp_path, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"compress_layers": [1]}))
    into = tmp_path / "index"
    index_documents(into, [Document(f"{number}.txt", text) for number, text in enumerate(PASSAGES)], None)
    return into


def loaded(folder, layers=3, ratio=1):
    return load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=layers, compress=ratio)


def asked(layers, ratio):
    given = {"query": QUERY, "strength": False, "cutoff_layers": layers, "compress": ratio}
    return {key: value for key, value in given.items() if value is not None}


def test_requests_of_different_depths_at_the_same_time_get_the_scores_of_theirs(index, folder):
    wanted = {}
    for layers, ratio in DEPTHS:
        alone = Searcher.open(index, rerank=loaded(folder, layers or 3, ratio or 1))
        wanted[layers, ratio] = [result.score for result in alone.search(QUERY).results]
    assert len({tuple(scores) for scores in wanted.values()}) == 5  # 3 layers without compression are the whole model
    with served(ServeOptions(index), None, loaded(folder)) as running, ThreadPoolExecutor(12) as pool:
        bodies = [asked(*depth) for depth in DEPTHS] * 3
        answers = list(pool.map(lambda body: running.client.post("/search", json=body), bodies))
    for depth, answer in zip(DEPTHS * 3, answers, strict=True):
        assert answer.status_code == 200, answer.text
        assert answer.json()["stages"][-1]["status"] == "ran"
        assert [hit["score"] for hit in answer.json()["results"]] == pytest.approx(wanted[depth], abs=1e-4)


@pytest.mark.parametrize(
    ("layers", "ratio", "reason"),
    [(1, None, "rerankers.cutoff_steps"), (3, None, "rerankers.cutoff_steps"), (None, 4, "")],
)
def test_no_more_layers_run_than_the_server_loaded(index, folder, layers, ratio, reason):
    with served(ServeOptions(index), None, loaded(folder, 2)) as running:
        answer = running.client.post("/search", json=asked(layers, ratio))
        other = running.client.post("/search", json=asked(None, None))
        off = running.client.post("/search", json={**asked(layers, ratio), "rerank": False})
    assert answer.status_code == (409 if reason else 200)
    if reason:
        error = answer.json()["error"]
        assert error["code"] == "depth"
        assert error["reason"] == reason
        assert error["expected"] == "2 to 2 in steps of 1, the layers with a head"
    assert other.status_code == 200
    assert off.status_code == 200  # nothing is reranked, so no depth is wrong


def test_a_depth_that_the_server_has_no_reranker_for_is_refused_not_ignored(tmp_path):
    index = small_index(tmp_path / "index", WordEmbedder())
    with served(ServeOptions(index), WordEmbedder()) as running:
        answer = running.client.post("/search", json={"query": "renew books", "cutoff_layers": 8})
        assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "rerankers.depth_of_none")
        bad = running.client.post("/search", json={"query": "renew books", "compress": 3})
        assert bad.status_code == 422
    with served(ServeOptions(index), WordEmbedder(), OverlapReranker()) as running:
        answer = running.client.post("/why-not", json={"query": "renew books", "compress": 2, "document": "hours"})
        assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "rerankers.no_depth")


def test_the_library_takes_the_same_options(index, folder):
    searcher = Searcher.open(index, rerank=loaded(folder))
    other = Searcher.open(index, rerank=loaded(folder, 2, 2))
    found = searcher.search(QUERY, options=SearchOptions(cutoff_layers=2, compress=2))
    assert [one.score for one in found.results] == pytest.approx(
        [one.score for one in other.search(QUERY).results], abs=1e-4
    )
    with pytest.raises(DepthError, match="the layer cutoff is 1"):
        searcher.search(QUERY, options=SearchOptions(cutoff_layers=1))
