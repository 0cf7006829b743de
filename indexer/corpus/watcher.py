"""Watching folders: when something has changed, and when it has come to rest so that it can be read whole.

Events only say that it is worth looking; what has changed is found by comparing two looks at sizes and times. So a lost
event costs time and never a document, and the same code serves network drives, which send none.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from quarry.indexer.corpus.events import Clock, FolderEvents, SystemEvents
from quarry.indexer.corpus.snapshot import FolderState, look, moved
from quarry.indexer.messages import Message

_TRIES = 3  # to listen to folders that go on coming; the next look tries again
_SHARE = 10  # looks without an event take at most a tenth of the time


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to watch.

    Attributes:
        quiet_s: Files must not have changed for so long to be read; a burst of changes makes one build.
        patience_s: After so long, what has come to rest is taken, and files that still change are left for later.
        sweep_s: How often to look without an event, for events that were lost.
        poll_s: Look so often instead of listening for events (network drives); None listens.
        absent_s: How often to look whether a root that is not there has come.
    """

    quiet_s: float = 1.0
    patience_s: float = 30.0
    sweep_s: float = 60.0
    poll_s: float | None = None
    absent_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse times that are not above 0.

        Raises:
            ValueError: If there is one.
        """
        times = (self.quiet_s, self.patience_s, self.sweep_s, self.absent_s, self.poll_s or self.sweep_s)
        if min(times) <= 0 or (self.poll_s is not None and self.poll_s <= 0):
            raise ValueError(f"{self}; expected all times above 0 seconds")


@dataclass(frozen=True, slots=True)
class Rest:
    """Folders that have come to rest, but for the files that are still being written."""

    state: FolderState
    moving: frozenset[Path]


class FolderWatch:
    """Watches files and folders, which may come and go."""

    def __init__(
        self,
        roots: Sequence[Path],
        stop: threading.Event,
        settings: WatchOptions = WatchOptions(),
        remark: Callable[[Message], None] = lambda _message: None,
    ) -> None:
        """Begin to listen at the first `rest`.

        Args:
            roots: Absolute paths of files and folders; they need not be there.
            stop: Ends every wait.
            settings: How to watch.
            remark: Receives what the user should know.
        """
        self._roots, self._stop, self._settings, self._remark = tuple(roots), stop, settings, remark
        self._events: FolderEvents = Clock(stop, settings.poll_s) if settings.poll_s else SystemEvents(stop)
        self._heard: tuple[object, ...] | None = None  # the folders that are listened to, with the places of the roots
        self._look_s = 0.0  # what the last look took

    def rest(self) -> Rest:
        """Wait until the files are as they were `quiet_s` ago, or `patience_s` is over."""
        end = monotonic() + self._settings.patience_s
        before = self._look()
        while True:
            self._stop.wait(self._settings.quiet_s)
            after = self._look()
            moving = moved(before, after)
            if not moving or self._stop.is_set() or monotonic() >= end:
                return Rest(after, moving)
            before = after

    def changed(self, since: Rest, seconds: float) -> bool:
        """Wait until something differs from a rest, at most so long.

        Args:
            since: What was taken; its moving files count as changed when they are there or known.
            seconds: How long.
        """
        end = monotonic() + seconds
        while not self._stop.is_set():
            state = self._look()
            if since.moving or moved(since.state, state) or _places(state) != _places(since.state):
                return True
            if monotonic() >= end:
                return False
            self._wait_for_reason(end, absent=bool(state.missing))
        return False

    def close(self) -> None:
        """Listen no more."""
        self._events.close()

    def _wait_for_reason(self, end: float, *, absent: bool) -> None:
        every_s = self._settings.absent_s if absent else self._settings.sweep_s
        until = min(end, monotonic() + max(every_s, _SHARE * self._look_s))
        try:
            while monotonic() < until and not self._stop.is_set():
                if self._events.wait(until - monotonic()):
                    return
        except (OSError, RuntimeError):  # the system stopped telling: the next look listens anew
            self._heard = None

    def _look(self) -> FolderState:
        """Look, and listen to the folders that were found; again when more had come until they were listened to."""
        for _ in range(_TRIES):
            began = monotonic()
            state = look(self._roots)
            self._look_s = monotonic() - began
            wanted = (state.folders, _places(state))
            if self._heard == wanted or self._stop.is_set():
                break
            self._heard = wanted
            self._listen(state.folders)
        return state

    def _listen(self, folders: frozenset[Path]) -> None:
        try:
            self._events.watch(folders)
        except FileNotFoundError:  # one is gone already: the next look sees that
            self._heard = None
        except (OSError, RuntimeError, ImportError) as err:
            every_s = max(2.0, self._settings.absent_s)
            self._remark(
                Message.of(
                    "corpus.no_events",
                    "the system gives no events for {count:folder|folders} ({reason}); polling every {seconds:g} s instead",
                    count=len(folders),
                    reason=str(err),
                    seconds=every_s,
                )
            )
            self._events.close()
            self._events = Clock(self._stop, every_s)


def _places(state: FolderState) -> tuple[tuple[int, int] | None, ...]:
    return tuple(root.place for root in state.roots.values())
