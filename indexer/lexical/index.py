"""Lexical segments with the ids of their passages, and the index over several of them.

    ids.npy        uint8, the ids of all passages in UTF-8, ascending; row n of the segment is the n-th
    id_places.npy  (passages + 1,), where each begins: uint32, or int64 from 4 GiB on and in segments of before

stand beside the files of `lexical.segment`. Older indexes have the files of bm25s instead; `open_lexical` opens either.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.bm25 import IDS_NAME, Bm25sIndex, LexicalHit, LexicalIndex
from quarry.indexer.lexical.files import damaged, read_array
from quarry.indexer.lexical.growing import GrowingArray
from quarry.indexer.lexical.merge import merge_segments
from quarry.indexer.lexical.search import Bm25Search
from quarry.indexer.lexical.segment import Live, Segment, limits_type
from quarry.indexer.lexical.strings import StringTable, encoded, places_of
from quarry.indexer.lexical.writer import SegmentWriter, counted

ENGINE = "postings/1"
TEXT_NAME, PLACES_NAME = "ids.npy", "id_places.npy"
_FEW = 1000  # ids of a filter that are looked up one by one; more are compared with all
_AT_ONCE = 100_000  # ids that are written at once
_LOOKED_UP = 16  # looking up an id costs about as much as reading so many


class LexicalSegment:
    """The terms of some passages, by id."""

    def __init__(self, segment: Segment, ids: "StringTable | NamedTable") -> None:
        self.segment, self.ids = segment, ids

    @classmethod
    def build(cls, folder: Path, ids: Iterable[str], tokens: Iterable[Sequence[str]]) -> Self:
        """Index passages into an empty folder, in bounded memory, and open them.

        Args:
            folder: Where to.
            ids: Each one once, ascending.
            tokens: One list of terms per id, in the order of the ids.

        Raises:
            ValueError: If the ids are not ascending, or the numbers of ids and of token lists differ.
        """
        written = 0
        with SegmentWriter(folder) as writer:
            for terms in tokens:
                writer.add(terms)
                written += 1
        given = _write_ids(folder, iter(ids))
        if written != given:
            raise ValueError(f"{written} lists of terms for {given} ids; expected one list per id")
        return cls.open(folder)

    @classmethod
    def merged(cls, folder: Path, ids: Iterable[str], parts: Sequence[Live], order: NDArray[np.int64]) -> Self:
        """Write the passages of several segments into an empty folder, without analyzing them, and open them.

        Args:
            folder: Where to.
            ids: Of all passages, ascending.
            parts: The segments, with what is taken from each.
            order: The row of each passage, in the order of the parts; row n is the passage of the n-th id.

        Raises:
            ValueError: If the ids are not ascending, or the numbers of ids and passages differ.
        """
        merge_segments(folder, parts, order)
        given = _write_ids(folder, iter(ids))
        if given != len(order):
            raise ValueError(f"{len(order)} passages for {given} ids; expected one id for each")
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `build` wrote; only its sizes are compared.

        Raises:
            IndexFormatError: If a file is missing or damaged.
        """
        segment = Segment.open(folder)
        text, places = read_array(folder / TEXT_NAME, "u"), read_array(folder / PLACES_NAME, "iu")
        if len(places) != len(segment) + 1:
            raise damaged(folder / PLACES_NAME, f"{len(places) - 1} ids", f"{len(segment)}, one per passage")
        if places[0] != 0 or places[-1] != len(text) or np.any(places[1:] < places[:-1]):
            raise damaged(folder / PLACES_NAME, "limits out of order", f"ascending ones from 0 to {len(text)}")
        return cls(segment, StringTable(text, places))

    def __len__(self) -> int:
        return len(self.ids)

    def without(self, removed: NDArray[np.int64] | None) -> Live:
        """Return what is left of it without some rows."""
        if removed is None or not len(removed):
            return Live(self.segment)
        live = np.ones(len(self), dtype=np.bool_)
        live[removed] = False
        return Live(self.segment, live)

    def only(self, ids: Iterable[str], count: int) -> Live:
        """Return the passages with some ids.

        Args:
            ids: Ascending.
            count: How many they are.

        Raises:
            KeyError: If one is not there.
        """
        live = np.zeros(len(self), dtype=np.bool_)
        if count * _LOOKED_UP < len(self):
            for each in ids:
                if (row := self.ids.find(each)) is None:
                    raise KeyError(each)
                live[row] = True
            return Live(self.segment, live)
        wanted = iter(ids)
        next_one = next(wanted, None)
        for row, own in enumerate(self.ids):
            if own == next_one:
                live[row], next_one = True, next(wanted, None)
        if next_one is not None:
            raise KeyError(next_one)
        return Live(self.segment, live)

    def mask(self, allowed: Collection[str]) -> NDArray[np.bool_]:
        """Return which rows have one of some ids."""
        if len(allowed) > _FEW:
            wanted = allowed if isinstance(allowed, set | frozenset) else frozenset(allowed)
            return np.fromiter((each in wanted for each in self.ids), dtype=np.bool_, count=len(self))
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[[row for row in map(self.ids.find, allowed) if row is not None]] = True
        return mask


class NamedTable:
    """The ids of a segment with a name before each: that of its index, where several are searched as one."""

    def __init__(self, name: str, own: "StringTable | NamedTable") -> None:
        self._name, self._own = name, own

    def __len__(self) -> int:
        return len(self._own)

    def __getitem__(self, number: int) -> str:
        return self._name + self._own[number]

    def __iter__(self) -> Iterator[str]:
        return (self._name + each for each in self._own)

    def some(self, numbers: Sequence[int]) -> list[str]:
        """Return ids by their numbers, in order."""
        return [self._name + each for each in self._own.some(numbers)]

    def find(self, word: str) -> int | None:
        """Return the number of an id, None when it is not there."""
        return self._own.find(word.removeprefix(self._name)) if word.startswith(self._name) else None


class UnionIndex:
    """BM25 over the passages that are left in some segments: `LexicalIndex`.

    Args:
        parts: Segments, each with the rows that were removed from it, ascending; None for none.

    Example:
        >>> one = UnionIndex.build(["a", "b"], [["red", "valve"], ["green", "valve"]])
        >>> [(hit.chunk_id, hit.terms) for hit in one.search(["red", "valve"], 5)]
        [('a', ('red', 'valve')), ('b', ('valve',))]
    """

    def __init__(self, parts: Sequence[tuple[LexicalSegment, NDArray[np.int64] | None]]) -> None:
        self._parts = list(parts)
        self._segments = [segment for segment, _ in parts]
        self._search = Bm25Search([segment.without(removed) for segment, removed in parts], self._names)

    @classmethod
    def build(cls, ids: Sequence[str], tokens: Iterable[Sequence[str]]) -> Self:
        """Index passages in memory; `tokens` has one list of terms per id.

        Raises:
            ValueError: If the numbers of ids and of token lists differ.
        """
        lists = list(tokens)
        if len(lists) != len(ids):
            raise ValueError(f"{len(lists)} lists of terms for {len(ids)} ids; expected one list per id")
        order = sorted(range(len(ids)), key=ids.__getitem__)
        segment = counted(lists[row] for row in order)
        return cls([(LexicalSegment(segment, StringTable.of([encoded(ids[row]) for row in order])), None)])

    @classmethod
    def joined(cls, indexes: Mapping[str, "UnionIndex"]) -> Self:
        """Join the segments of several indexes: terms are weighed by the passages of all of them.

        Args:
            indexes: By what stands before their ids in the joined one.

        Example:
            >>> one, other = UnionIndex.build(["a"], [["red", "valve"]]), UnionIndex.build(["a"], [["red", "pump"]])
            >>> joined = UnionIndex.joined({"x/": one, "y/": other})
            >>> [hit.chunk_id for hit in joined.search(["pump"], 5)], joined.idf("red") < one.idf("red")
            (['y/a'], True)
        """
        return cls(
            [
                (LexicalSegment(segment.segment, NamedTable(name, segment.ids)), removed)
                for name, index in indexes.items()
                for segment, removed in index._parts
            ]
        )

    def __len__(self) -> int:
        return len(self._search)

    @property
    def engine(self) -> str:
        """Name and version of the format and of its scores."""
        return ENGINE

    @property
    def mean_length(self) -> float:
        """Mean number of words of a passage; 0 without passages."""
        return self._search.mean_length

    def idf(self, token: str) -> float | None:
        """Return ln(1 + (N - df + 0.5) / (df + 0.5)), None for a term that is in no passage."""
        return self._search.idf(token)

    def search(self, tokens: Sequence[str], k: int, *, allowed: Collection[str] | None = None) -> list[LexicalHit]:
        """Return at most k passages with a score above zero, best first, ties in id order; see `Bm25Search.search`.

        Raises:
            ValueError: If k < 1.
        """
        masks = None if allowed is None else [segment.mask(allowed) for segment in self._segments]
        hits = self._search.search(tokens, k, masks)
        rows: defaultdict[int, list[int]] = defaultdict(list)
        for hit in hits:
            rows[hit.part].append(hit.row)
        names = {part: iter(self._names(part, own)) for part, own in rows.items()}
        return [LexicalHit(next(names[hit.part]), hit.score, hit.terms) for hit in hits]

    def having(self, groups: Sequence[Sequence[str]], signs: Sequence[str] = ()) -> frozenset[str]:
        """Return the passages that have a term of every group and, of every sign, a term that holds it; all without any."""
        masks = self._search.having(groups, signs)
        return frozenset(
            segment.ids[row]
            for segment, mask in zip(self._segments, masks, strict=True)
            for row in np.flatnonzero(mask).tolist()
        )

    def _names(self, part: int, rows: Sequence[int]) -> list[str]:
        return self._segments[part].ids.some(rows)


def open_lexical(folder: Path) -> LexicalIndex:
    """Open the lexical index of a generation, of today's format or of bm25s. Raises IndexFormatError on damage."""
    if (folder / IDS_NAME).is_file():
        return Bm25sIndex.open(folder)
    return UnionIndex([(LexicalSegment.open(folder), None)])


def _write_ids(folder: Path, ids: Iterator[str]) -> int:
    """Write ids and return how many they are."""
    count = size = 0
    last = b""
    with (
        GrowingArray(folder / TEXT_NAME, np.dtype(np.uint8)) as text,
        GrowingArray(folder / PLACES_NAME, np.dtype(np.int64)) as places,
    ):
        places.append(np.zeros(1, np.int64))
        while words := [encoded(each) for each in islice(ids, _AT_ONCE)]:
            if words != sorted(set(words)) or (count and words[0] <= last):
                raise ValueError("ids out of order; expected each one once, ascending")
            text.append(np.frombuffer(b"".join(words), dtype=np.uint8))
            places.append(places_of(words)[1:] + size)
            count, size, last = count + len(words), size + sum(map(len, words)), words[-1]
    _narrow(folder / PLACES_NAME, limits_type(size))
    return count


def _narrow(path: Path, dtype: np.dtype[Any]) -> None:
    """Write an array again with a smaller type of numbers."""
    wide = np.load(path, mmap_mode="r", allow_pickle=False)
    if wide.dtype == dtype:
        return
    narrow = path.with_suffix(".tmp")
    with GrowingArray(narrow, dtype) as numbers:
        for first in range(0, len(wide), _AT_ONCE):
            numbers.append(wide[first : first + _AT_ONCE].astype(dtype))
    del wide  # Windows replaces no file that is mapped
    narrow.replace(path)
