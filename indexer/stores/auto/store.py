"""The default store: exact while that is fast; above, one bit per number finds candidates and the vectors decide.

An exact search reads every vector. From 128 MiB on that takes longer than everything else in a search, so `flush` writes the
codes of `candidates` as well, and tunes how many candidates are compared exactly until recall@10 against exact search reaches 0.95.
Similarities are always exact. There is nothing to train, so a merge costs little more than copying; small segments stay flat.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.messages import Message
from quarry.indexer.stores.auto.candidates import TUNING_QUERIES, Candidates
from quarry.indexer.stores.auto.row_reader import RowReader
from quarry.indexer.stores.base import Neighbour
from quarry.indexer.stores.checks import TARGET_RECALL, check_search, recall_missed
from quarry.indexer.stores.exact.files import StoredIds
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.sealed import HEADER_NAME, Header, State, check_tuned

KIND = "auto"
EXACT_UP_TO = 128 << 20  # bytes of vectors: read in about 15 ms
_FEW_ALLOWED = 20_000  # passages: fewer are compared exactly
_A_READ = (
    12  # vectors of a scan take as long as one that is read by itself (2 and 0.14 microseconds of 384 numbers each)
)


class AutoStore(ExactStore):
    """A VectorStore that is exact up to a size, and above it approximate with exact similarities."""

    kind = KIND

    def __init__(self, folder: Path, ids: StoredIds | list[str], matrix: Vectors) -> None:
        super().__init__(folder, ids, matrix)
        self._codes: Candidates | None = None
        self._reader: RowReader | None = None  # beside codes
        self._facts: dict[str, Any] = {}

    @classmethod
    def of_header(cls, folder: Path, header: Header | None) -> Self:
        """Open the vectors, ids and codes that a header names.

        Raises:
            IndexFormatError: If a file is missing or damaged, or they do not belong together.
        """
        store = super().of_header(folder, header)
        if header is not None and header.facts.get("index") == "codes":
            check_tuned(header.facts, folder / HEADER_NAME)
            store._facts = dict(header.facts)
            store._codes, store._reader = Candidates.open(folder, header), RowReader(store._matrix)
        return store

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest: the kind of index and why, how many candidates are compared, recall@10."""
        size = 4 * self.dim * len(self)
        facts: dict[str, Any] = {"kind": KIND, "count": len(self)}
        if self._codes is None:
            why = Message.of(
                "stores.auto_exact",
                "exact search: the vectors have {size:,} MB, which is read in a few milliseconds",
                size=size >> 20,
            )
            return {**facts, "index": "flat", "recall@10": 1.0, "unindexed": 0, "why": why.as_json()}
        why = Message.of(
            "stores.auto_codes",
            "approximate search: the vectors have {size:,} MB, more than the {limit:,} MB up to which exact search is fast; "
            "recall@10 is {recall} on {queries:query|queries}",
            size=size >> 20,
            limit=EXACT_UP_TO >> 20,
            recall=self._facts["recall@10"],
            queries=TUNING_QUERIES,
        )
        shown: dict[str, Any] = {
            key: self._facts[key]
            for key in ("index", "search", "steps", "last", "recall@10", "note")
            if key in self._facts
        }
        return {**facts, **shown, "unindexed": 0, "why": why.as_json()}

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add all or nothing. Raises ValueError on a duplicate id, a wrong shape or a non-finite value."""
        super().add(ids, vectors)
        self._codes = self._reader = None

    def remove(self, ids: Collection[str]) -> int:
        """Remove these; return how many were there."""
        count = super().remove(ids)
        if count:
            self._codes = self._reader = None
        return count

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks; see `VectorStore.search`. After a change it is exact until the next flush.

        Raises:
            ValueError: If k < 1 or queries is not (n, dim).
        """
        check_search(queries, k, self.dim)
        few = allowed is not None and len(allowed) <= _FEW_ALLOWED
        if self._codes is None or few or (allowed is None and self._codes.count(k) * _A_READ > len(self)):
            return super().search(queries, k, allowed=allowed)
        among = None if allowed is None else self.rows_of(allowed)
        return [self._nearest(self._codes, query, k, among) for query in queries]

    def _nearest(self, codes: Candidates, query: Vectors, k: int, among: NDArray[np.int64] | None) -> list[Neighbour]:
        """The k nearest of the candidates; of all, where equal similarities run past the candidates."""
        if among is not None and not len(among):
            return []
        rows = codes.of(query, k, among)
        everything = len(self) if among is None else len(among)
        found = self.best_of(query, rows, k, complete=len(rows) == everything)
        return self._compared(query[np.newaxis], k, among)[0] if found is None else found

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return stored vectors by row number, shape (len(rows), dim); of a large file nothing becomes resident."""
        return super().vectors_of(rows) if self._reader is None else self._reader.rows(rows)

    def similarities_of(self, query: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the similarities of stored vectors with a query, shape (len(rows),), reading as `vectors_of` does."""
        return super().similarities_of(query, rows) if self._reader is None else self._reader.similarities(query, rows)

    def write_into(self, state: State) -> dict[str, Any]:
        """Write vectors, ids and, when there are many, codes as data files of a state; return what its header says of them."""
        facts = super().write_into(state)
        self._codes = self._reader = None
        if 4 * self.dim * len(self) <= EXACT_UP_TO:
            return facts
        self._codes, tuned = Candidates.write(self._vectors(), state)
        self._reader = RowReader(self._vectors())
        self._facts = {"index": "codes", "refine": 1, **tuned}
        if tuned["recall@10"] < TARGET_RECALL:
            self._facts["note"] = recall_missed().as_json()
        return {**facts, **self._facts}
