"""A lock file that one process holds (flock) and that names its owner."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from json import dumps, loads
from pathlib import Path
from weakref import finalize

from quarry.indexer.errors import IndexBusyError


class ProcessLock:
    """Holds a lock file until it is released or forgotten. The kernel frees it when the process dies: it never goes stale.

    Args:
        path: The file; made when it is not there, and left there.
        found: What another process does when it holds the lock, such as `INDEX is being written by`; its name follows.
        advice: What was expected, and what to do.

    Raises:
        IndexBusyError: If another process, or another thread of this one, holds it; the message names that process.
    """

    def __init__(self, path: Path, found: str, advice: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            os.close(descriptor)
            if isinstance(err, BlockingIOError):
                raise IndexBusyError(f"{found} {_owner(path)}; {advice}") from err
            raise
        self.release = finalize(self, os.close, descriptor)
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, dumps(owner).encode(), 0)


@contextmanager
def process_lock(path: Path, found: str, advice: str) -> Iterator[None]:
    """Hold a `ProcessLock` for a while."""
    lock = ProcessLock(path, found, advice)
    try:
        yield
    finally:
        lock.release()


def _owner(path: Path) -> str:
    try:
        owner = loads(path.read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
