"""Acknowledged documents waiting to be indexed: a SQLite file in the index folder that survives kill -9.

`put` returns after the job is on disk (WAL, synchronous=FULL). A job leaves its texts here until a generation with them is
live and durable, so a crash at any moment costs at most doing the same work again.
"""

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from json import dumps, loads
from pathlib import Path
from typing import Any, Literal, Self
from uuid import uuid4

from quarry.indexer.build.removal import Selection
from quarry.indexer.errors import IndexBusyError, IndexFormatError, SearchError
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.indexer.storage.files.durable import sync_folder
from quarry.indexer.storage.files.locks import ProcessLock

JobKind = Literal["add", "delete"]
JobState = Literal["queued", "done", "failed"]
INBOX_NAME = "inbox.sqlite"
_APPLICATION_ID = 0x51494231  # marks the file as an inbox
_KEPT = 10_000  # finished jobs to remember
_BUSY_SECONDS = 10.0
_COLUMNS = "number, id, kind, documents, state, result, at"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS jobs (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, "
    "kind TEXT NOT NULL, documents INTEGER NOT NULL, state TEXT NOT NULL, result TEXT NOT NULL, at TEXT NOT NULL, "
    "payload TEXT, bytes INTEGER NOT NULL, sha256 TEXT)",
    "CREATE INDEX IF NOT EXISTS waiting ON jobs (number) WHERE state = 'queued'",
    f"PRAGMA application_id = {_APPLICATION_ID}",
)

_FORGET_FAILED = (
    "UPDATE jobs SET payload = NULL WHERE number IN (SELECT number FROM (SELECT number, SUM(bytes) OVER (ORDER BY number DESC) "
    "AS newer FROM jobs WHERE state = 'failed' AND payload IS NOT NULL) WHERE newer > ?)"
)


class DamagedJobError(SearchError):
    """The texts of a job are not those that were acknowledged."""


class InboxFullError(Exception):
    """Too much text is waiting."""


@dataclass(frozen=True, slots=True)
class Job:
    """One acknowledged request.

    Attributes:
        number: Jobs run in this order.
        id: The client's handle.
        kind: Whether documents are added or deleted.
        documents: Number of documents.
        state: `queued` (includes being indexed), `done` or `failed`.
        result: The outcome; empty while queued.
        at: Time of acknowledgment, UTC.
    """

    number: int
    id: str
    kind: JobKind
    documents: int
    state: JobState
    result: dict[str, Any]
    at: str


class Inbox:
    """The inbox of one index. Safe to share between threads; one process owns it at a time."""

    def __init__(self, db: sqlite3.Connection, path: Path, owned: ProcessLock, max_bytes: int) -> None:
        self._db, self.path, self._owned, self._max_bytes = db, path, owned, max_bytes
        self._lock = threading.Lock()
        self.problem: Message | None = None

    @classmethod
    def open(cls, index: Path, max_bytes: int = 256 * 2**20) -> Self:
        """Open the inbox of an index, creating it if missing.

        Args:
            index: The index folder.
            max_bytes: Maximum UTF-8 bytes of waiting text.

        Raises:
            IndexBusyError: If another server owns it.
            IndexFormatError: If the file is something else.
            SearchError: If it cannot be read or written.
        """
        path = index / INBOX_NAME
        owned = ProcessLock(index / "inbox.lock", partial(_taken, index))
        try:
            with _explained(path):
                db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
                _prepare(db, path)
        except BaseException:
            owned.release()
            raise
        sync_folder(index)
        return cls(db, path, owned, max_bytes)

    def put_documents(self, documents: Sequence[Document]) -> Job:
        """Acknowledge documents. Raises as `put` does."""
        return self._put("add", [asdict(document) for document in documents])

    def put_deletion(self, doc_ids: Sequence[str]) -> Job:
        """Acknowledge a deletion. Raises as `put` does."""
        return self._put("delete", list(doc_ids))

    def put_removal(self, filters: Mapping[str, Any] | None, root: str) -> Job:
        """Acknowledge the deletion of what matches filters, or of a folder; it is looked up when the job runs. Raises as `put`."""
        return self._put("delete", [{"filters": dict(filters) if filters else None, "root": root}])

    def _put(self, kind: JobKind, content: Sequence[Any]) -> Job:
        """Store a job and return it once it is on disk; `problem` says why the last one could not be stored.

        Raises:
            InboxFullError: If too much text is waiting.
            SearchError: If it could not be stored.
        """
        try:
            job = self._stored(kind, content)
        except SearchError as err:
            self.problem = err.message
            raise
        self.problem = None
        return job

    def _stored(self, kind: JobKind, content: Sequence[Any]) -> Job:
        payload = dumps(content, ensure_ascii=False)
        size, job_id, at = len(payload.encode()), uuid4().hex, datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock, _explained(self.path):
            (waiting,) = self._db.execute("SELECT COALESCE(SUM(bytes), 0) FROM jobs WHERE state = 'queued'").fetchone()
            if waiting and waiting + size > self._max_bytes:
                raise InboxFullError
            cursor = self._db.execute(
                "INSERT INTO jobs (id, kind, documents, state, result, at, payload, bytes, sha256) "
                "VALUES (?, ?, ?, 'queued', '{}', ?, ?, ?, ?)",
                (job_id, kind, len(content), at, payload, size, sha256(payload.encode()).hexdigest()),
            )
        return Job(int(cursor.lastrowid or 0), job_id, kind, len(content), "queued", {}, at)

    def job(self, job_id: str) -> Job | None:
        """Return a job, or None if there is none with this id (any more)."""
        with self._lock, _explained(self.path):
            row = self._db.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE id = ?",  # noqa: S608 (constants only)
                (job_id,),
            ).fetchone()
        return _job(row) if row else None

    def waiting(self) -> int:
        """Return the number of unfinished jobs."""
        with self._lock, _explained(self.path):
            (count,) = self._db.execute("SELECT COUNT(*) FROM jobs WHERE state = 'queued'").fetchone()
        return int(count)

    def next_jobs(self, max_documents: int) -> list[Job]:
        """Return the oldest unfinished jobs that can be done together: of one kind, up to this many documents (or one job)."""
        with self._lock, _explained(self.path):
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE state = 'queued' ORDER BY number LIMIT ?",  # noqa: S608 (constants only)
                (max_documents,),
            ).fetchall()
        taken: list[Job] = []
        for row in rows:
            job = _job(row)
            many = sum(before.documents for before in taken) + job.documents > max_documents
            if taken and (many or job.kind != taken[0].kind):
                break
            taken.append(job)
        return taken

    def documents(self, job: Job) -> list[Document]:
        """Return what a job adds. Raises DamagedJobError when they are not what was acknowledged."""
        return [Document(**fields) for fields in self._payload(job)]

    def selection(self, job: Job) -> Selection:
        """Return what a job deletes."""
        payload = self._payload(job)
        wanted = next((entry for entry in payload if isinstance(entry, dict)), None)
        if wanted is None:
            return Selection(doc_ids=tuple(str(doc_id) for doc_id in payload))
        return Selection(filters=wanted["filters"], roots=(wanted["root"],) if wanted["root"] else ())

    def _payload(self, job: Job) -> list[Any]:
        with self._lock, _explained(self.path):
            row = self._db.execute("SELECT payload, sha256 FROM jobs WHERE number = ?", (job.number,)).fetchone()
        if not row or not row[0]:
            return []
        if row[1] and sha256(row[0].encode()).hexdigest() != row[1]:
            raise DamagedJobError(
                "serve.inbox_damaged",
                "{path} is damaged: the texts of job {job} do not match their recorded SHA-256",
                do="Send its documents again",
                path=self.path,
                job=job.id,
            )
        return list(loads(row[0]))

    def finish(self, job: Job, state: JobState, result: dict[str, Any]) -> None:
        """Record the outcome of a job. Only failed ones keep their texts: the newest of them, up to a quarter of the limit."""
        with self._lock, _explained(self.path):
            self._db.execute(
                "UPDATE jobs SET state = ?, result = ?, payload = CASE ? WHEN 'failed' THEN payload END WHERE number = ?",
                (state, dumps(result, ensure_ascii=False), state, job.number),
            )
            self._db.execute(_FORGET_FAILED, (self._max_bytes // 4,))
            self._db.execute("DELETE FROM jobs WHERE state != 'queued' AND number <= ?", (job.number - _KEPT,))

    def close(self) -> None:
        """Close the file and release it to other servers. Acknowledged jobs are already on disk."""
        with self._lock:
            self._db.close()
            self._owned.release()


def _taken(index: Path, owner: Message) -> IndexBusyError:
    return IndexBusyError(
        "serve.inbox_taken",
        "{owner} already accepts documents for {index}",
        expected="one server that does",
        do="Stop it, or use --read-only",
        index=index,
        owner=owner,
    )


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION_ID and tables:
        db.close()
        raise IndexFormatError(
            "serve.not_an_inbox",
            "{path} is another kind of database",
            expected="an inbox",
            do="Move it away",
            path=path,
        )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    for statement in _SCHEMA:
        db.execute(statement)
    if "sha256" not in {row[1] for row in db.execute("PRAGMA table_info(jobs)")}:  # of before 0.3.0
        db.execute("ALTER TABLE jobs ADD COLUMN sha256 TEXT")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as err:
        raise SearchError(
            "serve.inbox_unusable",
            "{path} cannot be used ({reason})",
            expected="an intact file on a disk with free space",
            do="Nothing was acknowledged by this call: fix that and try again",
            path=path,
            reason=str(err),
        ) from err


def _job(row: Sequence[Any]) -> Job:
    number, job_id, kind, documents, state, result, at = row
    return Job(number, job_id, kind, documents, state, loads(result), at)
