"""Writing a segment in bounded memory: terms are counted in runs of a few million words, and the runs are merged at the end.

Each run is a small segment by itself (single-pass in-memory indexing: Heinz and Zobel, JASIST 2003).
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shutil import move, rmtree
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.growing import GrowingArray
from quarry.indexer.lexical.lists import PlainLists
from quarry.indexer.lexical.merge import merge_segments
from quarry.indexer.lexical.normalization import SECOND_FORM, words_of
from quarry.indexer.lexical.packed import packed_lists
from quarry.indexer.lexical.segment import BLOCKS_NAME, Live, Segment, limits_type, smallest_type, write_head
from quarry.indexer.lexical.strings import StringTable, encoded, places_of

_RUN = 4_000_000  # words that are counted at once, about 150 MB
_RUNS_NAME = "runs.tmp"
_PACKED = 1 << 18  # postings that are packed at once, unless one term has more


class SegmentWriter:
    """Writes the segment of passages that come one by one; leaving its block finishes the files.

    Args:
        folder: An empty folder. After an exception it is empty again.
        run: Words that are counted in memory at once.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer.lexical.segment import Segment
        >>> folder = Path("my-segment")
        >>> folder.mkdir()
        >>> with SegmentWriter(folder) as writer:
        ...     writer.add(["red", "valve"])
        >>> len(Segment.open(folder))
        1
    """

    def __init__(self, folder: Path, run: int = _RUN) -> None:
        self._folder, self._size = folder, run
        self._runs: list[Path] = []
        self._run = _Run()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            rmtree(self._folder / _RUNS_NAME, ignore_errors=True)

    def add(self, terms: Sequence[str]) -> None:
        """Add a passage by its terms; second forms, which are marked, are found but do not count in its length."""
        self._run.add(terms)
        if len(self._run) >= self._size:
            self._spill()

    def _spill(self) -> None:
        folder = self._folder / _RUNS_NAME / f"{len(self._runs):06}"
        folder.mkdir(parents=True)
        write_segment(folder, self._run.segment())
        self._runs.append(folder)
        self._run = _Run()

    def _finish(self) -> None:
        if not self._runs:
            write_segment(self._folder, self._run.segment())
            return
        self._spill()
        if len(self._runs) == 1:
            for path in self._runs[0].iterdir():
                move(path, self._folder)
            return
        merge_segments(self._folder, [Live(Segment.open(run)) for run in self._runs])


def counted(passages: Iterable[Sequence[str]]) -> Segment:
    """Return the segment of passages, by their terms, in memory."""
    run = _Run()
    for terms in passages:
        run.add(terms)
    return run.segment()


def write_segment(folder: Path, segment: Segment) -> None:
    """Write a segment that is in memory."""
    words = segment.terms.raw_from(0, len(segment.terms))
    np.save(folder / "terms.npy", np.frombuffer(b"".join(words), dtype=np.uint8))
    places, starts, postings = places_of(words), [np.zeros(1, np.int64)], 0
    _save(folder / "places.npy", places, limits_type(int(places[-1])))
    with GrowingArray(folder / BLOCKS_NAME, np.dtype(np.uint8)) as file:
        for first, stop in _stretches(segment.lists.limits):
            lists = segment.some(first, stop)
            blocks, sizes = packed_lists(lists)
            file.append(blocks)
            starts.append(starts[-1][-1] + np.cumsum(sizes))
            postings += len(lists.rows)
    limits = np.concatenate(starts)
    _save(folder / "starts.npy", limits, limits_type(int(limits[-1])))
    write_head(folder, segment.lengths, len(words), postings)


def _stretches(limits: NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield terms whose postings are packed at once, as (first, stop)."""
    first, terms = 0, len(limits) - 1
    while first < terms:
        stop = int(np.searchsorted(limits, int(limits[first]) + _PACKED, side="right")) - 1
        stop = min(max(stop, first + 1), terms)
        yield first, stop
        first = stop


def _save(path: Path, values: NDArray[Any], kind: np.dtype[Any]) -> None:
    np.save(path, values.astype(kind.newbyteorder("<")))


class _Vocabulary(dict[str, int]):
    """Numbers of terms in the order in which they come; a second form has the number of the term that it is."""

    def __missing__(self, term: str) -> int:
        number = self[term[1:]] if term.startswith(SECOND_FORM) else len(self.plain)
        if not term.startswith(SECOND_FORM):
            self.plain.append(term)
        self[term] = number
        return number

    def __init__(self) -> None:
        super().__init__()
        self.plain: list[str] = []


class _Run:
    """Passages in memory: the numbers of all their terms in a row, and how many each has."""

    def __init__(self) -> None:
        self._vocabulary = _Vocabulary()
        self._terms, self._sizes, self._lengths = array("I"), array("I"), array("I")

    def __len__(self) -> int:
        """Return the number of terms, and of passages without any."""
        return len(self._terms) + len(self._sizes)

    def add(self, terms: Sequence[str]) -> None:
        self._terms.extend(map(self._vocabulary.__getitem__, terms))
        self._sizes.append(len(terms))
        self._lengths.append(words_of(terms))

    def segment(self) -> Segment:
        """Return the counts, by term and passage."""
        sizes = np.frombuffer(self._sizes, dtype=np.uint32) if self._sizes else np.zeros(0, np.uint32)
        words = [encoded(term) for term in self._vocabulary.plain]
        order = sorted(range(len(words)), key=words.__getitem__)
        ranks = np.empty(len(words), dtype=np.uint64)
        ranks[order] = np.arange(len(words), dtype=np.uint64)
        found, counts = self._pairs(ranks, sizes)
        starts = np.zeros(len(words) + 1, dtype=np.int64)
        np.cumsum(np.bincount((found >> np.uint64(32)).astype(np.int64), minlength=len(words)), out=starts[1:])
        return Segment(
            StringTable.of([words[number] for number in order]),
            PlainLists(
                starts,
                (found & np.uint64(0xFFFFFFFF)).astype(np.uint32),
                counts.astype(smallest_type([int(counts.max())] if len(counts) else [])),
            ),
            np.array(self._lengths, dtype=np.uint32),
        )

    def _pairs(
        self, ranks: NDArray[np.uint64], sizes: NDArray[np.uint32]
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The pairs of term and passage, as term * 2**32 + passage in order, and how often each is there."""
        if not self._terms:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        pairs = ranks[np.frombuffer(self._terms, dtype=np.uint32)] << np.uint64(32)
        pairs |= np.repeat(np.arange(len(sizes), dtype=np.uint64), sizes)
        pairs.sort()
        first = np.flatnonzero(np.concatenate(([True], pairs[1:] != pairs[:-1])))
        return pairs[first], np.diff(first, append=len(pairs))
