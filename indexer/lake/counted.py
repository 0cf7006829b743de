"""What is counted while the rows of a generation go by: on disk, so that memory does not grow with them."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.segment import Segment
from quarry.indexer.lexical.writer import SegmentWriter
from quarry.indexer.storage.texts.working_table import version_number
from quarry.indexer.stores.lake.where import UNIT

_AT_ONCE = 16_384  # rows of a batch
_TABLES = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;
CREATE TABLE documents (doc_id TEXT PRIMARY KEY, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE facts (fact TEXT PRIMARY KEY, documents INTEGER) WITHOUT ROWID;
CREATE TABLE names (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Counted:
    """Counts of one generation in the making, in a folder that is thrown away afterwards."""

    def __init__(self, folder: Path) -> None:
        # Lance reads what it writes in a thread of its own, one batch after another
        self._db = sqlite3.connect(folder / "counted.sqlite", isolation_level=None, check_same_thread=False)
        self._db.executescript(_TABLES)
        self._terms = folder / "terms"
        self._terms.mkdir()
        self.documents = self.passages = 0
        self.languages: dict[str, int] = {}
        self.sums: dict[str, NDArray[np.float64]] = {}

    def __enter__(self) -> Self:
        self._db.execute("BEGIN")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def new_documents(self, table: Any) -> list[bool]:
        """Count documents; return for each whether its id was not there before."""
        new: list[bool] = []
        ids, versions, facts = (table[name].to_pylist() for name in ("doc_id", "sha256", "facts"))
        for doc_id, version, known in zip(ids, versions, facts, strict=True):
            added = self._db.execute("INSERT OR IGNORE INTO documents VALUES (?, ?)", (doc_id, version)).rowcount == 1
            new.append(added)
            if added:
                self._db.executemany(
                    "INSERT INTO facts VALUES (?, 1) ON CONFLICT (fact) DO UPDATE SET documents = documents + 1",
                    [(one,) for one in known],
                )
        self.documents += sum(new)
        return new

    def new_names(self, ids: Iterable[str]) -> list[bool]:
        """Return for each title whether it was not there before."""
        return [self._db.execute("INSERT OR IGNORE INTO names VALUES (?)", (one,)).rowcount == 1 for one in ids]

    def count_vectors(self, languages: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Count passages by language, and sum their vectors, shape (len(languages), dim)."""
        named = np.array(languages)
        for lang in np.unique(named).tolist():
            rows = named == lang
            self.languages[lang] = self.languages.get(lang, 0) + int(rows.sum())
            total = vectors[rows].sum(axis=0, dtype=np.float64)
            self.sums[lang] = self.sums.get(lang, 0.0) + total
        self.passages += len(languages)

    def corpus_sha256(self) -> str:
        """Return a digest of all document ids and versions, that of an ordinary index of the same documents."""
        total = 0
        for doc_id, version in self._db.execute("SELECT doc_id, sha256 FROM documents"):
            total += version_number(doc_id, version)
        return f"{total % 2**256:064x}"

    def values(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the different values of each metadata key, with how many documents have them; `first` is true once per key."""
        before = None
        rows = self._db.execute("SELECT fact, documents FROM facts ORDER BY fact")
        while part := rows.fetchmany(_AT_ONCE):
            out = []
            for text, documents in part:
                key, _, value = text.partition(UNIT)
                out.append({"key": key, "value": value, "documents": documents, "first": key != before})
                before = key
            yield out

    def terms_writer(self) -> SegmentWriter:
        """Return what passages' terms are given to."""
        return SegmentWriter(self._terms)

    def terms(self) -> Iterator[tuple[list[str], NDArray[np.int64]]]:
        """Yield all terms, sorted, with in how many passages each stands."""
        segment = Segment.open(self._terms)
        for first in range(0, len(segment.terms), _AT_ONCE):
            stop = min(first + _AT_ONCE, len(segment.terms))
            words = [word.decode("utf-8", "replace") for word in segment.terms.raw_from(first, stop)]
            yield words, segment.dfs(first, stop)

    def mean_length(self) -> float:
        """Return how many words a passage has on average."""
        lengths = Segment.open(self._terms).lengths
        return float(lengths.mean(dtype=np.float64)) if len(lengths) else 0.0
