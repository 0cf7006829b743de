"""The tables of a chunk table, and what older ones lack."""

import re
import sqlite3

from quarry.indexer.language import language_of
from quarry.indexer.records import name_text
from quarry.indexer.storage.texts.packing import read_meta
from quarry.indexer.storage.vectors.blob_cache import passage_digest

_TABLES = """
CREATE TABLE roots (prefix TEXT PRIMARY KEY, path TEXT NOT NULL);
CREATE TABLE files (path TEXT PRIMARY KEY, root TEXT NOT NULL, size INTEGER, mtime_ns INTEGER, sha256 BLOB, readers INTEGER);
CREATE INDEX files_root ON files (root);
CREATE TABLE documents (doc_id TEXT PRIMARY KEY, file TEXT NOT NULL, title TEXT, text TEXT, meta TEXT, sha256 BLOB);
CREATE INDEX documents_file ON documents (file);
CREATE TABLE chunks (number INTEGER PRIMARY KEY, chunk_id TEXT UNIQUE NOT NULL, doc_id TEXT NOT NULL,
    start INTEGER, "end" INTEGER, heading TEXT, text TEXT, digest BLOB, lang TEXT, name BLOB);
CREATE INDEX chunks_doc ON chunks (doc_id);
CREATE INDEX chunks_name ON chunks (name);
CREATE TABLE meta (doc_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (doc_id, key, value)) WITHOUT ROWID;
CREATE INDEX meta_key ON meta (key, value);
"""
# a table being built is thrown away after a crash, so nothing is gained by syncing it step by step
_WRITING = "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;"

_LANGUAGE_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{1,8})*")  # BCP 47, and POSIX's underscore


def create_tables(db: sqlite3.Connection) -> None:
    """Make the tables in an empty database, ready for writing."""
    db.executescript(_WRITING + _TABLES)


def prepare_copy(db: sqlite3.Connection) -> None:
    """Make a copy ready for writing; one of an older version gets the columns it lacks."""
    if "readers" not in {row[1] for row in db.execute("PRAGMA table_info(files)")}:
        db.execute("ALTER TABLE files ADD COLUMN readers INTEGER")
    if not has_languages(db):
        _add_languages(db)
    if not has_names(db):
        _add_names(db)
    db.executescript(_WRITING)


def has_languages(db: sqlite3.Connection) -> bool:
    """Whether the passages' languages are stored; older tables lack them."""
    return "lang" in {row[1] for row in db.execute("PRAGMA table_info(chunks)")}


def has_names(db: sqlite3.Connection) -> bool:
    """Whether the digests of the passages' titles and headings are stored; older tables lack them."""
    return "name" in {row[1] for row in db.execute("PRAGMA table_info(chunks)")}


def document_languages(text: str, declared: str) -> list[str]:
    """Return by which languages the filter `lang` finds a document, besides the one that it declares.

    One that declares `zh-CN` is found by `zh` too; one that declares none is found by the detected language, a text of both by
    either. A declared value that is no language tag is kept as it is.
    """
    if declared:
        tag = _LANGUAGE_TAG.fullmatch(declared)
        names = [tag[1].lower()] if tag else []
    else:
        detected = language_of(text)
        names = ["en", "zh"] if detected == "mixed" else [str(detected)]
    return [name for name in names if name != declared]


def _add_languages(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE chunks ADD COLUMN lang TEXT")
    found = [(language_of(text), number) for number, text in db.execute("SELECT number, text FROM chunks")]
    db.executemany("UPDATE chunks SET lang = ? WHERE number = ?", found)
    for doc_id, text, meta in db.execute("SELECT doc_id, text, meta FROM documents").fetchall():
        languages = document_languages(text, str(read_meta(meta).get("lang", "")))
        db.executemany("INSERT INTO meta VALUES (?, 'lang', ?)", [(doc_id, name) for name in languages])


def name_digest(title: str, heading: str) -> bytes | None:
    """Return the digest of a passage's title and headings, None when it has neither."""
    text = name_text(title, heading)
    return passage_digest(text) if text else None


def _add_names(db: sqlite3.Connection) -> None:
    db.execute("ALTER TABLE chunks ADD COLUMN name BLOB")
    rows = db.execute("SELECT c.number, d.title, c.heading FROM chunks c JOIN documents d USING (doc_id)").fetchall()
    found = [(name_digest(title, heading), number) for number, title, heading in rows]
    db.executemany("UPDATE chunks SET name = ? WHERE number = ?", found)
    db.execute("CREATE INDEX chunks_name ON chunks (name)")
