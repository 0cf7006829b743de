"""The HTTP interface over a real socket, with a small index in two languages and fake models."""

import base64
import threading

import numpy as np
import pytest

from tests.app.server.serving import problem

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher
from tests.app.server.serving import served, small_index
from tests.fakes import OverlapReranker, WordEmbedder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    embedder = WordEmbedder()
    index = small_index(tmp_path_factory.mktemp("serve") / "index", embedder)
    with served(ServeOptions(index), embedder, OverlapReranker()) as running:
        yield running


@pytest.mark.parametrize(("query", "best"), [("renew books online", "loans.md"), ("网上续借", "借书.md")])
@pytest.mark.parametrize("route", ["hybrid", "dense", "bm25"])
def test_search_answers_as_the_searcher_does(server, query, best, route):
    answer = server.client.post("/search", json={"query": query, "k": 2, "route": route}).json()
    assert answer["results"][0]["doc_id"] == best
    assert answer["degraded"] == []
    assert answer["generation"] == "000001"
    assert [stage["status"] for stage in answer["stages"] if stage["stage"] == "rerank"] == ["ran"]
    direct = Searcher.open(server.services.settings.index, embedder=WordEmbedder(), rerank=OverlapReranker())
    theirs = direct.search(query, 2).results if route == "hybrid" else None
    if theirs:
        assert [hit["chunk_id"] for hit in answer["results"]] == [hit.chunk_id for hit in theirs]
        assert [hit["score"] for hit in answer["results"]] == pytest.approx([hit.score for hit in theirs])


def test_filters_and_notices(server):
    asked = {"query": "books 书", "filters": {"lang": ["zh"]}}
    assert {hit["doc_id"] for hit in server.client.post("/search", json=asked).json()["results"]} == {"借书.md"}
    long = server.client.post("/search", json={"query": "book " * 2_000}).json()
    assert "was cut to its first 8,192" in long["notices"][0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", {}),
        ("/search", {"query": ""}),
        ("/search", {"query": "  \n"}),
        ("/search", {"query": "\0"}),
        ("/search", {"query": "a", "k": 0}),
        ("/search", {"query": "a", "k": 101}),
        ("/search", {"query": "a", "route": "x"}),
        ("/search", {"query": "a", "unknown": 1}),
        ("/search", {"query": "a", "k": "3"}),
        ("/search", {"query": "a", "rerank": "yes"}),
        ("/documents", {"documents": []}),
        ("/documents", {"documents": [{"id": "a", "text": " "}]}),
        ("/feedback", {"query": "a", "action": "note", "session": "s"}),
        ("/feedback", {"query": "a", "action": "click", "session": "s", "doc_id": "d", "grade": 1}),
        ("/feedback", {"query": "a", "action": "thumb_up", "session": "s"}),
        ("/feedback", {"query": "a", "action": "thumb_down", "session": "s", "doc_id": "d", "grade": 2}),
        ("/feedback", {"query": "a", "action": "answer", "session": "editor", "doc_id": "d"}),
        ("/v1/embeddings", {"input": []}),
        ("/v1/embeddings", {"input": [[1, 2]]}),
        ("/v1/embeddings", {"input": "a", "dimensions": 0}),
        ("/rerank", {"query": "a", "documents": []}),
    ],
)
def test_wrong_requests_are_named_and_never_echoed(server, path, body):
    problem(server.client.post(path, json=body), 422, "invalid_request")
    secret = server.client.post(
        path, json={**body, "query": {"password": "hunter2"}, "input": {"x": "hunter2"}, "documents": "hunter2"}
    )
    assert secret.status_code == 422
    assert "hunter2" not in secret.text


def test_what_this_index_cannot_do_now_is_a_conflict(server):
    asked = {"query": "a", "filters": {"color": ["red"]}}
    for path, body in (("/search", asked), ("/ask", {"question": "a", "filters": {"color": ["red"]}})):
        error = problem(server.client.post(path, json=body), 409, "unknown_filter")
        assert "color" in error["found"]
    twice = {"documents": [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]}
    problem(server.client.post("/documents", json=twice), 409, "duplicate_id")
    problem(server.client.post("/v1/embeddings", json={"input": "a", "dimensions": 3}), 409, "fixed_dimensions")


@pytest.mark.parametrize("filters", [{"lang": "zh"}, {"lang": ["zh"]}, {"lang": ["!=en", "*"]}])
def test_a_filter_is_a_value_or_several(server, filters):
    for path, body in (("/search", {"query": "books 书"}), ("/ask", {"question": "books 书"})):
        answer = server.client.post(path, json={**body, "filters": filters})
        assert answer.status_code == 200, answer.text
    found = server.client.post("/search", json={"query": "books 书", "filters": filters}).json()["results"]
    assert {hit["doc_id"] for hit in found} == {"借书.md"}
    everything = server.client.post("/search", json={"query": "books 书", "filters": None}).json()["results"]
    assert len({hit["doc_id"] for hit in everything}) > 1


def test_numbers_and_booleans_are_filter_values(tmp_path):
    documents = [
        Document(str(year), f"tide gate of {year}", "", {"year": year, "draft": year > 2023}) for year in (2023, 2024)
    ]
    index_documents(tmp_path / "index", documents, None)
    with served(ServeOptions(tmp_path / "index", rerank="none")) as running:
        for filters, found in (
            ({"year": 2024}, {"2024"}),
            ({"draft": False}, {"2023"}),
            ({"year": [">=2023", 2023]}, {"2023"}),
        ):
            hits = running.client.post("/search", json={"query": "tide gate", "filters": filters}).json()["results"]
            assert {hit["doc_id"] for hit in hits} == found


def test_allow_names_the_methods_of_the_path(server):
    for path, methods in (
        ("/search", "POST"),
        ("/health", "GET"),
        ("/documents", "DELETE, GET, POST"),
        ("/documents/a", "DELETE, GET"),
    ):
        for method in ("OPTIONS", "TRACE"):
            answer = server.client.request(method, path)
            problem(answer, 405, "wrong_method")
            assert answer.headers["allow"] == methods, path


def test_whole_numbers_may_be_written_as_json_schema_allows(server):
    json = {"content-type": "application/json"}
    body = server.client.post("/search", content='{"query": "books", "k": 1.0}', headers=json).json()
    assert len(body["results"]) == 1


def test_a_note_on_a_passage_finds_its_document(server):
    said = {"query": "renew", "action": "note", "session": "s", "note": "old", "chunk_id": "loans.md#0-9"}
    assert server.client.post("/feedback", json=said).status_code == 201
    assert list(server.services.feedback.events())[-1].event.doc_id == "loans.md"


def test_other_errors_are_json_too(server):
    problem(server.client.get("/nothing"), 404, "no_such_path")
    answer = server.client.get("/search")
    problem(answer, 405, "wrong_method")
    assert answer.headers["allow"] == "POST"
    json = {"content-type": "application/json"}
    problem(server.client.post("/search", content=b"{", headers=json), 422, "invalid_request")
    problem(server.client.post("/search", content=b'{"query": "\xff"}', headers=json), 400, "bad_request")
    problem(server.client.post("/search", content=b'{"query": "\\ud800"}', headers=json), 422, "invalid_request")
    problem(server.client.get("/documents/jobs/none"), 404, "no_such_job")
    problem(server.client.post("/v1/embeddings", json={"input": "a", "model": "gpt"}), 404, "no_such_model")


def test_embeddings_are_those_of_the_index_in_both_formats(server):
    texts = ["renew books", "网上续借"]
    body = server.client.post("/v1/embeddings", json={"input": texts, "model": "tests/words"}).json()
    expected = WordEmbedder().embed_documents(texts)
    np.testing.assert_allclose([row["embedding"] for row in body["data"]], expected, rtol=1e-6)
    assert body["usage"]["prompt_tokens"] == body["usage"]["total_tokens"] > 0
    coded = server.client.post("/v1/embeddings", json={"input": texts[1], "encoding_format": "base64"}).json()
    raw = np.frombuffer(base64.b64decode(coded["data"][0]["embedding"]), "<f4")
    np.testing.assert_array_equal(raw, expected[1])


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_rerank_orders_passages(server, path):
    asked = {"query": "renew books", "documents": ["closed on Mondays", {"text": "renew books online"}, "books"]}
    body = server.client.post(path, json={**asked, "top_n": 2, "return_documents": True}).json()
    assert [row["index"] for row in body["results"]] == [1, 2]
    assert body["results"][0]["document"] == {"text": "renew books online"}
    assert body["results"][0]["relevance_score"] == pytest.approx(1 / (1 + np.exp(-1)))


def test_feedback_is_stored(server):
    said = {"query": "renew", "action": "thumb_up", "session": "s", "doc_id": "loans.md", "chunk_id": "loans.md#0-9"}
    answer = server.client.post("/feedback", json=said)
    assert answer.status_code == 201
    stored = list(server.services.feedback.events())[-1]
    assert (stored.number, stored.event.generation) == (answer.json()["number"], server.services.generation())


def test_health_and_metrics(server):
    server.client.post("/search", json={"query": "books"})
    health = server.client.get("/health").json()
    assert (health["status"], health["documents"], health["model"]) == ("ok", 3, "tests/words")
    text = server.client.get("/metrics").text
    assert 'quarry_requests_total{method="POST",route="/search",status="200"}' in text
    assert "quarry_batch_size_bucket" in text


def test_a_lexical_index_answers_and_says_what_is_missing(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"))) as running:
        answer = running.client.post("/search", json={"query": "续借"}).json()
        assert answer["results"][0]["doc_id"] == "借书.md"
        assert "this index has no vectors" in answer["degraded"][0]
        problem(running.client.post("/v1/embeddings", json={"input": "a"}), 409, "no_model")
        problem(running.client.post("/rerank", json={"query": "a", "documents": ["b"]}), 409, "no_reranker")
        assert "quarry_degraded_total 1.0" in running.client.get("/metrics").text


def test_a_new_generation_of_another_program_answers_without_a_restart(tmp_path):
    embedder = WordEmbedder()
    index = small_index(tmp_path / "index", embedder)
    with served(ServeOptions(index), embedder) as running:
        index_documents(index, [Document("zebra.md", "Zebras have stripes.")], WordEmbedder())
        for _ in range(200):
            answer = running.client.post("/search", json={"query": "zebras", "route": "bm25"}).json()
            if answer["results"]:
                break
            threading.Event().wait(0.02)
        assert answer["generation"] == "000002"
        assert answer["results"][0]["doc_id"] == "zebra.md"
