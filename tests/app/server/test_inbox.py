import sqlite3

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.writing.inbox import INBOX_NAME, Inbox, InboxFullError
from quarry.indexer.errors import IndexBusyError, IndexFormatError, SearchError
from quarry.indexer.records import Document


def doc(number, text="text 文本"):
    return Document(f"d{number}", text, "title", {"lang": "zh"})


def test_jobs_come_back_in_order_grouped_by_kind_and_size(tmp_path):
    inbox = Inbox.open(tmp_path)
    jobs = [inbox.put_documents([doc(1), doc(2)]), inbox.put_documents([doc(3)]), inbox.put_deletion(["d1"])]
    jobs.append(inbox.put_documents([doc(4)]))
    assert inbox.next_jobs(2) == jobs[:1]
    assert inbox.next_jobs(1) == jobs[:1]  # a job larger than the limit goes alone
    assert inbox.next_jobs(100) == jobs[:2]
    assert inbox.documents(jobs[0]) == [doc(1), doc(2)]
    for job in jobs[:2]:
        inbox.finish(job, "done", {"generation": "000002"})
    assert inbox.next_jobs(100) == jobs[2:3]
    assert inbox.selection(jobs[2]).doc_ids == ("d1",)
    assert inbox.job(jobs[0].id).result == {"generation": "000002"}
    assert inbox.documents(jobs[0]) == []  # its texts are let go
    assert inbox.job("unknown") is None
    inbox.close()


def test_what_was_put_is_there_after_opening_again(tmp_path):
    inbox = Inbox.open(tmp_path)
    job = inbox.put_documents([doc(1)])
    failed = inbox.put_documents([doc(2)])
    inbox.finish(failed, "failed", {"reason": "x"})
    assert inbox._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert inbox._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    inbox.close()
    again = Inbox.open(tmp_path)
    assert (again.next_jobs(10), again.waiting()) == ([job], 1)
    assert again.documents(failed) == [doc(2)]  # the texts of a failed job are kept
    again.close()


def test_too_much_text_is_refused_until_some_is_done(tmp_path):
    inbox = Inbox.open(tmp_path, max_bytes=1000)
    job = inbox.put_documents([doc(1, "x" * 900)])
    with pytest.raises(InboxFullError):
        inbox.put_documents([doc(2, "x" * 900)])
    inbox.finish(job, "done", {})
    inbox.put_documents([doc(2, "x" * 5000)])  # a single one is taken however large it is
    inbox.close()


def test_the_texts_of_failed_jobs_cannot_fill_the_disk(tmp_path):
    inbox = Inbox.open(tmp_path, max_bytes=4_000)
    jobs = [inbox.put_documents([doc(number, "x" * 300)]) for number in range(9)]
    for job in jobs:
        inbox.finish(job, "failed", {"reason": "x"})
    kept = [job for job in jobs if inbox.documents(job)]
    assert kept == jobs[-2:]
    assert [inbox.job(job.id).state for job in jobs] == ["failed"] * 9  # what became of each is still told
    inbox.close()


def test_one_owner_and_only_its_own_file(tmp_path):
    inbox = Inbox.open(tmp_path)
    with pytest.raises(IndexBusyError, match="already accepts documents for"):
        Inbox.open(tmp_path)
    inbox.close()
    Inbox.open(tmp_path).close()
    other = tmp_path / "other"
    other.mkdir()
    with sqlite3.connect(other / INBOX_NAME) as db:
        db.execute("CREATE TABLE x (y)")
    with pytest.raises(IndexFormatError, match="another kind of database"):
        Inbox.open(other)
    (other / INBOX_NAME).write_bytes(b"no database" * 500)
    with pytest.raises(SearchError, match="cannot be used"):
        Inbox.open(other)


def test_texts_that_are_not_those_acknowledged_fail_their_job_alone(tmp_path):
    """One flipped bit in the file once indexed other text, or stopped the writer."""
    from quarry.app.server.settings import ServeOptions
    from tests.app.server.serving import finished, served, small_index

    index = small_index(tmp_path / "index")
    inbox = Inbox.open(index)
    damaged, sound = inbox.put_documents([doc(1, "text number one")]), inbox.put_documents([doc(2)])
    inbox.close()
    with sqlite3.connect(index / INBOX_NAME) as db:
        db.execute("UPDATE jobs SET payload = replace(payload, 'number', 'lumber') WHERE id = ?", (damaged.id,))
    db.close()
    with served(ServeOptions(index, rerank="none")) as running:
        assert finished(running.client, sound.id)["state"] == "done"
        told = finished(running.client, damaged.id)
        assert told["state"] == "failed"
        assert "do not match their recorded SHA-256" in str(told)
        assert running.client.get("/documents/d1").status_code == 404


def test_an_inbox_without_digests_opens_and_keeps_its_jobs(tmp_path):
    inbox = Inbox.open(tmp_path)
    job = inbox.put_documents([doc(1)])
    inbox._db.execute("ALTER TABLE jobs DROP COLUMN sha256")
    inbox.close()
    inbox = Inbox.open(tmp_path)
    assert inbox.documents(job) == [doc(1)]
    assert inbox.documents(inbox.put_documents([doc(2)])) == [doc(2)]
    inbox.close()


def test_health_says_that_nothing_can_be_stored(tmp_path):
    from quarry.app.server.settings import ServeOptions
    from tests.app.server.serving import served, small_index

    index = small_index(tmp_path / "index")
    with served(ServeOptions(index, rerank="none")) as running:
        running.services.inbox._db.execute("PRAGMA query_only = ON")
        body = {"documents": [{"id": "x", "text": "x"}]}
        assert running.client.post("/documents", json=body).status_code == 503
        health = running.client.get("/health").json()
        assert health["status"] == "degraded"
        assert "cannot be used" in health["problems"][-1]
        running.services.inbox._db.execute("PRAGMA query_only = OFF")
        assert running.client.post("/documents", json=body).status_code == 202
        assert running.client.get("/health").json()["status"] == "ok"
