"""Files over HTTP: read like those uploaded in the app, indexed by a job, removed like any document."""

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from quarry.app.uploads import MAX_FILE_MEGABYTES, MAX_FILES, Upload
from tests.app.server.serving import finished, served, small_index

NOTES = "# Pump\n\nThe spare pump stands in hall seven."


@pytest.fixture
def server(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), rerank="none", max_body_bytes=2**20)) as running:
        yield running


def test_files_are_read_indexed_found_and_removed(server):
    sent = [
        ("files", ("../../etc/notes.md", NOTES.encode(), "text/markdown")),
        ("files", ("broken.docx", b"not a document", "application/octet-stream")),
    ]
    answer = server.client.post("/documents/files", files=sent)
    assert answer.status_code == 202
    body = answer.json()
    doc_id = Upload("notes.md", NOTES.encode()).doc_id
    assert body["documents"] == [{"id": doc_id, "title": "Pump"}]
    assert [skip["id"] for skip in body["skipped"]] == ["broken.docx"]
    assert finished(server.client, body["job"]["job"])["state"] == "done"
    found = server.client.post("/search", json={"query": "spare pump", "route": "bm25"}).json()["results"][0]
    assert (found["doc_id"], found["source"]) == (doc_id, "upload/notes.md")
    removal = server.client.delete(f"/documents/{doc_id}")
    assert removal.status_code == 202
    assert finished(server.client, removal.json()["job"])["removed"] == 1
    gone = server.client.delete(f"/documents/{doc_id}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "no_such_document")


def test_a_document_that_waits_to_be_indexed_can_be_removed(server):
    server.services.writer.stop()
    server.client.post("/documents", json={"documents": [{"id": "new", "text": "words"}]})
    assert server.client.delete("/documents/new").status_code == 202


def test_files_that_cannot_be_read_are_named_with_the_reason(server):
    answer = server.client.post("/documents/files", files=[("files", ("picture.png", b"\x89PNG\r\n\x1a\n" * 20))])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "no_readable_file")
    assert "picture.png: " in error["found"]
    assert server.client.post("/documents/files", data={"other": "x"}).status_code == 422


def test_limits_are_those_of_the_app_and_not_those_of_other_bodies(server):
    large = b"word " * ((MAX_FILE_MEGABYTES << 20) // 5 + 1)
    sent = [("files", ("large.txt", large)), ("files", ("good.txt", b"A pump. " * 200_000))]
    body = server.client.post("/documents/files", files=sent).json()  # more than max_body_bytes
    assert [(skip["id"], skip["reason"]) for skip in body["skipped"]] == [("large.txt", "too large")]
    assert len(body["documents"]) == 1
    many = [("files", (f"{number}.txt", f"text {number}".encode())) for number in range(MAX_FILES + 1)]
    assert [skip["id"] for skip in server.client.post("/documents/files", files=many).json()["skipped"]] == ["200.txt"]
    assert server.client.post("/documents", content=b" " * 2**21).status_code == 413


def test_a_read_only_server_takes_no_files(tmp_path):
    with served(ServeOptions(small_index(tmp_path / "index"), rerank="none", read_only=True)) as running:
        assert running.client.post("/documents/files", files=[("files", ("a.txt", b"text"))]).status_code == 403
