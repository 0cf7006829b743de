import sqlite3

import pytest

pytest.importorskip("fastapi")

from quarry.app.server.inbox import INBOX_NAME, Inbox, InboxFullError
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
