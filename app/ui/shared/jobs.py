"""Long work in the background: one thread per job, progress that every rerun can read, and a way to stop. It draws nothing.

A click elsewhere restarts the page's script, not the job; whoever opens the page later finds it again by its kind.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeAlias
from uuid import uuid4

from quarry.app.words import message_of
from quarry.indexer.errors import IndexBusyError, SearchError
from quarry.indexer.messages import Message
from quarry.indexer.models.batching import collect

State = Literal["running", "done", "cancelled", "failed"]
Doing: TypeAlias = Message | str
"""What a job is at: a stage in words, or the name of a search method or of a check."""
_UNFORESEEN = Message.of(
    "ui.job_unforeseen", "an unexpected error ended it", do="The terminal that started the app shows the error"
)


class JobCancelledError(Exception):
    """Raised inside a job's work when its user asked it to stop."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes:
        done: Finished steps.
        total: All steps; 0 when unknown.
        doing: The current stage; empty at the start.
        seconds: Run time so far; final once the job has ended.
    """

    done: int
    total: int
    doing: Doing
    seconds: float

    @property
    def share(self) -> float:
        """Finished share of the steps, in [0, 1]."""
        return min(1.0, self.done / self.total) if self.total else 0.0


class Job:
    """One piece of work. Safe to read from any thread; only its own thread changes it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.number = uuid4().hex
        self.state: State = "running"
        self.result: Any = None
        self.error: Message | None = None
        # What the work reports beyond its steps, for the page that draws this kind of job.
        self.detail: Any = None
        self._stop = threading.Event()
        self._began, self._ended = monotonic(), 0.0
        self._steps: tuple[int, int, Doing] = (0, 0, "")

    @property
    def progress(self) -> Progress:
        """The current progress."""
        done, total, doing = self._steps
        return Progress(done, total, doing, (self._ended or monotonic()) - self._began)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and has not yet."""
        return self.state == "running" and self._stop.is_set()

    @property
    def stop(self) -> threading.Event:
        """Set when it was asked to stop, for work that waits for long."""
        return self._stop

    def cancel(self) -> None:
        """Ask it to stop; it stops at its next report."""
        self._stop.set()

    def report(self, done: int, total: int, doing: Doing) -> None:
        """Record progress; called by the work itself.

        Raises:
            JobCancelledError: If it was asked to stop.
        """
        self._steps = (done, total, doing)
        if self._stop.is_set():
            raise JobCancelledError

    def run(self, work: "Work") -> None:
        """Do the work and record how it ended; an unexpected error is left to the thread, which prints it."""
        state: State = "failed"
        self.error = _UNFORESEEN
        try:
            self.result = work(self)
            state, self.error = "done", None
        except JobCancelledError:
            state, self.error = "cancelled", None
        except (SearchError, ValueError, OSError) as err:
            self.error = message_of(err)
        finally:
            self._ended = monotonic()
            self.state = state
            # A model in training is hundreds of megabytes, and the app makes too little garbage for Python to collect it soon.
            collect()


Work: TypeAlias = Callable[[Job], Any]
"""What a job does; it reports to the job and returns the result."""


class BuildWatch:
    """Hands the progress of a build of the index (`quarry.indexer.build.progress`) on to its job."""

    def __init__(self, job: Job) -> None:
        self._job, self._phase, self._done, self._total = job, "", 0, 0

    def phase(self, name: str, total: int | None) -> None:
        """Start a phase."""
        self._phase, self._done, self._total = name, 0, total or 0
        self._job.report(0, self._total, name)

    def advance(self, amount: int) -> None:
        """Record progress within the phase."""
        self._done += amount
        self._job.report(self._done, self._total, self._phase)


class JobBoard:
    """The jobs of one index: one at a time of each kind; the latest is kept."""

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
                    "ui.job_busy",
                    "another job of this kind has been running for {seconds:.0f} s",
                    expected="none",
                    do="Wait for it, or stop it",
                    kind=kind,
                    seconds=before.progress.seconds,
                )
            job = self._jobs[kind] = Job(kind)
        # A daemon, so that Ctrl-C on the app does not wait for it; what it saves appears whole or not at all.
        threading.Thread(target=job.run, args=(work,), name=f"quarry-{kind}", daemon=True).start()
        return job

    def latest(self, kind: str) -> Job | None:
        """Return the latest job of this kind; None when there was none."""
        with self._lock:
            return self._jobs.get(kind)


_BOARDS: dict[Path, JobBoard] = {}
_BOARDS_LOCK = threading.Lock()


def board(index: Path) -> JobBoard:
    """Return the jobs of an index; the same for all visitors of this process."""
    with _BOARDS_LOCK:
        return _BOARDS.setdefault(index.resolve(), JobBoard())
