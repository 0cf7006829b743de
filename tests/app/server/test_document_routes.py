"""Documents come and go over HTTP: added, replaced, removed, refused."""

import shutil

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import build_index
from quarry.indexer.storage.writer_lock import writer_lock
from tests.app.server.serving import finished, problem, served, small_index
from tests.fakes import WordEmbedder


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


def test_the_inbox_refuses_more_text_than_may_wait(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), max_waiting_bytes=500)) as running:
        running.services.writer.stop()
        sent = {"documents": [{"id": "a", "text": "x" * 300}]}
        assert running.client.post("/documents", json=sent).status_code == 202
        answer = running.client.post("/documents", json=sent)
        problem(answer, 429, "inbox_full")
        assert int(answer.headers["retry-after"]) >= 1
