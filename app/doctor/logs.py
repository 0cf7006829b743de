"""Checks of what users said and of documents that wait: the two databases of an index that belong to no generation. Read-only."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from quarry.app.finding import CheckResult
from quarry.app.server.writing.inbox import INBOX_NAME
from quarry.indexer.errors import FeedbackError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.storage.texts.contents import uri_of
from quarry.training.feedback.log import FeedbackLog, feedback_path

_FEW = 5  # documents that were judged; of fewer, removed ones say nothing
_DIGESTS = "SELECT id, payload, sha256 FROM jobs WHERE state = 'queued' ORDER BY number"


def check_feedback(index: Index) -> Iterator[CheckResult]:
    """Read every judgement, comparing each with its digest, and look whether they speak of this index's documents.

    A log of another index is whole by its digests. Where most of the documents that it judges are not here, that is said: they
    were removed, or it is another index's.
    """
    path = feedback_path(index.root)
    if not path.is_file():
        return
    count, judged = 0, set[str]()
    try:
        with FeedbackLog.read(path) as log:
            for stored in log.events():
                count += 1
                judged.add(stored.event.doc_id)
    except FeedbackError as err:
        yield CheckResult("feedback", "failure", err.message)
        return
    judged.discard("")
    strange = len(judged) - len(index.chunks.titles(sorted(judged)))
    if len(judged) >= _FEW and 2 * strange > len(judged):
        other = Message.of(
            "doctor.feedback_elsewhere",
            "{strange} of the {judged:document|documents} that were judged are not in this index",
            expected="judgements of this index's documents",
            do="If {path} was copied from another index, put the index's own back; if the documents were removed, nothing is wrong",
            strange=strange,
            judged=len(judged),
            path=str(path),
        )
        yield CheckResult("feedback", "warning", other)
        return
    told = Message.of("doctor.feedback", "{count:judgement is|judgements are} whole", count=count)
    yield CheckResult("feedback", "ok", told)


def check_inbox(root: Path) -> Iterator[CheckResult]:
    """Compare the texts that wait to be indexed with the digests that were acknowledged."""
    path = root / INBOX_NAME
    if not path.is_file():
        return
    alone = not path.with_name(path.name + "-wal").exists()  # else a server writes, and SQLite has to look there too
    uri = uri_of(path, immutable=True) if alone else f"{uri_of(path, immutable=False)}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as db:
            verdict = str(db.execute("PRAGMA quick_check").fetchone()[0])
            jobs = db.execute(_DIGESTS).fetchall() if verdict == "ok" else []
    except (sqlite3.Error, UnicodeDecodeError) as err:
        verdict, jobs = str(err), []
    changed = [
        str(job) for job, payload, digest in jobs if digest and sha256(str(payload).encode()).hexdigest() != digest
    ]
    if verdict != "ok" or changed:
        reason = Message.plain(verdict) if verdict != "ok" else _changed(changed)
        damaged = Message.of(
            "doctor.inbox_damaged",
            "the waiting documents in {path} are damaged: {reason}",
            do="Start `quarry serve`: it indexes those that are whole and reports the others; send these again",
            path=str(path),
            reason=reason,
        )
        yield CheckResult("inbox", "failure", damaged)
        return
    whole = Message.of("doctor.inbox", "{count:waiting request is|waiting requests are} whole", count=len(jobs))
    yield CheckResult("inbox", "ok", whole)


def _changed(jobs: list[str]) -> Message:
    return Message.of(
        "doctor.inbox_changed",
        "the texts of {jobs} do not match their recorded SHA-256",
        jobs=jobs[:3],
    )
