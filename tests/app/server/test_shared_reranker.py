"""Concurrent rerankings share batches and stay what they are alone: the queue in front of a reranker, and over HTTP."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

pytest.importorskip("fastapi")

from quarry.app.server.models.batching import BatchQueue, QueueFullError
from quarry.app.server.models.shared_reranker import SharedReranker
from quarry.app.server.settings import ServeOptions
from quarry.indexer.errors import ModelError
from quarry.retriever.searcher import Searcher
from tests.app.server.serving import served, small_index
from tests.fakes import OverlapReranker, WordEmbedder

PASSAGES = ["Renew books twice online.", "可以在网上续借两次。", "closed on Mondays", "十本书"]
QUERIES = ["renew books online", "网上续借", "when is it closed", "借书"]


class Gated(OverlapReranker):
    """Scores several queries at once, only when it may, and keeps the sizes of its batches in passages."""

    def __init__(self):
        super().__init__()
        self.gate, self.started, self.sizes = threading.Event(), threading.Event(), []

    def score_many(self, asked):
        self.started.set()
        self.gate.wait(20)
        if any("broken" in query for query, _ in asked):
            raise ModelError("this pair cannot be computed")
        self.sizes.append(sum(len(passages) for _, passages in asked))
        return [self.score(query, passages) for query, passages in asked]


@pytest.fixture
def shared():
    gated, sizes = Gated(), []
    queue = BatchQueue(8, 64, sizes.append)
    yield SharedReranker(gated, queue), gated
    gated.gate.set()
    queue.close()


def test_callers_share_batches_and_get_their_own_scores(shared):
    reranker, gated = shared
    assert reranker.name == "tests/overlap"
    assert reranker.score("renew", []).shape == (0,)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(reranker.score, QUERIES[0], PASSAGES)
        assert gated.started.wait(5)
        others = [pool.submit(reranker.score, query, PASSAGES) for query in QUERIES]
        while len(reranker._queue) < 4:
            threading.Event().wait(0.01)
        gated.gate.set()
        for query, future in zip([QUERIES[0], *QUERIES], [first, *others], strict=True):
            np.testing.assert_array_equal(future.result(5), OverlapReranker().score(query, PASSAGES))
    assert gated.sizes == [4, 16]


def test_a_long_request_goes_in_parts_and_lets_short_ones_pass(shared):
    reranker, gated = shared
    gated.gate.set()
    many = [f"{passage} {number}" for number in range(25) for passage in PASSAGES]
    np.testing.assert_array_equal(reranker.score(QUERIES[0], many), OverlapReranker().score(QUERIES[0], many))
    assert sum(gated.sizes) == 100
    assert max(gated.sizes) <= 64


def test_one_that_fails_fails_alone(shared):
    reranker, gated = shared
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(reranker.score, query, PASSAGES) for query in (QUERIES[0], "broken", QUERIES[1])]
        gated.started.wait(5)
        gated.gate.set()
        assert len(futures[0].result(5)) == len(futures[2].result(5)) == 4
        with pytest.raises(ModelError, match="cannot be computed"):
            futures[1].result(5)


def test_what_does_not_fit_into_the_queue_leaves_nothing_in_it(shared):
    reranker, gated = shared
    reranker.submit("renew", PASSAGES)
    assert gated.started.wait(5)
    with pytest.raises(QueueFullError, match="8 requests are already waiting"):
        reranker.submit("renew", PASSAGES * 50)
    gated.gate.set()
    assert len(reranker.score("renew", PASSAGES)) == 4
    assert sum(gated.sizes) == 8


def hits(answer):
    assert answer["degraded"] == [], answer
    assert {row["stage"] for row in answer["results"]} == {"rerank"}
    return [(row["chunk_id"], pytest.approx(row["score"], abs=1e-5)) for row in answer["results"]]


def test_searches_and_rerank_requests_meet_in_one_batch(tmp_path):
    embedder, gated = WordEmbedder(), Gated()
    index = small_index(tmp_path / "index", embedder)
    direct = Searcher.open(index, embedder=WordEmbedder(), rerank=OverlapReranker())
    with served(ServeOptions(index), embedder, gated) as running, ThreadPoolExecutor(20) as pool:
        post = running.client.post
        first = pool.submit(post, "/search", json={"query": QUERIES[0]})
        assert gated.started.wait(10)
        searches = [pool.submit(post, "/search", json={"query": query}) for query in QUERIES * 2]
        ranks = [pool.submit(post, "/rerank", json={"query": query, "documents": PASSAGES}) for query in QUERIES]
        quick = post("/search", json={"query": QUERIES[0], "rerank": False})  # waits for none of them
        assert quick.status_code == 200
        for _ in range(500):
            if len(running.services.pairs) == 12:
                break
            threading.Event().wait(0.02)
        gated.gate.set()
        for query, future in zip([QUERIES[0], *QUERIES * 2], [first, *searches], strict=True):
            theirs = direct.search(query).results
            assert hits(future.result().json()) == [(hit.chunk_id, hit.score) for hit in theirs]
        for query, future in zip(QUERIES, ranks, strict=True):
            logits = OverlapReranker().score(query, PASSAGES)
            for row in future.result().json()["results"]:
                assert row["relevance_score"] == pytest.approx(1 / (1 + np.exp(-logits[row["index"]])), abs=1e-6)
    assert len(gated.sizes) == 2


def test_a_full_queue_refuses_and_a_slow_reranker_costs_the_order_only(tmp_path):
    embedder, gated = WordEmbedder(), Gated()
    index = small_index(tmp_path / "index", embedder)
    settings = ServeOptions(index, queue=2, batch=1, time_limit_s=4.0)
    with served(settings, embedder, gated) as running, ThreadPoolExecutor(8) as pool:
        search = partial(running.client.post, "/search", json={"query": QUERIES[1]})
        answers = [future.result() for future in [pool.submit(search) for _ in range(8)]]
        codes = [answer.status_code for answer in answers]
        assert 429 in codes
        assert set(codes) <= {200, 429, 504}
        slow = next(answer.json() for answer in answers if answer.status_code == 200)
        assert slow["results"][0]["doc_id"] == "借书.md"
        assert "the reranker took longer than the time budget of 2.0 s" in slow["degraded"][0]
        late = running.client.post("/rerank", json={"query": "a", "documents": ["b"]})
        assert late.status_code in (429, 504)
        gated.gate.set()
