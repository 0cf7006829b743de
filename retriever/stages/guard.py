"""Running one stage of a search so that its failure or slowness never loses the query.

The work runs in a daemon thread. When it raises, the reason is kept; when its time is up, the caller goes on and the
thread is left to finish by itself; while such a thread still hangs, the stage is reported busy instead of piling up more.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, TypeVar

from quarry.indexer.errors import SearchError

T = TypeVar("T")
_MAX_ABANDONED = 2  # hung calls per stage before new ones are refused at once


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of guarded work: a value, or the reason why there is none, and the wall time in milliseconds."""

    value: T | None
    reason: str
    milliseconds: float


class Guard:
    """Guards the calls of one stage."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._abandoned: list[threading.Thread] = []

    def run(self, work: Callable[[], T], timeout_s: float | None) -> Outcome[T]:
        """Run `work` for at most `timeout_s` seconds (None: as long as it takes)."""
        started = perf_counter()
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if len(self._abandoned) >= _MAX_ABANDONED:
            return Outcome(None, f"{self._what} is still busy with earlier queries that ran out of time", 0.0)
        values: list[T] = []
        reasons: list[str] = []

        def target() -> None:
            try:
                values.append(work())
            except Exception as err:  # noqa: BLE001 (the boundary: every failure becomes a visible reason)
                reasons.append(str(err) if isinstance(err, SearchError) else f"{type(err).__name__}: {err}")

        thread = threading.Thread(target=target, name=f"quarry-{self._what}", daemon=True)
        thread.start()
        thread.join(timeout_s)
        elapsed = (perf_counter() - started) * 1000
        if thread.is_alive():
            self._abandoned.append(thread)
            return Outcome(None, f"{self._what} took longer than the time budget of {timeout_s:.1f} s", elapsed)
        if reasons:
            return Outcome(None, f"{self._what} failed: {reasons[0]}", elapsed)
        if not values:  # the thread was told to exit
            return Outcome(None, f"{self._what} ended without an answer", elapsed)
        return Outcome(values[0], "", elapsed)
