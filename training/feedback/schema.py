"""The file that a feedback log is kept in: its tables, its version, and how an event becomes a row and comes back."""

import sqlite3
from collections.abc import Iterator
from dataclasses import astuple
from datetime import datetime
from hashlib import sha256
from json import dumps, loads
from pathlib import Path
from typing import Any

from quarry.indexer.errors import FeedbackError
from quarry.indexer.storage.files.durable import sync_folder
from quarry.training.feedback.events import ACTIONS, FeedbackEvent, ShownHit, StoredEvent

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x51464231  # marks the file as a feedback log
COLUMNS = "query, action, session, generation, chunk_id, doc_id, grade, note, shown, language, at"
INSERT = f"INSERT INTO events ({COLUMNS}, schema, digest) VALUES ({', '.join('?' * 13)})"  # noqa: S608 (constants only)
_SCHEMA = f"""
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, query TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ({", ".join(repr(action) for action in ACTIONS)})), session TEXT NOT NULL,
    generation TEXT NOT NULL, chunk_id TEXT NOT NULL, doc_id TEXT NOT NULL, grade INTEGER, note TEXT NOT NULL,
    shown TEXT NOT NULL, language TEXT NOT NULL, at TEXT NOT NULL, schema INTEGER NOT NULL, digest TEXT);
CREATE TRIGGER no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'feedback is append-only'); END;
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file; add what an older version did not have.

    Raises:
        FeedbackError: If it is a database of something else, or of another version.
    """
    db.execute("PRAGMA synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if tables == 0 and version == application == 0:
        for statement in _statements(_SCHEMA):
            db.execute(statement)
    elif application != _APPLICATION_ID:
        raise FeedbackError(
            "feedback.other_database",
            "{path} is a database of something else",
            expected="a feedback log",
            do="Choose another file",
            path=path,
        )
    elif version != SCHEMA_VERSION:
        raise FeedbackError(
            "feedback.version",
            "{path} has schema version {version}",
            expected="{wanted}",
            do="Use the version of Quarry that wrote it",
            path=path,
            version=version,
            wanted=SCHEMA_VERSION,
        )
    elif "digest" not in {row[1] for row in db.execute("PRAGMA table_info(events)")}:  # of a log from before 0.3.0
        db.execute("ALTER TABLE events ADD COLUMN digest TEXT")
    db.execute("COMMIT")
    db.execute("PRAGMA journal_mode = WAL")
    sync_folder(path.parent)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement) and statement.strip():
            yield statement
            statement = ""


def row_of(event: FeedbackEvent) -> tuple[Any, ...]:
    """Return the row of an event as `INSERT` takes it, with its digest."""
    shown = dumps([astuple(hit) for hit in event.shown], ensure_ascii=False)
    row = (*(getattr(event, name) for name in COLUMNS.split(", ")[:8]), shown, event.language)
    row += (event.at.isoformat(timespec="milliseconds"),)
    return (*row, SCHEMA_VERSION, _digest(row))


def stored(row: tuple[Any, ...]) -> StoredEvent:
    """Return the event of a row: number, `COLUMNS`, digest.

    Raises:
        FeedbackError: If it was changed, or is not valid.
    """
    number, query, action, session, generation, chunk_id, doc_id, grade, note, shown, language, at, digest = row
    if digest is not None and digest != _digest(row[1:-1]):  # rows from before 0.3.0 have none
        raise FeedbackError(
            "feedback.row_changed",
            "row {number} of the feedback log was changed or damaged",
            expected="content that matches the digest written with it",
            do="Restore the file from a copy",
            number=number,
        )
    try:
        hits = tuple(ShownHit(*hit) for hit in loads(shown))
        moment = datetime.fromisoformat(at)
        event = FeedbackEvent(query, action, session, generation, chunk_id, doc_id, grade, note, hits, language, moment)
    except (FeedbackError, TypeError, ValueError) as err:
        raise FeedbackError(
            "feedback.row",
            "row {number} of the feedback log is not valid ({why})",
            do="Restore the file",
            number=number,
            why=getattr(err, "message", None) or str(err),
        ) from err
    return StoredEvent(number, event)


def _digest(row: tuple[Any, ...]) -> str:
    return sha256(dumps(row, ensure_ascii=True).encode()).hexdigest()[:32]
