"""Runs one stage of a search so that its failure or slowness never loses the query.

The work runs in a daemon thread. When it raises, the reason is kept; when its time is up, the caller moves on and the
thread finishes by itself. While such threads still hang, the stage reports itself busy instead of piling up more.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from quarry.indexer.errors import cause_of
from quarry.indexer.messages import Message

T = TypeVar("T")
_MAX_ABANDONED = 2  # hung calls per stage before new ones are refused at once
DENSE_SEARCH = Message.of("stages.dense_search", "dense search")
THE_RERANKER = Message.of("stages.the_reranker", "the reranker")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What guarded work gave: a value, or the reason why there is none, and the wall time in milliseconds."""

    value: T | None
    reason: Message | None
    milliseconds: float


class Guard:
    """Guards the calls of one stage, `what` in sentences."""

    def __init__(self, what: Message) -> None:
        self._what = what
        self._abandoned: list[threading.Thread] = []

    def run(self, work: Callable[[], T], timeout_s: float | None) -> Outcome[T]:
        """Run `work` for at most `timeout_s` seconds (None: as long as it takes)."""
        return self.start(work, timeout_s)()

    def start(self, work: Callable[[], T], timeout_s: float | None) -> Callable[[], Outcome[T]]:
        """Begin `work`, and return what waits for its outcome; the time counts from here."""
        started = perf_counter()
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if len(self._abandoned) >= _MAX_ABANDONED:
            return lambda: Outcome(None, self._busy(), 0.0)
        values: list[T] = []
        reasons: list[Message] = []
        ended: list[float] = []

        def target() -> None:
            try:
                values.append(work())
            except Exception as err:  # noqa: BLE001 (the boundary: every failure becomes a visible reason)
                reasons.append(cause_of(err))
            finally:
                ended.append(perf_counter())

        thread = threading.Thread(target=target, name=f"quarry-{self._what.code}", daemon=True)
        thread.start()

        def outcome() -> Outcome[T]:
            thread.join(None if timeout_s is None else max(0.0, timeout_s - (perf_counter() - started)))
            elapsed = ((ended[0] if ended else perf_counter()) - started) * 1000
            if thread.is_alive() and not ended:
                self._abandoned.append(thread)
                return Outcome(None, self._too_slow(timeout_s or 0.0), elapsed)
            if reasons:
                failed = Message.of("stages.failed", "{what} failed: {error}", what=self._what, error=reasons[0])
                return Outcome(None, failed, elapsed)
            if not values:  # the thread was told to exit
                silent = Message.of("stages.no_answer", "{what} ended without an answer", what=self._what)
                return Outcome(None, silent, elapsed)
            return Outcome(values[0], None, elapsed)

        return outcome

    def _too_slow(self, seconds: float) -> Message:
        return Message.of(
            "stages.too_slow",
            "{what} took longer than the time budget of {seconds:.1f} s",
            what=self._what,
            seconds=seconds,
        )

    def _busy(self) -> Message:
        return Message.of(
            "stages.busy", "{what} is still busy with earlier queries that ran out of time", what=self._what
        )
