"""Writing so that a crash leaves either the old file or the new one: temp file, fsync, rename, fsync folder."""

import errno
import os
import sys
import time
from hashlib import sha256
from pathlib import Path

_BLOCK = 1 << 20
_WINDOWS = sys.platform == "win32"
_TRIES, _PAUSE = 100, 0.02  # at renaming over a file that is being read, and the seconds between them
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_FULL_WORDS = ("disk is full", "disk I/O", *map(os.strerror, _FULL))  # of libraries that do not hand the number on


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file's content atomically and durably; the temp file is removed when writing fails."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temp.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        _replace(temp, path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Windows does it by itself, and opens no folders."""
    if not _WINDOWS:
        _sync(folder)


def sync_tree(folder: Path) -> None:
    """Make every file and folder below `folder` durable."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent) / name)
        sync_folder(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if _WINDOWS else os.O_RDONLY)  # Windows syncs what is open for writing only
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(temp: Path, path: Path) -> None:
    """Rename a file over another. Windows refuses while somebody reads that one, which takes a moment."""
    for _ in range(_TRIES if _WINDOWS else 0):
        try:
            temp.replace(path)
        except PermissionError:
            time.sleep(_PAUSE)
        else:
            return
    temp.replace(path)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    digest = sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_disk_full(err: Exception) -> bool:
    """Whether an error of Python, SQLite, safetensors or torch says that there is no room."""
    return (isinstance(err, OSError) and err.errno in _FULL) or any(words in str(err) for words in _FULL_WORDS)
