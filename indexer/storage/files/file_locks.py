"""Locks on open files, with the differences between operating systems in one place.

POSIX has `flock`: shared locks for readers, an exclusive one for a writer, freed by the kernel when a process dies. Windows has
neither `flock` nor shared locks that leave a file readable, and needs none for readers: a file that somebody has open cannot be
removed there. Its exclusive lock is on one byte far behind the end of the file, so that others can still read who holds it.
`portalocker` and `filelock` were considered: the first needs pywin32 for shared locks, the second has none.
"""

import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

_WINDOWS = sys.platform == "win32"
_FAR = 1 << 30  # the byte that Windows locks; lock files are a few hundred bytes
_PAUSE = 0.05  # seconds between two tries where the system cannot wait without a limit


def lock(descriptor: int) -> bool:
    """Take the exclusive lock of an open file; False when another process, or another descriptor of this one, holds it.

    Raises:
        OSError: If the file system has no locks.
    """
    if _WINDOWS:
        return _lock_byte(descriptor)
    fcntl = _fcntl()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_waiting(descriptor: int) -> None:
    """Take the exclusive lock of an open file; waits, without a limit, while another process holds it."""
    if _WINDOWS:
        while not _lock_byte(descriptor):
            time.sleep(_PAUSE)
        return
    fcntl = _fcntl()
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def share(descriptor: int) -> bool:
    """Take a shared lock of an open file; False when somebody has it exclusively.

    Raises:
        OSError: If the file system has no locks.
    """
    if _WINDOWS:
        return True  # that it is open is enough, see `remove_unshared`
    fcntl = _fcntl()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove_unshared(path: Path, *, even_shared: bool = False) -> bool:
    """Remove a file unless somebody holds a shared lock on it; return whether it is gone.

    Args:
        path: The file.
        even_shared: Remove it even then. Windows cannot: there the answer is False.
    """
    if _WINDOWS:
        try:
            path.unlink()
        except PermissionError:  # somebody has it open
            return False
        return True
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            free = lock(descriptor)
        except OSError:  # a file system without locks: nobody is protected there
            free = True
        if not (free or even_shared):
            return False
        path.unlink()
    finally:
        os.close(descriptor)
    return True


def _fcntl() -> Any:
    """The module, untyped and imported late: there is none on Windows."""
    return import_module("fcntl")


def _lock_byte(descriptor: int) -> bool:
    msvcrt: Any = import_module("msvcrt")
    os.lseek(descriptor, _FAR, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return True
