"""What a generation consists of: `contents.sqlite` in its folder, and the segments' texts as one set of tables.

    segments            number and name of each, with how much of it is there
    roots               folders that the index keeps in step with
    removed_documents   by segment and document: rows of `documents`, `chunks` and `meta` that are not there any more
    removed_files       the same of `files`
    removed_rows        the same of passages, by their row in the segment's vectors and terms
    removed_names       the same of titles and headings, by digest
    languages           how many passages of each language are there, by segment

The text databases of the segments are attached, and views named like their tables join them, less what is removed. So the queries of
`ChunkTable` read many segments as they read one. SQLite attaches ten databases, which limits the number of segments.
"""

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from quarry.indexer.storage.layout import CHUNKS_NAME
from quarry.indexer.storage.segments import PLAIN_NAME, SEGMENTS_NAME
from quarry.indexer.storage.texts.segment_texts import COLUMNS, SegmentTexts

MOST_SEGMENTS = 8  # of a generation; a new one and `contents.sqlite` make ten

SCHEMA = """
CREATE TABLE segments (number INTEGER PRIMARY KEY, name TEXT NOT NULL, documents INTEGER NOT NULL, passages INTEGER NOT NULL);
CREATE TABLE roots (prefix TEXT PRIMARY KEY, path TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE removed_documents (segment INTEGER, doc_id TEXT, PRIMARY KEY (segment, doc_id)) WITHOUT ROWID;
CREATE TABLE removed_files (segment INTEGER, path TEXT, PRIMARY KEY (segment, path)) WITHOUT ROWID;
CREATE TABLE removed_rows (segment INTEGER, row INTEGER, PRIMARY KEY (segment, row)) WITHOUT ROWID;
CREATE TABLE removed_names (segment INTEGER, name BLOB, PRIMARY KEY (segment, name)) WITHOUT ROWID;
CREATE TABLE languages (segment INTEGER, lang TEXT, passages INTEGER, PRIMARY KEY (segment, lang)) WITHOUT ROWID;
"""


def uri_of(path: Path, *, immutable: bool) -> str:
    """Return a file as the URI by which SQLite opens it."""
    return f"file:{quote(os.fsencode(path.absolute()))}{'?mode=ro&immutable=1' if immutable else ''}"


def texts_of(generation: Path, name: str) -> Path:
    """Return the text database of a segment that a generation names, finished or in the making."""
    return generation.parent.parent / SEGMENTS_NAME / name / CHUNKS_NAME


def schema_of(number: int) -> str:
    """Return the name under which a segment's database is attached."""
    return f"s{number}"


def attach_segments(db: sqlite3.Connection, generation: Path) -> list[SegmentTexts]:
    """Attach the text databases of all segments that `contents.sqlite` names, and make the views of each.

    Raises:
        sqlite3.DatabaseError: If one is missing, is none, or is named by a path.
    """
    refuse_programs(db, "main")
    segments = db.execute("SELECT number, name FROM main.segments ORDER BY number").fetchall()
    attached = []
    for number, name in segments:
        if not isinstance(number, int) or not isinstance(name, str) or not PLAIN_NAME.fullmatch(name):
            raise sqlite3.DatabaseError(f"segment {str(number)[:40]!r} has the name {str(name)[:80]!r}")
        db.execute(
            f"ATTACH ? AS {schema_of(number)}",
            (uri_of(texts_of(generation, name), immutable=True),),
        )
        refuse_programs(db, schema_of(number))
        attached.append(SegmentTexts.of(db, schema_of(number), number))
    return attached


def refuse_programs(db: sqlite3.Connection, schema: str) -> None:
    """Refuse a database that computes what is read from it, which may take for ever, or runs a module of SQLite.

    Raises:
        sqlite3.DatabaseError: If it has a view, a trigger, a virtual table or a computed column.
    """
    db.execute("PRAGMA trusted_schema = OFF")
    strange = f"SELECT name FROM {schema}.sqlite_master WHERE type NOT IN ('table', 'index') OR rootpage = 0"  # noqa: S608 (fixed names)
    computed = f"""SELECT m.name FROM {schema}.sqlite_master m, pragma_table_xinfo(m.name, '{schema}') c
                   WHERE m.type = 'table' AND c.hidden > 0"""  # noqa: S608 (fixed names)
    for sql in (strange, computed):
        found = db.execute(f"{sql} LIMIT 1").fetchone()
        if found is not None:
            raise sqlite3.DatabaseError(f"{str(found[0])[:80]!r} is no plain table")


def numbers_with_removals(db: sqlite3.Connection) -> set[int]:
    """Return the segments that something was removed from."""
    sql = "SELECT segment FROM main.removed_documents UNION SELECT segment FROM main.removed_files"
    return {row[0] for row in db.execute(sql)}


def create_views(db: sqlite3.Connection, segments: Sequence[SegmentTexts]) -> None:
    """Make (or make again) the views that join segments, less what is removed from them."""
    for view in COLUMNS:
        db.execute(f"DROP VIEW IF EXISTS temp.{view}")
        parts = " UNION ALL ".join(segment.rows(view) for segment in segments)
        db.execute(f"CREATE TEMP VIEW {view} AS {parts or _nothing(view)}")


def with_removals(db: sqlite3.Connection, segments: Sequence[SegmentTexts]) -> list[SegmentTexts]:
    """Return segments, filtered where something was removed from them."""
    removed = numbers_with_removals(db)
    return [replace(segment, filtered=segment.number in removed) for segment in segments]


def _nothing(view: str) -> str:
    columns = ["number", *COLUMNS[view]] if view == "chunks" else COLUMNS[view]
    return f"SELECT {', '.join(f'NULL AS {name}' for name in columns)} WHERE 0"
