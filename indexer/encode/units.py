"""Units: consecutive files of a corpus that one worker reads and cuts together, and runs of passages that make one shard.

Boundaries depend on content, not on counting (content-defined chunking: Muthitacharoen et al., "A Low-bandwidth Network File System",
SOSP 2001). So a new file or passage changes the unit or shard that it is in, and leaves the others as they were.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from quarry.indexer.corpus.listing import Skipped, printable
from quarry.indexer.corpus.walk import corpus_files

_FILES = 128  # of ordinary size in a unit, on average
_LARGE = 1 << 18  # bytes: a file of so many counts as two
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Unit:
    """Files that are read together.

    Attributes:
        prefix: Of the root, as in document ids.
        root: The folder, or the single file.
        files: Below the root, in order.
        key: Digest of names, sizes and times of the files: 32 hex digits.
    """

    prefix: str
    root: Path
    files: tuple[Path, ...]
    key: str


def runs(
    items: Iterable[_Item], digest: Callable[[_Item], bytes], weight: Callable[[_Item], float], mean: int
) -> Iterator[list[_Item]]:
    """Group consecutive items, with boundaries after items whose digest says so.

    Args:
        items: In a fixed order.
        digest: Of one item, at least 4 bytes.
        weight: Of one item, above 0.
        mean: About how much a group weighs; none has more than twice that, unless one item has.

    Yields:
        Groups of at least one item.
    """
    group: list[_Item] = []
    held = 0.0
    for item in items:
        group.append(item)
        held += weight(item)
        ends = int.from_bytes(digest(item)[:4], "big") % max(1, mean // 2) < weight(item)
        if held >= 2 * mean or (ends and held >= mean / 2):
            yield group
            group, held = [], 0.0
    if group:
        yield group


def units_of(prefix: str, root: Path, settings: str, skipped: list[Skipped]) -> Iterator[Unit]:
    """List the units of a root.

    Args:
        prefix: Of the root.
        root: A folder or a file.
        settings: Digest of what makes passages out of files.
        skipped: Receives what is no file to read.
    """

    def files() -> Iterator[tuple[Path, str, int]]:
        for entry in corpus_files(root):
            if isinstance(entry, Skipped):
                skipped.append(entry)
                continue
            try:
                facts = entry.stat()
            except OSError:  # gone since it was listed
                continue
            name = printable(entry.relative_to(root)) if entry != root else ""
            yield entry, f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}", facts.st_size

    for group in runs(files(), lambda one: sha256(one[1].encode()).digest(), lambda one: 1 + one[2] / _LARGE, _FILES):
        key = sha256("\n".join([settings, prefix, *(facts for _, facts, _ in group)]).encode()).hexdigest()[:32]
        yield Unit(prefix, root, tuple(path for path, _, _ in group), key)
