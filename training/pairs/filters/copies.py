"""Finds out whether a pair is a copy of an earlier one, among millions, in eight bytes of memory for each band of a pair.

Signatures (`quarry.training.pairs.filters.minhash`) give candidates, whose texts are read back and compared exactly: a pair is left out
only for what its texts are, never for a collision of numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quarry.training.examples.near_duplicates import Shingles, jaccard, shingles
from quarry.training.pairs.filters.minhash import BANDS, Bands, bands

LIKE_PASSAGE, LIKE_QUERY = 0.75, 0.5
"""Similarities of passage and query from which a pair is a copy; a passage with another query is judged by the semantic filter."""
_FREE = 0xFFFFFFFF
_PER_BAND = 4  # pairs of one band that are candidates
_FULL = 0.6  # share of the slots in use before the table doubles
_MOVED = 1 << 20  # tags that are put into a table at a time
_PART_BITS = 4

TextsOf = Callable[[int], tuple[str, str]]
"""Number of a kept pair to its query and passage."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What tells whether a pair is a copy.

    Attributes:
        query: N-grams of the query.
        passage: N-grams of the passage.
        signature: By which copies are found.
    """

    query: Shingles
    passage: Shingles
    signature: Bands


class Copies:
    """The pairs that were kept so far.

    Attributes:
        count: How many.
    """

    def __init__(self, texts_of: TextsOf) -> None:
        self.count = 0
        self._texts_of = texts_of
        self._table = _Table()

    def is_copy(self, pair: Sketch) -> bool:
        """Return whether an earlier pair has nearly this passage and a query like this one."""
        for candidate in self._table.find(pair.signature):
            query, passage = self._texts_of(candidate)
            if (
                jaccard(pair.passage, shingles(passage)) >= LIKE_PASSAGE
                and jaccard(pair.query, shingles(query)) >= LIKE_QUERY
            ):
                return True
        return False

    def add(self, signature: Bands) -> None:
        """Keep the next pair."""
        self._table.add(signature, self.count)
        self.count += 1

    def add_all(self, signatures: NDArray[np.uint32]) -> None:
        """Keep the first pairs, shape (n, BANDS), in order, as an earlier process kept them."""
        self._table.fill(signatures)
        self.count = len(signatures)


def sketch_of(query: str, passage: str, *, symmetric: bool) -> Sketch:
    """Return the sketch of a pair.

    Its signature is of the passage, half of it with the query, so that a copy is found among many questions about one passage; of both
    texts alike where they are two of a kind.
    """
    asked, said = shingles(query), shingles(passage)
    signature = bands(shingles(f"{query}\n{passage}")) if symmetric else bands(said, asked)
    return Sketch(asked, said, signature)


class _Table:
    """Bands to the numbers of the first pairs that have them: open addressing in two flat arrays."""

    def __init__(self, slots: int = 1 << 16) -> None:
        self._begin(slots)
        self._used = 0

    def _begin(self, slots: int) -> None:
        """Make empty arrays, and views whose items are plain numbers, which costs a third of looking into an array."""
        self._tags, self._rows = np.zeros(slots, np.uint32), np.full(slots, _FREE, np.uint32)
        self._tag_at, self._row_at = self._tags.data, self._rows.data

    def find(self, signature: Bands) -> list[int]:
        found: dict[int, None] = {}
        for tag in signature.tolist():
            rows, _ = self._chain(tag)
            found.update(dict.fromkeys(rows))
        return list(found)

    def add(self, signature: Bands, row: int) -> None:
        if self._used + BANDS > _FULL * len(self._tags):
            self._grow()
        for tag in set(signature.tolist()):
            rows, slot = self._chain(tag)
            if len(rows) < _PER_BAND:
                self._tag_at[slot], self._row_at[slot] = tag, row
                self._used += 1

    def fill(self, signatures: NDArray[np.uint32]) -> None:
        """Add to an empty table what `add` would, one row after another; a part of the tags at a time."""
        flat = signatures.ravel()
        for part in range(1 << _PART_BITS):
            places = np.flatnonzero(flat >> np.uint32(32 - _PART_BITS) == part)
            places = places[np.argsort(flat[places], kind="stable")]
            tags, rows = flat[places], (places // BANDS).astype(np.uint32)
            kept = _changes(tags) | _changes(rows)  # a tag that a row has twice counts once
            tags, rows = tags[kept], rows[kept]
            first = np.flatnonzero(_changes(tags))
            kept = np.arange(len(tags)) - np.repeat(first, np.diff(first, append=len(tags))) < _PER_BAND
            tags, rows = tags[kept], rows[kept]
            self._used += len(tags)
            while self._used > _FULL * len(self._tags):
                self._grow()
            self._put(tags, rows)

    def _chain(self, tag: int) -> tuple[list[int], int]:
        """Return the pairs of a tag, and the free slot that the next one gets."""
        rows, last = list[int](), len(self._tags) - 1
        slot = (tag * 0x9E3779B1) & last
        while (row := self._row_at[slot]) != _FREE:
            if self._tag_at[slot] == tag:
                rows.append(row)
            slot = (slot + 1) & last
        return rows, slot

    def _grow(self) -> None:
        """Double the slots; many tags at a time."""
        tags, rows = (part[self._rows != _FREE] for part in (self._tags, self._rows))
        self._begin(2 * len(self._tags))
        self._put(tags, rows)

    def _put(self, tags: NDArray[np.uint32], rows: NDArray[np.uint32]) -> None:
        """Put tags into free slots, many at a time."""
        for first in range(0, len(tags), _MOVED):
            self._settle(tags[first : first + _MOVED], rows[first : first + _MOVED])

    def _settle(self, tags: NDArray[np.uint32], rows: NDArray[np.uint32]) -> None:
        """Put tags into free slots; those that collide, in rounds."""
        last = len(self._tags) - 1
        slots = (tags.astype(np.uint64) * np.uint64(0x9E3779B1) & np.uint64(last)).astype(np.int64)
        while len(tags):
            free = self._rows[slots] == _FREE
            self._rows[slots[free]], self._tags[slots[free]] = rows[free], tags[free]
            # of two that wanted a slot, the last one has it
            left = (self._rows[slots] != rows) | (self._tags[slots] != tags)
            tags, rows, slots = tags[left], rows[left], (slots[left] + 1) & last


def _changes(values: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return which values differ from the one before; the first does."""
    out = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=out[1:])
    return out
