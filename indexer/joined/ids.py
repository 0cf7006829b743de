"""Ids in several indexes: the name of the index before the id, so that two documents of one name stay two."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import overload

from quarry.indexer.stores.base import Predicate, among

_BETWEEN = "\0"  # in no file name


def named(index: str, own: str) -> str:
    """Return an id with the name of its index.

    Example:
        >>> apart(named("mails", "a.md#0"))
        ('mails', 'a.md#0')
    """
    return f"{index}{_BETWEEN}{own}"


def apart(joined: str) -> tuple[str, str]:
    """Return the name of the index and the id there."""
    index, _, own = joined.partition(_BETWEEN)
    return index, own


def by_index(ids: Iterable[str]) -> dict[str, list[str]]:
    """Return ids by the name of their index, in order."""
    found: dict[str, list[str]] = {}
    for each in ids:
        index, own = apart(each)
        found.setdefault(index, []).append(own)
    return found


class NamedIds(Sequence[str]):
    """The ids of one index with its name, made when they are asked for."""

    def __init__(self, index: str, own: Sequence[str]) -> None:
        self._index, self._own = index, own

    def __len__(self) -> int:
        return len(self._own)

    def __iter__(self) -> Iterator[str]:
        return (named(self._index, each) for each in self._own)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> "NamedIds": ...

    def __getitem__(self, place: int | slice) -> "str | NamedIds":
        if isinstance(place, slice):
            return NamedIds(self._index, self._own[place])
        return named(self._index, self._own[place])


class JoinedIds(Predicate):
    """Some ids of each index.

    Example:
        >>> ids = JoinedIds({"mails": {"a#0", "b#0"}, "books": {"a#0"}})
        >>> len(ids), ids.among([named("mails", "b#0"), named("books", "b#0")]) == {named("mails", "b#0")}
        (3, True)
    """

    def __init__(self, parts: Mapping[str, Set[str] | Predicate]) -> None:
        self._parts = dict(parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts.values()))

    def __contains__(self, joined: object) -> bool:
        if not isinstance(joined, str):
            return False
        index, own = apart(joined)
        return own in self.of(index)

    def __iter__(self) -> Iterator[str]:
        return (named(index, own) for index, part in self._parts.items() for own in part)

    def of(self, index: str) -> Set[str] | Predicate:
        """Return the ids of one index, as they are there."""
        return self._parts.get(index, frozenset())

    def among(self, ids: Iterable[str]) -> frozenset[str]:
        """Return those of some ids that are in it."""
        parts = by_index(ids)
        return frozenset(named(index, own) for index, mine in parts.items() for own in among(self.of(index), mine))

    def both(self, other: Predicate) -> "JoinedIds":
        """Return what is in this and in another one. Raises TypeError for one that is not of several indexes."""
        if not isinstance(other, JoinedIds):
            raise TypeError(f"a predicate of kind {type(other).__name__}; expected one of several indexes")
        return JoinedIds({index: _both(part, other.of(index)) for index, part in self._parts.items()})

    def without(self, ids: Set[str]) -> "JoinedIds":
        """Return the same without some ids."""
        gone = {index: frozenset(mine) for index, mine in by_index(ids).items()}
        return JoinedIds({index: _less(part, gone.get(index, frozenset())) for index, part in self._parts.items()})


def _both(one: Set[str] | Predicate, other: Set[str] | Predicate) -> Set[str] | Predicate:
    if isinstance(one, Predicate) and isinstance(other, Predicate):
        return one.both(other)
    if isinstance(one, Predicate):
        one, other = other, one
    return among(other, one)


def _less(part: Set[str] | Predicate, gone: Set[str]) -> Set[str] | Predicate:
    return part.without(gone) if isinstance(part, Predicate) else frozenset(part) - gone
