"""A segment: the terms of some passages with how often each stands where, in mapped files that never change.

    postings.json   {"format": 3, "passages": N, "words": sum of the lengths, "terms": T, "postings": P}
    terms.npy       uint8, all terms in UTF-8, sorted by bytes     places.npy   (T + 1,), where each begins
    blocks.npy      uint8, the postings of each term (`packed`)    starts.npy   (T + 1,), where each term's begin
    lengths.npy     uint32, (N,), words of each passage

Places and starts are uint32, or int64 from 4 GiB on. In formats 1 and 2 there were rows.npy and counts.npy instead, with a number for
each posting, rows ascending within a term, and starts counted postings.

A passage is a row: the n-th that was written. Scores are made when a query comes (`lexical.search`), because they depend on all
segments and on what has been removed since. What a removed passage had is not kept apart: a term's postings are read for its
scores anyway, and counting those that are left under the mask costs little beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lexical.files import damaged, read_array, read_object
from quarry.indexer.lexical.lists import Lists, PackedLists, PlainLists
from quarry.indexer.lexical.packed import PostingLists, Postings, TornPostings
from quarry.indexer.lexical.strings import StringTable

HEAD_NAME = "postings.json"
FORMAT = 3
_FORMATS = (1, 2, FORMAT)  # that are read
BLOCKS_NAME = "blocks.npy"
_ARRAYS = {"terms": "u", "places": "iu", "starts": "iu", "lengths": "u"}  # and their kinds
_PLAIN = {"rows": "u", "counts": "u"}  # of formats 1 and 2
_FACTS = ("format", "passages", "words", "terms", "postings")


class Segment:
    """Terms of some passages, opened.

    Args:
        terms: The terms, sorted.
        lists: The postings of each.
        lengths: Words of each passage, shape (passages,).
        folder: Where they are from, for errors.
    """

    def __init__(self, terms: StringTable, lists: Lists, lengths: NDArray[np.uint32], folder: Path = Path()) -> None:
        self.terms, self.lists, self.lengths = terms, lists, lengths
        self._folder = folder

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map the files of a segment; its postings are not read.

        Raises:
            IndexFormatError: If a file is missing, damaged or of a newer format, or if two contradict each other.
        """
        head = _head(folder / HEAD_NAME)
        kinds = _ARRAYS if head["format"] == FORMAT else _ARRAYS | _PLAIN
        arrays = {name: read_array(folder / f"{name}.npy", kind) for name, kind in kinds.items()}
        terms, postings = head["terms"], head["postings"]
        expected = {"places": terms + 1, "starts": terms + 1, "lengths": head["passages"]}
        for name, length in {**expected, **dict.fromkeys(kinds.keys() & _PLAIN.keys(), postings)}.items():
            if len(arrays[name]) != length:
                raise damaged(folder / f"{name}.npy", f"{len(arrays[name])} numbers", f"{length}, as {HEAD_NAME} says")
        if head["format"] == FORMAT:
            blocks = read_array(folder / BLOCKS_NAME, "u")
            lists: Lists = PackedLists(arrays["starts"], blocks)
            last = len(blocks)
        else:
            lists, last = PlainLists(arrays["starts"], arrays["rows"], arrays["counts"]), postings
        for name, end in (("places", len(arrays["terms"])), ("starts", last)):
            limits = arrays[name]
            if limits[0] != 0 or limits[-1] != end or np.any(limits[1:] < limits[:-1]):
                raise damaged(folder / f"{name}.npy", "limits out of order", f"ascending ones from 0 to {end}")
        return cls(StringTable(arrays["terms"], arrays["places"]), lists, arrays["lengths"], folder)

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self.lengths)

    def wrong_rows(self) -> IndexFormatError:
        """Make the error for postings of passages that are not there."""
        return damaged(self._folder / BLOCKS_NAME, "a passage that is not there", f"rows below {len(self)}")

    def postings(self, number: int) -> Postings:
        """Return the postings of a term by its number. Raises IndexFormatError where they are damaged."""
        try:
            return self.lists.one(number)
        except TornPostings as err:
            raise self._torn(err) from err

    def df(self, number: int) -> int:
        """Return in how many passages a term stands, by its number. Raises IndexFormatError where its postings are damaged."""
        try:
            return self.lists.df(number)
        except TornPostings as err:
            raise self._torn(err) from err

    def dfs(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return in how many passages each of some terms stands. Raises IndexFormatError where their postings are damaged."""
        try:
            return self.lists.dfs(first, stop)
        except TornPostings as err:
            raise self._torn(err) from err

    def some(self, first: int, stop: int) -> PostingLists:
        """Return the postings of some terms, for a merge. Raises IndexFormatError where they are damaged."""
        try:
            return self.lists.some(first, stop)
        except TornPostings as err:
            raise self._torn(err) from err

    def _torn(self, err: TornPostings) -> IndexFormatError:
        return damaged(self._folder / BLOCKS_NAME, str(err), "whole blocks of postings")


@dataclass(frozen=True, slots=True)
class Live:
    """A segment and which of its passages are there: shape (len(segment),), True where one is; None when all are.

    Raises:
        ValueError: If the mask has another shape.
    """

    segment: Segment
    live: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        if self.live is not None and self.live.shape != (len(self.segment),):
            raise ValueError(
                f"a mask of shape {self.live.shape}; expected ({len(self.segment)},), one place per passage"
            )

    @property
    def passages(self) -> int:
        """How many passages are there."""
        return len(self.segment) if self.live is None else int(np.count_nonzero(self.live))

    @property
    def words(self) -> int:
        """How many words they have together."""
        lengths = self.segment.lengths
        return int((lengths if self.live is None else lengths[self.live]).sum(dtype=np.int64))

    def df(self, number: int) -> int:
        """Return in how many of them a term stands, by its number in the segment."""
        if self.live is None:
            return self.segment.df(number)
        return self.count(self.segment.postings(number).rows)

    def count(self, rows: NDArray[Any]) -> int:
        """Return how many of some rows are there. Raises IndexFormatError for one that the segment does not have."""
        if self.live is None:
            return len(rows)
        try:
            return int(np.count_nonzero(self.live[rows]))
        except IndexError as err:  # all postings are not read at opening
            raise self.segment.wrong_rows() from err


def write_head(folder: Path, lengths: NDArray[np.uint32], terms: int, postings: int) -> None:
    """Write the lengths and, as the last file of a segment, its head."""
    np.save(folder / "lengths.npy", lengths.astype("<u4"))
    facts = (FORMAT, len(lengths), int(lengths.sum(dtype=np.int64)), terms, postings)
    (folder / HEAD_NAME).write_text(dumps(dict(zip(_FACTS, facts, strict=True))), encoding="utf-8")


def smallest_type(values: Sequence[int]) -> np.dtype[Any]:
    """Return the smallest unsigned type that holds the largest of some numbers."""
    most = max(values, default=0)
    return np.dtype(np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.uint32)


def limits_type(last: int) -> np.dtype[Any]:
    """Return the type of ascending limits up to some number."""
    return np.dtype(np.uint32 if last < 2**32 else np.int64)


def _head(path: Path) -> dict[str, int]:
    head = read_object(path)
    if not all(isinstance(head.get(name), int) and head[name] >= 0 for name in _FACTS):
        found = ", ".join(f"{name}: {value!r}" for name, value in head.items())
        raise damaged(path, found[:200] or "nothing", f"a whole number for each of {', '.join(_FACTS)}")
    if head["format"] not in _FORMATS:
        raise damaged(path, f"format {head['format']}", f"format {FORMAT} or older; a newer Quarry may have written it")
    return head
