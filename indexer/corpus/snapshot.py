"""What is in folders at one moment, by sizes and times alone, so that two moments can be compared without opening a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from quarry.indexer.corpus.listing import Skipped, list_files


class Signature(NamedTuple):
    """What tells one content of a file from another: bytes, and nanoseconds of content and of content or rights."""

    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class RootState:
    """One watched path at one moment.

    Attributes:
        place: Device and inode, None while it is not there.
        files: The files to read, by path.
    """

    place: tuple[int, int] | None
    files: Mapping[Path, Signature]


@dataclass(frozen=True, slots=True)
class FolderState:
    """All watched paths at one moment, with the folders in which something could happen."""

    roots: Mapping[Path, RootState]
    folders: frozenset[Path]

    @property
    def files(self) -> dict[Path, Signature]:
        """The files of all roots."""
        return {path: signature for root in self.roots.values() for path, signature in root.files.items()}

    @property
    def missing(self) -> tuple[Path, ...]:
        """The roots that are not there."""
        return tuple(path for path, root in self.roots.items() if root.place is None)


def look(roots: Sequence[Path]) -> FolderState:
    """Walk the roots as a build does; what cannot be read now is as if it were not there."""
    folders: set[Path] = set()
    return FolderState({root: _look(root, folders) for root in roots}, frozenset(folders))


def _look(root: Path, folders: set[Path]) -> RootState:
    try:
        facts = root.stat()
    except OSError:
        return RootState(None, {})
    files: dict[Path, Signature] = {}
    for path in list_files(root, folders.add):
        if isinstance(path, Skipped):
            continue
        try:
            found = path.stat()
        except OSError:  # gone since its folder was listed
            continue
        files[path] = Signature(found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    if root in files:
        folders.add(root.parent)  # a file that is replaced has its event there
    return RootState((facts.st_dev, facts.st_ino), files)


def moved(before: FolderState, after: FolderState) -> frozenset[Path]:
    """Return the files that are new, changed or gone between two moments."""
    then, now = before.files, after.files
    return frozenset(path for path in then.keys() | now.keys() if then.get(path) != now.get(path))
