"""The HTTP interface over a real socket, with a small index in two languages and fake models."""

import base64
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.records import Document
from quarry.indexer.storage.writer_lock import writer_lock
from quarry.retriever.searcher import Searcher
from tests.app.server.serving import finished, served, small_index
from tests.fakes import OverlapReranker, WordEmbedder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    embedder = WordEmbedder()
    index = small_index(tmp_path_factory.mktemp("serve") / "index", embedder)
    with served(ServeOptions(index), embedder, OverlapReranker()) as running:
        yield running


def problem(answer: httpx.Response, status: int, code: str) -> dict:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["found"]
    assert error["expected"]
    assert error["do"]
    return error


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


def test_documents_are_added_replaced_and_deleted(tmp_path):
    embedder = WordEmbedder()
    index = small_index(tmp_path / "index", embedder)
    with served(ServeOptions(index), embedder) as running:
        client = running.client

        def found(query):
            hits = client.post("/search", json={"query": query, "route": "bm25"}).json()["results"]
            return [hit["doc_id"] for hit in hits]

        sent = {"documents": [{"id": "a/斑马.md", "text": "Zebras have stripes. 斑马有条纹。", "meta": {"lang": "zh"}}]}
        answer = client.post("/documents", json=sent)
        assert answer.status_code == 202
        assert answer.json()["state"] == "queued"
        assert finished(client, answer.json()["job"])["state"] == "done"
        assert found("斑马") == found("zebras") == ["a/斑马.md"]
        sent["documents"][0]["text"] = "Giraffes are tall."
        finished(client, client.post("/documents", json=sent).json()["job"])
        assert (found("zebras"), found("giraffes")) == ([], ["a/斑马.md"])
        gone = client.delete("/documents/a/斑马.md").json()
        assert finished(client, gone["job"])["not_found"] == []
        assert found("giraffes") == []
        problem(client.delete("/documents/a/斑马.md"), 404, "no_such_document")


def done(client, answer):
    assert answer.status_code == 202, answer.text
    return finished(client, answer.json()["job"])


def test_documents_are_removed_by_ids_by_metadata_and_by_folder(tmp_path):
    index = small_index(tmp_path / "index")
    folder = tmp_path / "harbour"
    folder.mkdir()
    (folder / "tide.txt").write_text("The tide gate closes at dusk.")
    build_index(index, [folder], None)
    shutil.rmtree(folder)
    with served(ServeOptions(index, rerank="none")) as running:
        client = running.client
        assert client.get("/roots").json()["roots"] == [
            {"prefix": "harbour", "documents": 1, "files": 1, "there": False}
        ]
        preview = client.request("DELETE", "/documents", json={"filters": {"lang": ["zh"]}, "dry_run": True})
        assert (preview.status_code, preview.json()["ids"]) == (200, ["借书.md"])
        assert client.get("/health").json()["documents"] == 4
        job = done(client, client.request("DELETE", "/documents", json={"filters": {"lang": ["zh"]}}))
        assert (job["state"], job["removed"]) == ("done", 1)
        job = done(client, client.post("/documents/delete", json={"root": "harbour"}))
        assert (job["state"], job["removed"], client.get("/roots").json()["roots"]) == ("done", 1, [])
        job = done(client, client.post("/documents/delete", json={"ids": ["hours.md", "nothing"]}))
        assert (job["removed"], job["not_found"]) == (1, ["nothing"])
        assert client.get("/health").json()["documents"] == 1
        for wrong in ({}, {"ids": ["a"], "root": "harbour"}, {"filters": {}}):
            problem(client.post("/documents/delete", json=wrong), 422, "invalid_request")
        problem(client.post("/documents/delete", json={"root": "/"}), 404, "no_such_root")
        problem(client.post("/documents/delete", json={"filters": {"colour": ["red"]}}), 409, "unknown_filter")


def test_a_removal_whose_filter_is_unknown_by_the_time_it_runs_fails_alone(tmp_path):
    index = small_index(tmp_path / "index")
    with served(ServeOptions(index, rerank="none")) as running:
        with writer_lock(index):  # all wait
            answers = [
                running.client.post("/documents/delete", json={"filters": {"lang": ["*"]}}),
                running.client.post("/documents/delete", json={"filters": {"lang": ["en"]}}),
                running.client.post("/documents", json={"documents": [{"id": "new", "text": "zebra"}]}),
            ]
        jobs = [done(running.client, answer) for answer in answers]
        assert [job["state"] for job in jobs] == ["done", "failed", "done"]
        assert "no document has the metadata lang" in jobs[1]["reason"]


def test_read_only_takes_nothing(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), read_only=True)) as running:
        problem(running.client.post("/documents", json={"documents": [{"id": "a", "text": "b"}]}), 403, "read_only")
        problem(running.client.delete("/documents/loans.md"), 403, "read_only")


def test_bodies_over_the_limit_are_refused_with_and_without_a_length(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), max_body_bytes=1000)) as running:
        problem(running.client.post("/search", json={"query": "a" * 2000}), 413, "too_large")
        chunks = (b"x" * 400 for _ in range(5))
        json = {"content-type": "application/json"}
        problem(running.client.post("/search", content=chunks, headers=json), 413, "too_large")


def test_the_inbox_refuses_more_text_than_may_wait(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), max_waiting_bytes=500)) as running:
        running.services.writer.stop()
        sent = {"documents": [{"id": "a", "text": "x" * 300}]}
        assert running.client.post("/documents", json=sent).status_code == 202
        answer = running.client.post("/documents", json=sent)
        problem(answer, 429, "inbox_full")
        assert int(answer.headers["retry-after"]) >= 1


def test_token_and_host(tmp_path):
    token = "0123456789abcdef"
    settings = ServeOptions(small_index(tmp_path / "index"), token=token, hosts=("127.0.0.1",))
    with served(settings) as running:
        asked = {"query": "books"}
        answer = running.client.post("/search", json=asked)
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer x", f"Basic {token}", f"Bearer {token}x", "Bearer é"):
            headers = {"Authorization": wrong.encode("latin-1")}
            problem(running.client.post("/search", json=asked, headers=headers), 401, "unauthorized")
        problem(running.client.get("/metrics"), 401, "unauthorized")
        right = {"Authorization": f"Bearer {token}"}
        assert running.client.post("/search", json=asked, headers=right).status_code == 200
        assert running.client.get("/health").status_code == 200
        problem(running.client.get("/health", headers={"Host": "evil.example"}), 421, "wrong_host")


class SlowEmbedder(WordEmbedder):
    """Encodes only when it may."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.sizes = []

    def embed_queries(self, texts):
        self.gate.wait(20)
        self.sizes.append(len(texts))
        return super().embed_queries(texts)


def test_what_waits_together_is_computed_together_and_the_rest_gets_429(tmp_path):
    embedder = SlowEmbedder()
    index = small_index(tmp_path / "index", embedder)
    with served(ServeOptions(index, queue=20, batch=8), embedder) as running, ThreadPoolExecutor(40) as pool:
        words = ["renew", "monday", "library", "续借", "读者"]

        def ask(number):
            return running.client.post("/search", json={"query": f"{words[number % 5]} {number}"})

        futures = [pool.submit(ask, number) for number in range(40)]
        for _ in range(500):
            if running.services.metrics.rejected._value.get() >= 12:
                break
            threading.Event().wait(0.02)
        embedder.gate.set()
        answers = [future.result() for future in futures]
    served_ones = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert 12 <= len(refused) <= 19  # the first batch took 1 to 8
    for answer in refused:
        problem(answer, 429, "queue_full")
        assert answer.headers["retry-after"] == "1"
    assert max(embedder.sizes) == 8
    assert sum(embedder.sizes) == len(served_ones)
    for number in served_ones:
        assert answers[number].json()["query"] == f"{words[number % 5]} {number}"


def test_the_time_limit_ends_a_request(tmp_path):
    index = small_index(tmp_path / "index")

    def hang(services):
        services.queue.submit("slow", lambda items: [threading.Event().wait(1.5) for _ in items], 0)

    with served(ServeOptions(index, time_limit_s=0.2), work=hang) as running:
        problem(running.client.post("/search", json={"query": "books"}), 504, "time_limit")


def test_an_unexpected_error_tells_its_type_and_no_text(tmp_path, caplog):
    def breaks(services):
        def search_many(*_):
            raise RuntimeError("secret passage")

        services.live.searcher.search_many = search_many

    with served(ServeOptions(small_index(tmp_path / "index")), work=breaks) as running, caplog.at_level("INFO"):
        answer = running.client.post("/search", json={"query": "my private question"})
        problem(answer, 500, "unexpected")
        assert "secret" not in answer.text
    assert "unexpected RuntimeError at search_many" in caplog.text
    assert "secret" not in caplog.text
    assert "private" not in caplog.text
