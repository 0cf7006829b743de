"""Being told that something may have happened in folders: by the system, or by the clock where the system tells nothing."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

_STEP_MS = 50
_TURN_MS = 250  # how soon a wait notices that it should stop


class FolderEvents(Protocol):
    """Says when it is worth looking at folders again. It may call too often, and what it misses a later look finds."""

    def watch(self, folders: frozenset[Path]) -> None:
        """Listen to these folders, themselves and not what is below; when it returns, nothing that happens is missed.

        Raises:
            OSError: If the system does not give events for them.
        """
        ...

    def wait(self, seconds: float) -> bool:
        """Wait for an event, at most so long or until the end is asked for; returns whether it is worth looking."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...


class Clock:
    """No events: after so many seconds it is worth looking."""

    def __init__(self, stop: threading.Event, every_s: float) -> None:
        self._stop, self._every_s = stop, every_s

    def watch(self, folders: frozenset[Path]) -> None:
        """Nothing has to be done for it."""

    def wait(self, seconds: float) -> bool:
        """Sleep; true when the time has come."""
        self._stop.wait(min(seconds, self._every_s))
        return seconds >= self._every_s

    def close(self) -> None:
        """Nothing is open."""


class SystemEvents:
    """Events of the operating system (inotify, FSEvents ...), by `watchfiles`.

    Folders are listened to one by one: a recursive watch would follow links out of the documents, to whole other trees.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._changes: Iterator[Any] | None = None

    def watch(self, folders: frozenset[Path]) -> None:
        """Listen to these folders instead of those before."""
        from watchfiles import watch

        self.close()
        if not folders:
            return
        changes = watch(
            *sorted(folders),
            watch_filter=_is_worth_it,
            debounce=4 * _STEP_MS,
            step=_STEP_MS,
            stop_event=self._stop,
            rust_timeout=_TURN_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            force_polling=False,
            recursive=False,
            ignore_permission_denied=True,
        )
        next(changes, None)  # only now the system is asked
        self._changes = changes

    def wait(self, seconds: float) -> bool:
        """Wait for an event of a file that is not hidden."""
        end = monotonic() + seconds
        while not self._stop.is_set() and monotonic() < end:
            if self._changes is None:
                self._stop.wait(max(0.0, end - monotonic()))
                return False
            found = next(self._changes, None)
            if found is None:  # it has ended
                self._changes = None
            if found or found is None:
                return True
        return False

    def close(self) -> None:
        """Listen no more."""
        close: Callable[[], None] | None = getattr(self._changes, "close", None)
        self._changes = None
        if close is not None:
            close()


def _is_worth_it(_change: object, path: str) -> bool:
    """Hidden files are never read: an editor's swap file is no reason to look."""
    return not path.rpartition("/")[2].startswith((".", "~$"))
