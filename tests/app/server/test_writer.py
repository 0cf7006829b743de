import time

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.writing import writer as writer_module
from quarry.app.server.writing.inbox import Inbox
from quarry.app.server.writing.writer import Writer
from quarry.indexer.build import index_documents
from quarry.indexer.records import Document
from quarry.indexer.storage.writer_lock import writer_lock
from quarry.retriever.live import LiveSearcher
from tests.app.server.serving import small_index


@pytest.fixture
def parts(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_module, "_RETRY_S", 0.05)
    index = small_index(tmp_path / "index")
    inbox, live = Inbox.open(index), LiveSearcher(index)
    writer = Writer(inbox, live)
    yield index, inbox, live, writer
    writer.stop()
    inbox.close()


def wait(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_busy_index_is_waited_for(parts):
    index, inbox, live, writer = parts
    job = inbox.put_documents([Document("a", "zebra 斑马")])
    with writer_lock(index):
        writer.start()
        wait(lambda: "is being written by" in writer.problem)
        assert inbox.job(job.id).state == "queued"
    wait(lambda: inbox.job(job.id).state == "done")
    assert live.searcher.index.chunks.owner("a") == "document:a"
    wait(lambda: writer.problem == "")


def test_a_document_that_breaks_a_library_fails_alone(parts, monkeypatch):
    _, inbox, live, writer = parts

    def breaks(root, documents, *rest):
        if any(document.doc_id == "bad" for document in documents):
            raise RuntimeError("secret text")
        return index_documents(root, documents, *rest)

    monkeypatch.setattr(writer_module, "index_documents", breaks)
    jobs = [inbox.put_documents([Document(name, "zebra")]) for name in ("good", "bad", "fine")]
    writer.start()
    wait(lambda: not inbox.waiting())
    assert [inbox.job(job.id).state for job in jobs] == ["done", "failed", "done"]
    assert "secret" not in str(inbox.job(jobs[1].id).result)
    assert live.searcher.index.chunks.owner("fine")


def test_what_cannot_be_indexed_is_named(parts):
    _, inbox, _, writer = parts
    job = inbox.put_documents([Document("empty", "\n \n"), Document("a", "zebra")])
    writer.start()
    wait(lambda: inbox.job(job.id).state == "done")
    result = inbox.job(job.id).result
    assert [(skip["id"], skip["reason"]) for skip in result["skipped"]] == [("empty", "no text")]
    assert result["generation"] == "000002"


def test_jobs_that_wait_together_make_one_generation(parts):
    _, inbox, live, writer = parts
    jobs = [inbox.put_documents([Document(f"d{number}", f"zebra {number}")]) for number in range(20)]
    writer.start()
    wait(lambda: not inbox.waiting())
    assert {inbox.job(job.id).result["generation"] for job in jobs} == {"000002"}
    assert live.searcher.index.generation == "000002"
