"""How the texts of one segment are selected, whichever tables it has: those of `finished`, or of `chunk_schema`.

Temporary views give both the columns of `COLUMNS`, one for each table and segment: `documents_3`, `chunks_3`. Where a query must not
depend on how SQLite joins what a view joins, it is written here for both.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from quarry.indexer.storage.texts.finished import is_finished

COLUMNS = {  # that segments and views have; passages have a number as well
    "documents": ("doc_id", "file", "title", "text", "meta", "sha256"),
    "chunks": ("chunk_id", "doc_id", "start", '"end"', "heading", "text", "digest", "lang", "name"),
    "meta": ("doc_id", "key", "value"),
    "files": ("path", "root", "size", "mtime_ns", "sha256", "readers"),
}
PLACES = "wanted (chunk_id, doc_id, start, stop)"  # that `by_id` joins
_NUMBERS = 40  # bits of a passage's number within its segment
_CHUNK_ID = "s.value || '#' || t.start || '-' || t.\"end\""


@dataclass(frozen=True, slots=True)
class SegmentTexts:
    """The texts of a segment on a connection.

    Attributes:
        schema: Under which its database is attached.
        number: Its number in the generation.
        finished: Whether its tables are those of `finished`.
        filtered: Whether what the generation removes is looked at.
    """

    schema: str
    number: int = 0
    finished: bool = False
    filtered: bool = False

    @classmethod
    def of(cls, db: sqlite3.Connection, schema: str, number: int = 0) -> "SegmentTexts":
        """Look what tables a schema has, and make the views of it."""
        made = cls(schema, number, is_finished(db, schema))
        for table in COLUMNS:
            db.execute(f"DROP VIEW IF EXISTS temp.{made.view(table)}")
            db.execute(f"CREATE TEMP VIEW {made.view(table)} AS {made._all_of(table)}")
        return made

    def view(self, table: str) -> str:
        """Return the name of the view of a table, removed rows included."""
        return f"{table}_{self.number}"

    def rows(self, table: str) -> str:
        """Return the SQL that selects from a table what is there; numbers of passages follow those of earlier segments."""
        numbered = f"t.number + {self.number << _NUMBERS} AS number, " if table == "chunks" else ""
        columns = ", ".join(f"t.{name}" for name in COLUMNS[table])
        key = "path" if table == "files" else "doc_id"
        return f"SELECT {numbered}{columns} FROM temp.{self.view(table)} t{self._there(f't.{key}', files=table == 'files')}"  # noqa: S608 (fixed names)

    def ordered(self, columns: Sequence[str]) -> str:
        """Return the SQL that selects columns of all passages, ordered by id; `title` is that of the document."""
        joined = ""
        if "title" in columns:
            same = "d.number = t.document" if self.finished else "d.doc_id = t.doc_id"
            joined = f" CROSS JOIN {self.schema}.documents d ON {same}"
        passages = f"{self.schema}.chunks t"
        if self.finished:
            passages += f" CROSS JOIN {self.schema}.strings s ON s.number = t.document"
        order = "t.number" if self.finished else "t.chunk_id"
        return f"SELECT {self._picked(columns)} FROM {passages}{joined}{self._there(self._doc_id)} ORDER BY {order}"  # noqa: S608 (fixed names)

    def by_id(self, columns: Sequence[str]) -> str:
        """Return the SQL that selects columns of the passages that are in a table as `PLACES` describes."""
        if self.finished:
            found = f"""wanted w CROSS JOIN {self.schema}.strings s ON s.value = w.doc_id CROSS JOIN {self.schema}.chunks t
                        ON t.document = s.number AND t.start = w.start AND t."end" = w.stop"""
        else:
            found = f"wanted w CROSS JOIN {self.schema}.chunks t ON t.chunk_id = w.chunk_id"
        picked = self._picked(columns, chunk_id="w.chunk_id")
        return f"SELECT {picked} FROM {found}{self._there(self._doc_id)}"  # noqa: S608 (fixed names)

    def named(self) -> str:
        """Return the SQL that selects the ids of the first passages under a name, as they were read; its variables are name and number."""
        if self.finished:
            found = f"""{self.schema}.names n CROSS JOIN {self.schema}.chunks t ON t.name = n.number
                        CROSS JOIN {self.schema}.strings s ON s.number = t.document"""
            name, order = "n.digest", "t.document, t.start"
        else:
            found, name, order = f"{self.schema}.chunks t", "t.name", "t.number"
        where = self._there(self._doc_id) or " WHERE 1"
        return f"SELECT {self._picked(['chunk_id'])} FROM {found}{where} AND {name} = ? ORDER BY {order} LIMIT ?"  # noqa: S608 (fixed names)

    def read_order(self, marks: str) -> str:
        """Return the SQL that selects place and id of the passages of some documents, in the order in which they were read."""
        if self.finished:
            found, place = (
                f"{self.schema}.strings s CROSS JOIN {self.schema}.chunks t ON t.document = s.number",
                "t.document",
            )
        else:
            found, place = f"{self.schema}.chunks t", "t.number"
        where = self._there(self._doc_id) or " WHERE 1"
        return (
            f"SELECT {place}, t.start, {self._picked(['chunk_id'])} FROM {found}{where} AND {self._doc_id} IN ({marks})"  # noqa: S608 (fixed names)
        )

    def has_document(self, value: str) -> str:
        """Return the SQL that tells whether a document is there, with what stands for its id."""
        if self.finished:
            found = f"{self.schema}.strings s CROSS JOIN {self.schema}.documents t ON t.number = s.number"
        else:
            found = f"{self.schema}.documents t"
        where = self._there(self._doc_id) or " WHERE 1"
        return f"EXISTS (SELECT 1 FROM {found}{where} AND {self._doc_id} = {value})"  # noqa: S608 (fixed names)

    def documents_of(self) -> str:
        """Return the SQL that selects ids and versions of the documents of a file that is none of a program's; its variable is the path."""
        if self.finished:
            found = f"""{self.schema}.strings f CROSS JOIN {self.schema}.documents t ON t.file = f.number
                        CROSS JOIN {self.schema}.strings s ON s.number = t.number"""
            path = "f.value"
        else:
            found, path = f"{self.schema}.documents t", "t.file"
        where = self._there(self._doc_id) or " WHERE 1"
        return f"SELECT {self._doc_id}, t.sha256 FROM {found}{where} AND {path} = ?"  # noqa: S608 (fixed names)

    @property
    def _doc_id(self) -> str:
        return "s.value" if self.finished else "t.doc_id"

    def _picked(self, columns: Sequence[str], chunk_id: str = _CHUNK_ID) -> str:
        own = {"title": "d.title"}
        if self.finished:
            name = f"(SELECT n.digest FROM {self.schema}.names n WHERE n.number = t.name)"  # noqa: S608 (fixed names)
            own |= {"chunk_id": chunk_id, "doc_id": "s.value", "name": name}
        return ", ".join(own.get(column, f"t.{column}") for column in columns)

    def _there(self, key: str, *, files: bool = False) -> str:
        """Return the condition that what has a key was not removed; nothing where nothing is looked at."""
        if not self.filtered:
            return ""
        removed, column = ("removed_files", "path") if files else ("removed_documents", "doc_id")
        gone = f"SELECT 1 FROM main.{removed} r WHERE r.segment = {self.number} AND r.{column} = {key}"  # noqa: S608 (fixed names)
        return f" WHERE NOT EXISTS ({gone})"

    def _all_of(self, table: str) -> str:
        """Return the SQL that selects the columns of a table, removed rows included."""
        numbered = {"chunks": "t.number, ", "documents": "t.rowid AS number, "}.get(table, "")
        if not self.finished:
            return f"SELECT {numbered}{', '.join(f't.{name}' for name in COLUMNS[table])} FROM {self.schema}.{table} t"  # noqa: S608 (fixed names)
        joined = {
            "documents": """SELECT t.number, s.value AS doc_id, CAST(coalesce(f.value, 'document:' || s.value) AS TEXT) AS file,
                t.title, t.text, t.meta, t.sha256
                FROM {0}.documents t JOIN {0}.strings s ON s.number = t.number LEFT JOIN {0}.strings f ON f.number = t.file""",
            "chunks": """SELECT t.number, CAST(s.value || '#' || t.start || '-' || t."end" AS TEXT) AS chunk_id, s.value AS doc_id,
                t.start, t."end", t.heading, t.text, t.digest, t.lang, n.digest AS name
                FROM {0}.chunks t JOIN {0}.strings s ON s.number = t.document LEFT JOIN {0}.names n ON n.number = t.name""",
            "meta": """SELECT s.value AS doc_id, f.key, f.value
                FROM {0}.facts f JOIN {0}.meta t ON t.fact = f.number JOIN {0}.strings s ON s.number = t.document""",
            "files": """SELECT s.value AS path, r.value AS root, t.size, t.mtime_ns, t.sha256, t.readers
                FROM {0}.files t JOIN {0}.strings s ON s.number = t.number JOIN {0}.strings r ON r.number = t.root""",
        }
        return joined[table].format(self.schema)
