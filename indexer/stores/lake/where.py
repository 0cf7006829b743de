"""Filters as predicates: passages that meet a condition, without a list of their ids.

Documents' metadata stand in the column `facts` of the passages, one text `KEY<US>VALUE` for each (US is the control character 31). Equal
values are looked up there. Wildcards, dates and bounds are compared with the different values of the key, as an ordinary index does.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Any

from quarry.indexer.errors import BadFilter
from quarry.indexer.storage.texts.conditions import OF_DOCUMENTS, Condition, condition_of, equal_values, known_key
from quarry.indexer.stores.base import Predicate
from quarry.indexer.stores.lake.tables import Table, is_in, quoted

UNIT = "\x1f"
_MOST_VALUES = 10_000  # of one key that one predicate names
_AT_ONCE = 8_192


class Where(Predicate):
    """The passages that meet a predicate; a collection of their ids that is not read until it has to be.

    Args:
        sql: The predicate, on the columns of the table of passages.
        passages: That table.
    """

    def __init__(self, sql: str, passages: Table) -> None:
        self.sql, self._passages = sql, passages
        self._count: int | None = None

    def __len__(self) -> int:
        if self._count is None:
            self._count = self._passages.count(self.sql)
        return self._count

    def __contains__(self, chunk_id: object) -> bool:
        return isinstance(chunk_id, str) and chunk_id in self.among([chunk_id])

    def __iter__(self) -> Iterator[str]:
        return (row["chunk_id"] for row in self._passages.rows(self.sql, ["chunk_id"]))

    def among(self, chunk_ids: Iterable[str]) -> frozenset[str]:
        """Return those of some ids that are in it."""
        found: list[str] = []
        wanted = iter(chunk_ids)
        while part := list(islice(wanted, _AT_ONCE)):
            rows = self._passages.rows(f"({self.sql}) AND {is_in('chunk_id', part)}", ["chunk_id"])
            found += [row["chunk_id"] for row in rows]
        return frozenset(found)

    def both(self, other: Predicate) -> "Where":
        """Return what is in this and in another one of the same lake. Raises TypeError for one of something else."""
        if not isinstance(other, Where):
            raise TypeError(f"a predicate of kind {type(other).__name__}; expected one of a lake")
        return Where(f"({self.sql}) AND ({other.sql})", self._passages)

    def without(self, chunk_ids: Set[str]) -> "Where":
        """Return the same without some ids."""
        if not chunk_ids:
            return self
        return Where(f"({self.sql}) AND NOT ({is_in('chunk_id', sorted(chunk_ids))})", self._passages)


def predicate_of(filters: Mapping[str, Any], passages: Table, values: Table) -> Where:
    """Return the passages whose documents meet all filters.

    Args:
        filters: As `quarry.indexer.storage.texts.conditions` describes.
        passages: The table of passages.
        values: The table of the different values of each key.

    Raises:
        UnknownFilter: If a key occurs in no document.
        BadFilter: If a filter cannot be answered.
    """
    parts = [
        _Key(_known(key, values), passages, values).meets(condition_of(key, wanted)) for key, wanted in filters.items()
    ]
    return Where(" AND ".join(f"({part})" for part in parts) if parts else "true", passages)


def fact(key: str, value: str) -> str:
    """Return how a value of a key stands in the column `facts`."""
    return f"{key}{UNIT}{value}"


def _known(key: str, values: Table) -> str:
    if key in OF_DOCUMENTS or values.count(f"key = {quoted(key)}"):
        return key
    return known_key(key, (row["key"] for row in values.rows("first", ["key"])))


class _Key:
    """One key, and what is asked of it."""

    def __init__(self, key: str, passages: Table, values: Table) -> None:
        self._key, self._passages, self._values = key, passages, values
        self._different: list[str] | None = None

    def meets(self, asked: Condition) -> str:
        """Return the predicate. Raises BadFilter when it cannot be answered."""
        parts: list[str] = []
        if asked.accepted:
            parts.append(self._any_of(value for wanted in asked.accepted for value in self._equal(wanted)))
        for bound in asked.bounds:
            held = {value: bound.holds(value) for value in self._all()}
            if all(answer is None for answer in held.values()):
                raise bound.not_comparable(self._key, next(iter(held), ""))
            parts.append(self._any_of(value for value, answer in held.items() if answer))
        if asked.refused:
            refused = self._any_of(value for wanted in asked.refused for value in self._equal(wanted))
            parts.append(f"NOT ({refused})")
        return " AND ".join(f"({part})" for part in parts) or "false"

    def _any_of(self, values: Iterable[str]) -> str:
        """Return the predicate that a document has one of some values."""
        every = list(dict.fromkeys(values))
        if len(every) > _MOST_VALUES:
            raise BadFilter(
                "stores.lake_wide_filter",
                "the filter on {key} matches {count:,} different values",
                expected="at most {most:,} in a lake",
                do="Use a key with fewer values, such as a month or a kind",
                key=self._key,
                count=len(every),
                most=_MOST_VALUES,
            )
        if not every:
            return "false"
        if self._key in OF_DOCUMENTS:
            return is_in(self._key, every)
        listed = ", ".join(quoted(fact(self._key, value)) for value in every)
        return f"array_has_any(facts, [{listed}])"

    def _equal(self, wanted: str) -> Sequence[str]:
        """Return the values that count as equal: the same text, the same number, a day within the date, or the wildcard's."""
        if "*" in wanted:
            return self._like(wanted)
        return list(equal_values(wanted, self._all))

    def _like(self, wanted: str) -> list[str]:
        escaped = wanted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
        pattern = quoted(escaped)
        if self._key in OF_DOCUMENTS:
            rows = self._passages.rows(f"{self._key} LIKE {pattern} ESCAPE '\\'", [self._key])
            return sorted({row[self._key] for row in rows})
        rows = self._values.rows(f"key = {quoted(self._key)} AND value LIKE {pattern} ESCAPE '\\'", ["value"])
        return [row["value"] for row in rows]

    def _all(self) -> list[str]:
        """Return the different values of the key."""
        if self._different is None:
            if self._key in OF_DOCUMENTS:
                self._different = sorted({row[self._key] for row in self._passages.rows(None, [self._key])})
            else:
                rows = self._values.rows(f"key = {quoted(self._key)}", ["value"])
                self._different = sorted(row["value"] for row in rows)
        return self._different
