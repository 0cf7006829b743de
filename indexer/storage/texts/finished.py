"""The tables of a finished segment's texts: ids stand once, and everything else refers to them by number.

    strings     every id of a document, path of a file and prefix of a root; documents and files have its number
    documents   `file` is the number of the path, NULL for a program's document, whose path follows from its id (`own_path`)
    chunks      in the order of their ids, which follow from document and place (`passage_id`); so row n of the vectors and terms is n + 1
    names       digests of titles with headings
    facts       pairs of metadata key and value; `meta` says which document has which

While a segment is built its tables are those of `chunk_schema`, which can be changed; `write_finished` makes these of them. Segments of
formats 1 to 3 keep those of `chunk_schema`, and `segment_texts` reads both.
"""

import sqlite3

from quarry.indexer.storage.texts.packing import torn_text

_TABLES = """
CREATE TABLE strings (number INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE UNIQUE INDEX strings_value ON strings (value);
CREATE TABLE files (number INTEGER PRIMARY KEY, root INTEGER NOT NULL, size INTEGER, mtime_ns INTEGER, sha256 BLOB, readers INTEGER);
CREATE TABLE documents (number INTEGER PRIMARY KEY, file INTEGER, title TEXT, text TEXT, meta TEXT, sha256 BLOB);
CREATE TABLE names (number INTEGER PRIMARY KEY, digest BLOB UNIQUE NOT NULL);
CREATE TABLE chunks (number INTEGER PRIMARY KEY, document INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    heading TEXT, text TEXT, digest BLOB, lang TEXT, name INTEGER);
CREATE TABLE facts (key TEXT, value TEXT, number INTEGER NOT NULL, PRIMARY KEY (key, value)) WITHOUT ROWID;
CREATE TABLE meta (fact INTEGER, document INTEGER, PRIMARY KEY (fact, document)) WITHOUT ROWID;
"""
_ROWS = (  # how each table is filled from those of a segment that was built, in this order
    "INSERT INTO strings (value) SELECT doc_id FROM built.documents ORDER BY rowid",
    """INSERT OR IGNORE INTO strings (value) SELECT path FROM built.files UNION SELECT root FROM built.files
       UNION SELECT file FROM built.documents WHERE file <> 'document:' || doc_id""",
    """INSERT INTO files SELECT p.number, r.number, f.size, f.mtime_ns, f.sha256, f.readers FROM built.files f
       JOIN strings p ON p.value = f.path JOIN strings r ON r.value = f.root ORDER BY p.number""",
    """INSERT INTO documents SELECT s.number, f.number, d.title, d.text, d.meta, d.sha256
       FROM strings s CROSS JOIN built.documents d ON d.doc_id = s.value
       LEFT JOIN strings f ON f.value = d.file AND d.file <> 'document:' || d.doc_id ORDER BY s.number""",
    "INSERT INTO names (digest) SELECT DISTINCT name FROM built.chunks WHERE name IS NOT NULL ORDER BY name",
    """INSERT INTO chunks SELECT NULL, s.number, c.start, c."end", c.heading, c.text, c.digest, c.lang, n.number
       FROM built.chunks c CROSS JOIN strings s ON s.value = c.doc_id LEFT JOIN names n ON n.digest = c.name ORDER BY c.chunk_id""",
    """INSERT INTO facts SELECT key, value, row_number() OVER (ORDER BY key, value)
       FROM (SELECT DISTINCT key, value FROM built.meta)""",
    """INSERT INTO meta SELECT f.number, s.number FROM built.meta m
       JOIN facts f ON f.key = m.key AND f.value = m.value JOIN strings s ON s.value = m.doc_id ORDER BY f.number, s.number""",
)
_INDEXES = """
CREATE INDEX files_root ON files (root);
CREATE INDEX documents_file ON documents (file) WHERE file IS NOT NULL;
CREATE INDEX chunks_document ON chunks (document, start);
CREATE INDEX chunks_name ON chunks (name, document, start) WHERE name IS NOT NULL;
"""
_WITHOUT_PLACE = (
    """SELECT chunk_id FROM built.chunks WHERE chunk_id <> doc_id || '#' || start || '-' || "end" LIMIT 1"""
)
_OWN = "document:"  # how the path of a program's document begins


def own_path(doc_id: str) -> str:
    """Return the path under which a program's document stands, which has no file."""
    return f"{_OWN}{doc_id}"


def own_document(path: str) -> str | None:
    """Return the document that stands under a path of `own_path`; None for any other path."""
    return path.removeprefix(_OWN) if path.startswith(_OWN) else None


def is_finished(db: sqlite3.Connection, schema: str) -> bool:
    """Whether the tables of a schema are those of a finished segment."""
    sql = f"SELECT 1 FROM {schema}.sqlite_master WHERE type = 'table' AND name = 'strings'"  # noqa: S608 (a name of ours)
    return db.execute(sql).fetchone() is not None


def write_finished(built: str, target: str) -> None:
    """Write the texts of a segment that was built into a new file.

    Args:
        built: The database with the tables of `chunk_schema`, as SQLite's URI.
        target: The database to make, likewise.

    Raises:
        IndexFormatError: If a passage has an id that does not follow from its place; an index of an older format may be damaged so.
    """
    db = sqlite3.connect(target, uri=True, isolation_level=None)
    try:
        db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
        db.execute("ATTACH ? AS built", (built,))
        wrong = db.execute(_WITHOUT_PLACE).fetchone()
        if wrong is not None:
            raise torn_text(f"the passage {str(wrong[0])[:80]!r} is in another place than its id says")
        db.execute("BEGIN")
        for statement in _TABLES.strip().split(";\n"):
            db.execute(statement)
        for statement in _ROWS:
            db.execute(statement)
        for statement in _INDEXES.strip().split(";\n"):
            db.execute(statement)
        db.execute("COMMIT")
    finally:
        db.close()
