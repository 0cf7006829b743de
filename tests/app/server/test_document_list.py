"""`GET /documents`, one document, and the original files, over a real socket."""

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.settings import ServeOptions
from quarry.indexer.build import build_index
from tests.app.server.serving import served


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    base = tmp_path_factory.mktemp("served")
    folder = base / "docs"
    folder.mkdir()
    (folder / "页.html").write_text("<script>alert(1)</script><p>Berths are free on Monday.</p>", encoding="utf-8")
    for number in range(4):
        (folder / f"{number}.md").write_text(f"# Part {number}\n\nLock {number} opens at six.")
    (base / "secret.txt").write_text("secret")
    (folder / "jobs").mkdir()
    (folder / "jobs" / "list.txt").write_text("Jobs of the week.")
    build_index(base / "index", [folder], None)
    with served(ServeOptions(base / "index")) as running:
        yield running.client


def test_the_list_is_paged_and_filtered(running):
    answer = running.get("/documents", params={"count": 2}).json()
    assert (answer["total"], len(answer["documents"]), answer["start"]) == (6, 2, 0)
    assert answer["documents"][0]["id"] == "docs/0.md"
    only = running.get("/documents", params={"filter": "format=html"}).json()["documents"]
    assert [document["id"] for document in only] == ["docs/页.html"]
    assert running.get("/documents", params={"name": "part 3"}).json()["total"] == 1
    assert running.get("/documents", params={"filter": "format"}).status_code == 422
    assert running.get("/documents", params={"filter": "colour=red"}).status_code == 409


def test_a_document_is_shown_with_its_passages(running):
    answer = running.get("/documents/docs/0.md").json()
    assert answer["document"]["title"] == "Part 0"
    assert "Lock 0 opens at six." in answer["passages"][0]["text"]
    missing = running.get("/documents/docs/9.md")
    assert (missing.status_code, missing.json()["error"]["reason"]) == (404, "app.unknown_document")


def test_an_original_is_saved_and_never_shown(running):
    answer = running.get("/originals/docs/页.html")
    assert answer.content.startswith(b"<script>")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%E9%A1%B5.html"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["docs/../secret.txt", "%2e%2e/secret.txt", "%2Fetc%2Fpasswd", "docs%2F..%2F..%2Fsecret.txt"]
)
def test_a_path_gives_no_file(running, path):
    answer = running.get(f"/originals/{path}")
    assert answer.status_code == 404
    assert b"secret" not in answer.content.replace(b"secret.txt", b"")
