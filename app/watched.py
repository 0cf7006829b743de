"""Whether somebody keeps an index in step with its folders, so that every surface can say so.

watch.lock    held by the process that watches; the kernel frees it, so it never goes stale
watch.json    the folders, since when, and the last build that changed something
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from quarry.indexer.corpus.listing import printable
from quarry.indexer.errors import IndexBusyError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic
from quarry.indexer.storage.files.file_locks import lock
from quarry.indexer.storage.files.locks import ProcessLock

_LOCK, _NOTE = "watch.lock", "watch.json"


@dataclass(frozen=True, slots=True)
class Watched:
    """An index that is kept in step.

    Attributes:
        folders: What is watched.
        since: When it began, UTC, ISO 8601.
        built: When the last build ended, UTC; empty before the first.
        generation: The generation that this build made or left.
    """

    folders: tuple[str, ...]
    since: str
    built: str = ""
    generation: str = ""


class WatchNote:
    """Held by the process that watches. A second one on the same index watches as well and leaves no note."""

    def __init__(self, index: Path, folders: Sequence[Path]) -> None:
        """Take the note of an index that exists.

        Args:
            index: The index folder.
            folders: What is watched.
        """
        self._path = index / _NOTE
        self._told = Watched(tuple(printable(folder) for folder in folders), _now())
        try:
            self._lock: ProcessLock | None = ProcessLock(index / _LOCK, _busy)
        except IndexBusyError:
            self._lock = None

    def built(self, generation: str) -> None:
        """Note a build."""
        self._told = Watched(self._told.folders, self._told.since, _now(), generation)
        if self._lock is not None:
            write_atomic(self._path, json.dumps(asdict(self._told), ensure_ascii=False).encode())

    def close(self) -> None:
        """Say that nobody watches any more."""
        if self._lock is not None:
            self._path.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None


def watched(index: Path) -> Watched | None:
    """Return who keeps an index in step; None when nobody does, or when a note was left by a process that died."""
    try:
        content = json.loads((index / _NOTE).read_bytes())
        found = Watched(
            tuple(map(str, content["folders"])),
            str(content["since"]),
            str(content["built"]),
            str(content["generation"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):  # edited by hand
        return None
    return found if _is_held(index / _LOCK) else None


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not lock(descriptor)
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)


def _busy(owner: Message) -> IndexBusyError:
    """Make the error for an index that somebody else watches; `WatchNote` passes over it."""
    return IndexBusyError("app.watched_already", "the index is watched by {owner}", owner=owner)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
