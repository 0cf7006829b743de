"""Progress of a build: reported to an observer phase by phase, and measured."""

from time import perf_counter
from typing import Protocol


class Observer(Protocol):
    """Receives progress events of a build."""

    def phase(self, name: str, total: int | None) -> None:
        """Begin a phase; `total` in units or None.

        There are `reading`, `cutting`, `taking`, `encoding`, `storing`, `titles`, `lexical` and `probing`.
        """
        ...

    def advance(self, amount: int) -> None:
        """Count units of the phase that were finished since the last call."""
        ...


class Unobserved:
    """Ignores every event."""

    def phase(self, name: str, total: int | None) -> None:
        """Ignore it."""

    def advance(self, amount: int) -> None:
        """Ignore it."""


class Clock:
    """Announces phases and measures them."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._seconds: dict[str, float] = {}
        self._phase = ""
        self._since = perf_counter()

    def phase(self, name: str, total: int | None) -> None:
        """End the current phase and begin another."""
        self.finish()
        self._phase = name
        self.observer.phase(name, total)

    def finish(self) -> dict[str, float]:
        """End the current phase; return the seconds of each phase so far."""
        now = perf_counter()
        if self._phase:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._since = now
        return dict(self._seconds)
