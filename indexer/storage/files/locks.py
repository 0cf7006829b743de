"""Lock files that one process at a time holds; the kernel frees them when the process dies, so they never go stale."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from json import dumps, loads
from pathlib import Path
from weakref import finalize

from quarry.indexer.errors import AccessError, IndexBusyError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import accessible
from quarry.indexer.storage.files.file_locks import lock, lock_waiting

# a link in an index of somebody else could name any file of this user, which would be emptied
_OPEN = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
Busy = Callable[[Message], IndexBusyError]
"""Makes the error for a lock that is taken; its argument names the owner."""


class ProcessLock:
    """Holds a lock file, which names its owner, until it is released or garbage-collected.

    Args:
        path: The lock file; created when missing, and left in place.
        busy: Makes the error when the lock is taken.

    Raises:
        AccessError: If this user may not write there, or the file system has no locks.
        IndexBusyError: If another process, or another thread of this one, holds it.
    """

    def __init__(self, path: Path, busy: Busy) -> None:
        with accessible():
            descriptor = os.open(path, _OPEN, 0o644)
        try:
            mine = lock(descriptor)
        except OSError as err:
            os.close(descriptor)
            raise AccessError(
                "storage.no_locks",
                "{path} cannot be locked ({why})",
                expected="a file system with file locks, without which two writers would damage the index",
                do="Keep the index on a local disk, or mount the share with locks (NFS: without `nolock`)",
                path=path,
                why=str(err.strerror or err),
            ) from err
        except BaseException:
            os.close(descriptor)
            raise
        if not mine:
            os.close(descriptor)
            raise busy(_owner(path))
        self.release = finalize(self, os.close, descriptor)
        owner = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.write(descriptor, dumps(owner).encode())


@contextmanager
def process_lock(path: Path, busy: Busy) -> Iterator[None]:
    """Hold a `ProcessLock` inside a `with` block."""
    lock = ProcessLock(path, busy)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def folder_lock(folder: Path, path: Path, busy: Busy) -> Iterator[None]:
    """Hold the lock of a folder itself inside a `with` block: it stays when somebody removes the lock file in the folder.

    Args:
        folder: The folder. Where folders cannot be locked (Windows, some network file systems) nothing is held.
        path: The lock file in it, which names the owner.
        busy: Makes the error when the lock is taken.

    Raises:
        IndexBusyError: If another process, or another thread of this one, holds it.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        if not _lock_folder(descriptor):
            raise busy(_owner(path))
        yield
    finally:
        os.close(descriptor)


def _lock_folder(descriptor: int) -> bool:
    try:
        return lock(descriptor)
    except OSError:
        return True


@contextmanager
def waited_lock(path: Path) -> Iterator[None]:
    """Hold a lock file inside a `with` block; waits, without a limit, while another process holds it."""
    with accessible():
        descriptor = os.open(path, _OPEN, 0o600)
    try:
        lock_waiting(descriptor)
        yield
    finally:
        os.close(descriptor)


def _owner(path: Path) -> Message:
    try:
        owner = loads(path.read_text(encoding="utf-8"))
        pid, host, since = owner["pid"], owner["host"], owner["since"]
    except (OSError, ValueError, KeyError, TypeError):
        return Message.of("storage.another_process", "another process")
    return Message.of("storage.owner", "process {pid} on {host} since {since}", pid=pid, host=host, since=since)
