"""One segment from several, without what has been removed and without analyzing a text again.

The vocabularies are sorted, so the terms between two words are a stretch of postings in each segment. The merge goes from stretch
to stretch, each of about a million postings: memory does not grow with the segments.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.growing import GrowingArray
from quarry.indexer.lexical.packed import PostingLists, packed_lists
from quarry.indexer.lexical.segment import Live, limits_type, write_head
from quarry.indexer.lexical.strings import places_of

_MOST_BYTES = 13  # that a posting takes: 5 of the head, 4 of the count, 4 of the row; a byte of a block is part of one
_STRETCH = 1 << 20  # postings that are sorted at once, unless one term has more


def merge_segments(
    folder: Path, parts: Sequence[Live], order: NDArray[np.int64] | None = None, *, stretch: int = _STRETCH
) -> None:
    """Write the segment of all passages that are there.

    Args:
        folder: An empty folder.
        parts: The segments, with what is left of each.
        order: The new row of each passage that is there, in the order of the parts; None keeps this order.
        stretch: Postings that are sorted at once.

    Raises:
        ValueError: If `order` is not one number for each passage, from 0 on.
    """
    rows = _new_rows(parts, order)
    with _Output(folder, parts) as output:
        for ranges in _stretches(parts, stretch):
            output.write(_merged(parts, rows, ranges))
    lengths = np.concatenate([np.zeros(0, np.uint32), *(_kept(part, part.segment.lengths) for part in parts)])
    if order is not None:
        ordered = np.empty_like(lengths)
        ordered[order] = lengths
        lengths = ordered
    write_head(folder, lengths, output.terms, output.postings)


def _kept(part: Live, values: NDArray[Any]) -> NDArray[Any]:
    return values if part.live is None else values[part.live]


def _new_rows(parts: Sequence[Live], order: NDArray[np.int64] | None) -> list[NDArray[np.uint64]]:
    """For each part the new row of each of its passages; those of removed ones mean nothing."""
    total = sum(part.passages for part in parts)
    if order is not None and not np.array_equal(np.sort(order), np.arange(total)):
        raise ValueError(f"an order of {len(order)} rows; expected each number from 0 to {total - 1} once")
    out: list[NDArray[np.uint64]] = []
    first = 0
    for part in parts:
        live = np.ones(len(part.segment), np.bool_) if part.live is None else part.live
        numbers = first + np.cumsum(live) - live  # for a removed passage, the next one's
        if order is not None and total:
            numbers = order[np.minimum(numbers, total - 1)]
        out.append(numbers.astype(np.uint64))
        first += part.passages
    return out


def _stretches(parts: Sequence[Live], most: int) -> Iterator[list[slice]]:
    """Yield, word order kept, the terms of each part that are merged at once."""
    stack = [[slice(0, len(part.segment.terms)) for part in parts]]
    while stack:
        ranges = stack.pop()
        sizes = [
            int(part.segment.lists.limits[each.stop]) - int(part.segment.lists.limits[each.start])
            for part, each in zip(parts, ranges, strict=True)
        ]
        splittable = [size if each.stop - each.start > 1 else 0 for size, each in zip(sizes, ranges, strict=True)]
        if sum(sizes) <= most or not any(splittable):
            yield ranges
            continue
        widest = int(np.argmax(splittable))
        segment, own = parts[widest].segment, ranges[widest]
        limits = segment.lists.limits
        half = (int(limits[own.start]) + int(limits[own.stop])) // 2
        middle = min(max(int(np.searchsorted(limits, half)), own.start + 1), own.stop - 1)
        word = segment.terms.raw(middle)
        cuts = [
            min(max(part.segment.terms.place_of(word), each.start), each.stop)
            for part, each in zip(parts, ranges, strict=True)
        ]
        stack.append([slice(cut, each.stop) for cut, each in zip(cuts, ranges, strict=True)])
        stack.append([slice(each.start, cut) for cut, each in zip(cuts, ranges, strict=True)])


class _Stretch:
    """Terms in order, with the number of postings of each, the postings' rows and counts."""

    def __init__(
        self, words: list[bytes], dfs: NDArray[np.int64], rows: NDArray[np.uint32], counts: NDArray[Any]
    ) -> None:
        self.words, self.dfs, self.rows, self.counts = words, dfs, rows, counts


def _merged(parts: Sequence[Live], rows: Sequence[NDArray[np.uint64]], ranges: Sequence[slice]) -> _Stretch:
    lists = [part.segment.terms.raw_from(each.start, each.stop) for part, each in zip(parts, ranges, strict=True)]
    words = sorted(set().union(*lists))
    numbers = {word: number for number, word in enumerate(words)}
    pairs: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    counts: list[NDArray[Any]] = [np.zeros(0, np.uint8)]
    for part, new, each, own in zip(parts, rows, ranges, lists, strict=True):
        sizes, old, found = part.segment.some(each.start, each.stop)
        if len(old) and int(old.max()) >= len(part.segment):
            raise part.segment.wrong_rows()
        terms = np.repeat(np.fromiter(map(numbers.__getitem__, own), np.uint64, len(own)), sizes)
        if part.live is not None:
            there = part.live[old]
            old, found, terms = old[there], found[there], terms[there]
        pairs.append((terms << np.uint64(32)) | new[old])
        counts.append(found)
    keys = np.concatenate(pairs)
    order = np.argsort(keys)
    keys = keys[order]
    dfs = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(words))
    left = [word for word, df in zip(words, dfs.tolist(), strict=True) if df]
    return _Stretch(left, dfs[dfs > 0], (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32), np.concatenate(counts)[order])


class _Output(ExitStack):
    """The files of the segment that is being written."""

    def __init__(self, folder: Path, parts: Sequence[Live]) -> None:
        super().__init__()
        self.terms = self.postings = self._bytes = self._packed = 0
        types = {
            "terms": np.dtype(np.uint8),
            "places": limits_type(sum(part.segment.terms.size for part in parts)),
            "starts": limits_type(_MOST_BYTES * sum(int(part.segment.lists.limits[-1]) for part in parts)),
            "blocks": np.dtype(np.uint8),
        }
        self._files = {
            name: self.enter_context(GrowingArray(folder / f"{name}.npy", kind)) for name, kind in types.items()
        }
        for name in ("places", "starts"):
            self._files[name].append(np.zeros(1, np.int64))

    def write(self, stretch: _Stretch) -> None:
        """Append the terms of a stretch and their postings."""
        self._files["terms"].append(np.frombuffer(b"".join(stretch.words), dtype=np.uint8))
        self._files["places"].append(places_of(stretch.words)[1:] + self._bytes)
        blocks, sizes = packed_lists(PostingLists(stretch.dfs, stretch.rows, stretch.counts))
        self._files["starts"].append(np.cumsum(sizes) + self._packed)
        self._files["blocks"].append(blocks)
        self._packed += len(blocks)
        self.terms += len(stretch.words)
        self.postings += len(stretch.rows)
        self._bytes += sum(map(len, stretch.words))
