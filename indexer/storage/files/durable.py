"""Writing so that a crash leaves either the old file or the new one: temp file, fsync, rename, fsync folder."""

import errno
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from quarry.indexer.errors import AccessError

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


@contextmanager
def accessible() -> Iterator[None]:
    """Explain a file that this user may not read or write, which is not damaged.

    Raises:
        AccessError: Instead of the system's error.
    """
    try:
        yield
    except OSError as err:
        if (refused := access_error(err)) is None:
            raise
        raise refused from err


def access_error(err: OSError) -> AccessError | None:
    """Return the error for a file that may not be read or written; None for another error of the system."""
    if err.errno == errno.EROFS:
        return AccessError(
            "storage.read_only_disk",
            "{path} is on a disk that is mounted read-only",
            expected="one that can be written",
            do="Copy the index to another disk; searching and `quarry serve --read-only` work where it is",
            path=str(err.filename or ""),
        )
    if err.errno == errno.ELOOP:
        return linked(Path(str(err.filename)))
    if isinstance(err, PermissionError):
        return AccessError(
            "storage.no_access",
            "{path} may not be opened by this user ({error})",
            expected="a file that this user may read, and write where the index is to be changed",
            do="Change its owner or permissions; nothing is damaged",
            path=str(err.filename or ""),
            error=str(err.strerror or err),
        )
    return None


def linked(path: Path) -> AccessError:
    """Make the error for a link where an index has a file or folder of its own: what is written there would land elsewhere."""
    return AccessError(
        "storage.linked",
        "{path} is a link",
        expected="a file or folder of the index itself",
        do="Remove the link, or put what it names in its place; the whole index may lie elsewhere, behind one link",
        path=path,
    )


def refuse_links(paths: Iterable[Path]) -> None:
    """Refuse to write where a link stands.

    Raises:
        AccessError: If one of the paths is a link.
    """
    for path in paths:
        if path.is_symlink():
            raise linked(path)


def is_disk_full(err: Exception) -> bool:
    """Whether an error of Python, SQLite, safetensors or torch says that there is no room."""
    return (isinstance(err, OSError) and err.errno in _FULL) or any(words in str(err) for words in _FULL_WORDS)
