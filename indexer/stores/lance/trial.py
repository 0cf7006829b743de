"""A Lance table that may come from somebody else is read once in a process of its own, before this one reads it.

Lance believes what stands within its files: a changed number there makes it ask for any memory, which ends the process. So a table
that was not flushed by this user is opened and read whole in a process with limits. How that went well is remembered by the digest of
the store's header, which holds those of all files, in the user's cache folder: later openings only look there.
"""

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from quarry.indexer.errors import IndexFormatError
from quarry.indexer.lexical.analyzer import cache_folder
from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.sandbox import Sandbox
from quarry.indexer.stores.sealed import HEADER_NAME

_WORKER = "quarry.indexer.stores.lance.trial_worker"
_MEMORY = 4 << 30  # bytes of address space; the libraries map about 2 GiB on two cores, most of it never used
_MEMORY_A_CORE = 128 << 20  # Lance runs a thread on each, with a stack and an arena
_MEMORY_PER_BYTE = 4  # of the table
_SECONDS, _BYTES_A_SECOND = 120.0, 20_000_000


def try_apart(folder: Path) -> None:
    """Let another process read the table of a store, unless this user has flushed it or it was read well before.

    Args:
        folder: The store's folder; its header and the digests in it were compared.

    Raises:
        IndexFormatError: If that process was refused something, ran out of memory or time, or ended.
    """
    note = _note(folder)
    if note is not None and note.is_file():
        return
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    seconds = _SECONDS + size / _BYTES_A_SECOND
    limits = ReadOptions(
        parser_seconds=seconds, parser_bytes=_MEMORY + _MEMORY_A_CORE * (os.cpu_count() or 1) + _MEMORY_PER_BYTE * size
    )
    try:
        with Sandbox(limits, _WORKER) as worker:
            reply = worker.ask({"folder": os.fsencode(folder.absolute()).hex()}, b"", seconds)
    except Unreadable as err:
        raise IndexFormatError(
            "stores.lance_trial",
            "{folder} could not be read by LanceDB in a process of its own, with limits on time and memory ({reason})",
            expected="the table that its header describes",
            do="It is damaged, or made to end the program that reads it. Roll back with `quarry generations INDEX --rollback`, or "
            "index again with --rebuild",
            folder=folder,
            reason=Message.plain(err.reason),
        ) from err
    if "refused" in reply:
        raise IndexFormatError.of(Message.from_json(reply["refused"]))
    remember(folder)


def remember(folder: Path) -> None:
    """Remember that the table of a store can be read; where the cache cannot be written, the next opening tries again."""
    note = _note(folder)
    if note is not None:
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            note.touch()


def _note(folder: Path) -> Path | None:
    """Where it is remembered; None for the first format, whose header holds no digests."""
    try:
        header = (folder / HEADER_NAME).read_bytes()
    except OSError:
        return None
    return cache_folder() / "lance" / sha256(header).hexdigest()
