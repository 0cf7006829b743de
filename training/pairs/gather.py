"""The first half of a run: sources read, pairs cleaned, copies left out, everything else kept in the work folder."""

import time
from collections.abc import Iterator

from quarry.indexer.embedder import Progress
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions
from quarry.training.examples.example import text_key
from quarry.training.fit.rows.table import text_number
from quarry.training.pairs import reasons
from quarry.training.pairs.filters.cleaning import CleaningOptions, clean
from quarry.training.pairs.filters.copies import Copies, sketch_of
from quarry.training.pairs.found import SYMMETRIC, FoundPair
from quarry.training.pairs.sources import Files, Source
from quarry.training.pairs.staging import Staging

_EVERY_S = 2.0  # seconds between two states on disk
_OF_THE_TIME = 20  # at most one part in so many goes into them: the names of a million files take their time
_LOOKED_AT = 256  # pairs between two looks at the clock
_PROBLEMS = 20  # that are kept to be shown


def gather(
    files: Files,
    staging: Staging,
    *,
    reading: ReadOptions = ReadOptions(),
    cleaning: CleaningOptions = CleaningOptions(),
    keep_dropped: bool = False,
    progress: Progress | None = None,
) -> None:
    """Read all sources that are not done yet into the work folder.

    Args:
        files: The sources.
        staging: The work folder; where it is finished nothing is read.
        reading: Limits of reading.
        cleaning: What a pair must be.
        keep_dropped: Whether pairs that are left out are written down.
        progress: Receives the number of pairs handled.
    """
    if staging.finished:
        return
    work = _Work(staging, cleaning, keep_dropped=keep_dropped)
    for source in files.read(reading, done=frozenset(staging.position.done)):
        for count in work.handle(source):
            if progress is not None:
                progress(count)
    staging.save(finished=True)


class _Work:
    def __init__(self, staging: Staging, cleaning: CleaningOptions, *, keep_dropped: bool) -> None:
        self._staging, self._cleaning, self._keep_dropped = staging, cleaning, keep_dropped
        self._copies = Copies(lambda row: (staging[row].specific, staging[row].passage))
        self._copies.add_all(staging.signatures())
        self._due = time.monotonic() + _EVERY_S

    def handle(self, source: Source) -> Iterator[int]:
        """Take the pairs of one source, from where an earlier process left off; yields how many were handled."""
        position = self._staging.position
        skip, looked = position.inside, 0
        for number, pair in enumerate(source.pairs):
            if number < skip:
                continue
            self._take(pair)
            position.inside, looked = number + 1, looked + 1
            if looked == _LOOKED_AT:
                yield looked
                looked = 0
                self._save_in_time()
        yield looked
        position.done.append(source.path)
        position.inside = 0
        position.lost.update(source.lost)
        position.problems += source.problems[: max(0, _PROBLEMS - len(position.problems))]
        self._save_in_time()

    def _take(self, pair: FoundPair) -> None:
        position = self._staging.position
        position.found[pair.kind] += 1
        cleaned = clean(pair, self._cleaning)
        if isinstance(cleaned, Message):
            self._drop(pair, cleaned)
            return
        sketch = sketch_of(cleaned.specific, cleaned.passage, symmetric=cleaned.kind in SYMMETRIC)
        if self._copies.is_copy(sketch):
            self._drop(pair, reasons.COPY)
            return
        self._copies.add(sketch.signature)
        queries = text_number(text_key(cleaned.query)), text_number(text_key(cleaned.specific))
        self._staging.add(cleaned, sketch.signature, queries)

    def _drop(self, pair: FoundPair, reason: Message) -> None:
        self._staging.position.dropped[reason] += 1
        if self._keep_dropped:
            self._staging.drop(pair, reason)

    def _save_in_time(self) -> None:
        began = time.monotonic()
        if began < self._due:
            return
        self._staging.save()
        now = time.monotonic()
        self._due = now + max(_EVERY_S, _OF_THE_TIME * (now - began))
