"""Which documents meet a condition on their metadata, looked up in the tables of a chunk table.

Equal values are found by an index; wildcards, dates and bounds are compared with the different values that the key has.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from quarry.indexer.storage.texts.conditions import OF_DOCUMENTS, Bound, Condition, equal_values, known_key


def matching_documents(db: sqlite3.Connection, condition: Condition) -> set[str]:
    """Return the ids of the documents that meet a condition.

    Raises:
        UnknownFilter: If no document has the key.
        BadFilter: If none of the key's values can be compared with a bound.
    """
    values = _Values(db, known_key(condition.key, (str(row[0]) for row in db.execute("SELECT DISTINCT key FROM meta"))))
    found: set[str] | None = None
    if condition.accepted:
        found = {doc_id for value in condition.accepted for doc_id in values.equal(value)}
    for bound in condition.bounds:
        within = set(values.within(bound))
        found = within if found is None else found & within
    if condition.refused:
        refused = {doc_id for value in condition.refused for doc_id in values.equal(value)}
        found = (values.all_documents() if found is None else found) - refused
    return found if found is not None else set()


class _Values:
    """The values of one key, with the documents that have them."""

    def __init__(self, db: sqlite3.Connection, key: str) -> None:
        self._db, self._key = db, key

    def equal(self, wanted: str) -> Iterator[str]:
        """Yield the documents with a value: the same text, the same number, a day within the date, or the wildcard's."""
        if "*" in wanted:
            pattern = wanted.replace("[", "[[]").replace("?", "[?]")  # only * is special
            yield from self._documents("GLOB ?", pattern)
            return
        for value in equal_values(wanted, self._different):
            yield from self._documents("= ?", value)

    def within(self, bound: Bound) -> Iterator[str]:
        """Yield the documents with a value within a bound.

        Raises:
            BadFilter: If none of the values can be compared with it.
        """
        compared = False
        example = ""
        for value in self._different():
            holds = bound.holds(value)
            compared, example = compared or holds is not None, example or value
            if holds:
                yield from self._documents("= ?", value)
        if not compared:
            raise bound.not_comparable(self._key, example)

    def all_documents(self) -> set[str]:
        """Return all documents of the index, with the key or without it."""
        return {row[0] for row in self._db.execute("SELECT doc_id FROM documents")}

    def _different(self) -> Iterable[str]:
        if self._key in OF_DOCUMENTS:
            rows = self._db.execute(f"SELECT DISTINCT {self._key} FROM documents")  # noqa: S608 (two fixed names)
        else:
            rows = self._db.execute("SELECT DISTINCT value FROM meta WHERE key = ?", (self._key,))
        return [row[0] for row in rows]

    def _documents(self, comparison: str, value: str) -> Iterator[str]:
        if self._key in OF_DOCUMENTS:
            rows = self._db.execute(f"SELECT doc_id FROM documents WHERE {self._key} {comparison}", (value,))  # noqa: S608 (fixed)
        else:
            rows = self._db.execute(f"SELECT doc_id FROM meta WHERE key = ? AND value {comparison}", (self._key, value))  # noqa: S608 (fixed)
        return (str(row[0]) for row in rows)
