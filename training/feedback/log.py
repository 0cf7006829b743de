"""What users said about results: an append-only log in SQLite that survives kill -9. It imports no model and no torch.

    with FeedbackLog.open(Path("feedback.sqlite")) as log:
        log.append(FeedbackEvent("how to renew", "thumb_up", "s-1", "000001", "loans.md#0-80", "loans.md"))

`append` returns after the row is on disk (WAL, synchronous=FULL). Rows are never changed or deleted, and triggers in the file
see to that: who takes a judgement back appends a `withdraw`. Each row has a digest of its content, and rows are numbered without
gaps, so that a damaged or lost one is noticed when the log is read. What the rows together mean is decided by
`quarry.training.feedback.judgements`.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from quarry.indexer.errors import FeedbackError
from quarry.indexer.principals import Principals
from quarry.indexer.storage.texts.contents import uri_of
from quarry.indexer.stores.parts import live_texts
from quarry.training.feedback.events import Action, FeedbackEvent, ShownHit, StoredEvent
from quarry.training.feedback.judgements import (
    Conflict,
    FeedbackSummary,
    Judgement,
    document_grades,
    judgements,
    summary,
)
from quarry.training.feedback.schema import COLUMNS, INSERT, prepare, row_of, stored

__all__ = [
    "Action",
    "FeedbackEvent",
    "FeedbackLog",
    "FeedbackSummary",
    "Judgement",
    "ShownHit",
    "StoredEvent",
    "feedback_path",
    "read_events",
]

_BUSY_SECONDS = 10.0
_PAGE = 500  # rows read at a time, so that a slow reader holds no lock
_NEWEST = (
    "SELECT MAX(COALESCE((SELECT MAX(number) FROM events), 0), COALESCE((SELECT MAX(seq) FROM sqlite_sequence), 0))"
)


class FeedbackLog:
    """The log of one index. Safe to share between threads; several processes may write to one file."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self._lock = threading.Lock()
        self.path = path
        columns = {row[1] for row in connection.execute("PRAGMA table_info(events)")}
        self._digest = "digest" if "digest" in columns else "NULL"  # a log from before 0.3.0 that may only be read

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a log, making it when it is not there (its folder must be).

        Raises:
            FeedbackError: If the folder is missing, or the file is not a feedback log of this version, or is damaged.
        """
        if not path.parent.is_dir():
            raise FeedbackError(
                "feedback.no_folder",
                "{folder} is not a folder",
                expected="one to keep {name} in",
                do="Make it first",
                folder=path.parent,
                name=path.name,
            )
        with _explained(path):
            db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            try:
                prepare(db, path)
            except BaseException:
                db.close()
                raise
        return cls(db, path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open a log for reading; nothing on disk is changed, and the disk may be read-only.

        Raises:
            FeedbackError: If it is not a feedback log, or is damaged.
        """
        with _explained(path):
            # without the file of a writer beside it nobody writes, and SQLite needs none of its own
            alone = not path.with_name(path.name + "-wal").exists() or not os.access(path.parent, os.W_OK)
            uri = uri_of(path, immutable=True) if alone else f"{path.absolute().as_uri()}?mode=ro"
            db = sqlite3.connect(uri, uri=True, check_same_thread=False)
            try:
                return cls(db, path)
            except BaseException:
                db.close()
                raise

    def append(self, event: FeedbackEvent) -> int:
        """Store an event and return its number, after it is on disk.

        Raises:
            FeedbackError: If it could not be stored (disk full, file read-only, or another process held it too long).
        """
        row = row_of(event)
        with self._lock, _explained(self.path):
            cursor = self._db.execute(INSERT, row)
        return int(cursor.lastrowid or 0)

    def events(self, *, after: int = 0) -> Iterator[StoredEvent]:
        """Yield the events numbered above `after`, oldest first, up to the newest there is when asked.

        Raises:
            FeedbackError: If a row is not valid or was changed, with its number, or if rows are missing.
        """
        begun = after
        with self._lock, _explained(self.path):
            (newest,) = self._db.execute(_NEWEST).fetchone()
        query = f"SELECT number, {COLUMNS}, {self._digest} FROM events WHERE number > ? AND number <= ? ORDER BY number LIMIT ?"  # noqa: S608 (constants only)
        found = 0
        while True:
            with self._lock, _explained(self.path):
                rows = self._db.execute(query, (after, newest, _PAGE)).fetchall()
            yield from (stored(row) for row in rows)
            found += len(rows)
            if len(rows) < _PAGE:
                break
            after = rows[-1][0]
        if found < newest - begun:
            raise FeedbackError(
                "feedback.rows_missing",
                "{path} is damaged: {count:row is|rows are} missing",
                do="Restore the file from a copy",
                path=self.path,
                count=newest - begun - found,
            )

    def judgements(self, conflict: Conflict = "majority") -> list[Judgement]:
        """Return the judgements of passages that stand; see `quarry.training.feedback.judgements` for who is right when users differ."""
        return judgements(self.events(), conflict)

    def document_grades(self) -> dict[str, dict[str, int]]:
        """Return query to document to grade, for qrels; see `quarry.training.feedback.judgements.document_grades`."""
        return document_grades(self.events())

    def summary(self) -> FeedbackSummary:
        """Return counts, agreement between sessions, and the queries without a good answer."""
        return summary(self.events())

    def __len__(self) -> int:
        with self._lock, _explained(self.path):
            (count,) = self._db.execute("SELECT COUNT(*) FROM events").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the file. What was appended is safe without it."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def feedback_path(index: Path) -> Path:
    """Return where an index keeps what its users said; it stays when generations come and go."""
    return index / "feedback.sqlite"


def read_events(index: Path, principals: Principals | None = None) -> list[StoredEvent]:
    """Return the events of an index's log; none when nothing was said yet, and then no log is made.

    Args:
        index: The index folder.
        principals: Who asks: only events that name documents, all of which they may see, are returned. None for all events.

    Raises:
        FeedbackError: As `FeedbackLog.open` and `FeedbackLog.events`.
        IndexFormatError: With principals, if the index cannot be opened.
    """
    path = feedback_path(index)
    if not path.is_file():
        return []
    with FeedbackLog.open(path) as log:
        events = list(log.events())
    if principals is None:
        return events
    with live_texts(index, principals) as texts:
        seen = frozenset(texts.doc_ids())
    return [stored for stored in events if (named := _documents_of(stored.event)) and named <= seen]


def _documents_of(event: FeedbackEvent) -> frozenset[str]:
    return frozenset(doc_id for doc_id in (event.doc_id, *(hit.doc_id for hit in event.shown)) if doc_id)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as err:
        raise FeedbackError(
            "feedback.unusable",
            "{path} could not be used ({why})",
            expected="a feedback log on a disk with room, writable, and not held by another process",
            do="Nothing was stored by this call; fix that and try again",
            path=path,
            why=str(err),
        ) from err
