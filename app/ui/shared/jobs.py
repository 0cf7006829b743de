"""Long work beside the app: one thread per job, progress that every rerun can read, and a way to stop. It draws nothing.

A click elsewhere restarts the page's script, not the job; whoever opens the page later finds it again by its kind.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from quarry.indexer.errors import IndexBusyError, SearchError
from quarry.indexer.models.batching import collect

State = Literal["running", "done", "cancelled", "failed"]


class JobCancelledError(Exception):
    """Raised inside a job's work when its user asked it to stop."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes:
        done: Steps behind it.
        total: Steps in all; 0 when nobody knows.
        doing: What it is at, such as a route or a check; empty at the start.
        seconds: Since it began; stands still when it has ended.
    """

    done: int
    total: int
    doing: str
    seconds: float

    @property
    def share(self) -> float:
        """Share of the steps that is behind, in [0, 1]."""
        return min(1.0, self.done / self.total) if self.total else 0.0


class Job:
    """One piece of work. Safe to read from any thread; only its own thread changes it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.number = uuid4().hex
        self.state: State = "running"
        self.result: Any = None
        self.error = ""
        self.detail: Any = None  # what the work tells beyond its steps, for whoever draws this kind of job
        self._stop = threading.Event()
        self._began, self._ended = monotonic(), 0.0
        self._steps = (0, 0, "")

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        done, total, doing = self._steps
        return Progress(done, total, doing, (self._ended or monotonic()) - self._began)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and has not yet."""
        return self.state == "running" and self._stop.is_set()

    def cancel(self) -> None:
        """Ask it to stop; it does at its next report."""
        self._stop.set()

    def report(self, done: int, total: int, doing: str) -> None:
        """Tell how far the work is; called by the work itself.

        Raises:
            JobCancelledError: If it was asked to stop.
        """
        self._steps = (done, total, doing)
        if self._stop.is_set():
            raise JobCancelledError

    def run(self, work: "Work") -> None:
        """Do the work and remember how it ended; an unforeseen error is left to the thread, which prints it."""
        state: State = "failed"
        self.error = "it ended by an unforeseen error; the terminal that started the app shows it"
        try:
            self.result = work(self)
            state, self.error = "done", ""
        except JobCancelledError:
            state, self.error = "cancelled", ""
        except (SearchError, ValueError, OSError) as err:
            self.error = str(err)
        finally:
            self._ended = monotonic()
            self.state = state
            collect()  # a model in training is hundreds of megabytes, and the app makes too little garbage for Python to look soon


Work: TypeAlias = Callable[[Job], Any]
"""What a job does; it reports to the job and returns the result."""


class JobBoard:
    """The jobs of one index: of each kind one at a time, and the last one is remembered."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, kind: str, work: Work) -> Job:
        """Start a job in a thread of its own.

        Raises:
            IndexBusyError: If one of this kind is running.
        """
        with self._lock:
            before = self._jobs.get(kind)
            if before is not None and before.state == "running":
                raise IndexBusyError(
                    f"another {kind} is running since {before.progress.seconds:.0f} s; expected none. "
                    "Wait for it, or stop it"
                )
            job = self._jobs[kind] = Job(kind)
        # A daemon, so that Ctrl-C on the app does not wait for it; what it saves appears whole or not at all.
        threading.Thread(target=job.run, args=(work,), name=f"quarry-{kind}", daemon=True).start()
        return job

    def latest(self, kind: str) -> Job | None:
        """Return the job of this kind that was started last, None when there was none."""
        with self._lock:
            return self._jobs.get(kind)

    def forget(self, kind: str) -> None:
        """Drop a job that has ended, so that its outcome is shown no more; a running one stays."""
        with self._lock:
            job = self._jobs.get(kind)
            if job is not None and job.state != "running":
                del self._jobs[kind]


_BOARDS: dict[Path, JobBoard] = {}
_BOARDS_LOCK = threading.Lock()


def board(index: Path) -> JobBoard:
    """Return the jobs of an index; the same for all visitors of this process."""
    with _BOARDS_LOCK:
        return _BOARDS.setdefault(index.resolve(), JobBoard())
