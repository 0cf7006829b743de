"""Which documents meet a condition on their metadata, looked up in the tables of a chunk table.

Equal values are found by an index; wildcards, dates and bounds are compared with the different values that the key has.
"""

import sqlite3
from collections.abc import Iterable, Iterator

from quarry.indexer.errors import BadFilter, UnknownFilter
from quarry.indexer.metadata import number_of, period_of, written
from quarry.indexer.storage.texts.conditions import Bound, Condition

_SHOWN = 30  # keys that an error names
_OF_DOCUMENTS = ("doc_id", "title")  # columns that count as keys
_TRUE_AND_FALSE = {"True": "true", "False": "false"}


def matching_documents(db: sqlite3.Connection, condition: Condition) -> set[str]:
    """Return the ids of the documents that meet a condition.

    Raises:
        UnknownFilter: If no document has the key.
        BadFilter: If none of the key's values can be compared with a bound.
    """
    values = _Values(db, _known_key(db, condition.key))
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


def _known_key(db: sqlite3.Connection, key: str) -> str:
    known = sorted({*(str(row[0]) for row in db.execute("SELECT DISTINCT key FROM meta")), *_OF_DOCUMENTS})
    if key in known:
        return key
    alike = [name for name in known if name.casefold() == key.casefold()]
    if alike:
        return alike[0]
    raise UnknownFilter(
        "storage.unknown_filter",
        "no document has the metadata {key}",
        expected="one of {known}",
        key=key,
        known=[*known[:_SHOWN], *(["..."] if len(known) > _SHOWN else [])],
    )


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
        number = number_of(wanted)
        same = {wanted, _TRUE_AND_FALSE.get(wanted, wanted), written(number) if number is not None else wanted}
        for value in same:
            yield from self._documents("= ?", value)
        asked = period_of(wanted)
        if asked is None:
            return
        for value in self._different():
            given = period_of(value) if value not in same and number_of(value) is None else None
            if given is not None and asked.start <= given.start < asked.end:
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
            raise BadFilter(
                "storage.not_comparable",
                "the metadata {key} has values such as {example}, which {operator}{operand} cannot be compared with",
                expected="numbers to compare with a number, dates with a date",
                do="Use {key}=VALUE; * in a value is a wildcard",
                key=self._key,
                example=repr(example[:60]),
                operator=bound.operator,
                operand=bound.operand,
            )

    def all_documents(self) -> set[str]:
        """Return all documents of the index, with the key or without it."""
        return {row[0] for row in self._db.execute("SELECT doc_id FROM documents")}

    def _different(self) -> Iterable[str]:
        if self._key in _OF_DOCUMENTS:
            rows = self._db.execute(f"SELECT DISTINCT {self._key} FROM documents")  # noqa: S608 (two fixed names)
        else:
            rows = self._db.execute("SELECT DISTINCT value FROM meta WHERE key = ?", (self._key,))
        return [row[0] for row in rows]

    def _documents(self, comparison: str, value: str) -> Iterator[str]:
        if self._key in _OF_DOCUMENTS:
            rows = self._db.execute(f"SELECT doc_id FROM documents WHERE {self._key} {comparison}", (value,))  # noqa: S608 (fixed)
        else:
            rows = self._db.execute(f"SELECT doc_id FROM meta WHERE key = ? AND value {comparison}", (self._key, value))  # noqa: S608 (fixed)
        return (str(row[0]) for row in rows)
