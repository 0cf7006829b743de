"""The most memory that a process held while something ran: its own, and mapped pages of files, which the system may take back."""

from pathlib import Path
from threading import Event, Thread
from types import TracebackType

_EVERY = 0.02  # seconds


class Peaks:
    """Looks at /proc/self/status all the time; `anonymous_mb` and `mapped_mb` are the highest values that were seen."""

    def __init__(self) -> None:
        self.anonymous_mb = self.mapped_mb = 0
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peaks":
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def facts(self) -> dict[str, int]:
        """Return both for a table."""
        return {"anonymous_mb": self.anonymous_mb, "mapped_mb": self.mapped_mb}

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
        found = {fields[0]: int(fields[1]) // 1024 for fields in lines if fields[0] in ("RssAnon:", "RssFile:")}
        self.anonymous_mb = max(self.anonymous_mb, found["RssAnon:"])
        self.mapped_mb = max(self.mapped_mb, found["RssFile:"])
