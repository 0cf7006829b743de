"""The files and folders that an index is made from: what each is called, and whether it is still the one it was."""

import errno
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from quarry.indexer.corpus.places import path_in_index
from quarry.indexer.errors import CorpusError


def name_roots(paths: Sequence[Path], known: Mapping[str, str], *, allow_empty: bool = False) -> dict[str, Path]:
    """Give every path a prefix for its documents' ids: the one it had before, else its own name, else `name~2` ...

    A folder that is known under another path, such as a link to it, keeps that path.

    Args:
        paths: Files and folders.
        known: Prefix -> path of those that were indexed before.
        allow_empty: Whether one of those may be gone: all of its documents will be taken out.

    Raises:
        CorpusError: If a path does not exist.
    """
    by_path = {path: prefix for prefix, path in known.items()}
    named: dict[str, Path] = {}
    for path in paths:
        absolute = path_in_index(path, [*known.values(), *map(str, named.values())])
        prefix = by_path.get(str(absolute))
        if not absolute.exists() and not (allow_empty and prefix is not None):
            raise _no_path(path, known=prefix is not None)
        base = absolute.resolve().name or "root"
        number = 1
        while prefix is None:
            candidate = base if number == 1 else f"{base}~{number}"
            if candidate not in known and named.get(candidate, absolute) == absolute:
                prefix = candidate
            number += 1
        named[prefix] = absolute
    return named


def _no_path(path: Path, *, known: bool) -> CorpusError:
    if known:
        return CorpusError(
            "build.path_gone",
            "{path} does not exist any more; its documents are still in the index",
            expected="a file or folder to index (is a drive not mounted?)",
            do="To take its documents out, run the command again with --allow-empty, or use --remove-root {path}",
            path=path,
        )
    return CorpusError(
        "build.no_path",
        "{path} does not exist",
        expected="a file or folder to index",
        do="Check the path",
        path=path,
    )


def place_of(path: Path) -> tuple[int, int] | None:
    """Return what distinguishes a folder from another of the same name, such as the mount point of a drive that went away."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return (facts.st_dev, facts.st_ino) if stat.S_ISDIR(facts.st_mode) else (0, 0)  # a file may be replaced


def is_gone(path: Path) -> bool:
    """Whether a file is missing or empty. One that cannot be reached (no rights, a failing network) is not gone."""
    try:
        facts = path.stat()
    except OSError as err:
        return err.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
    return stat.S_ISREG(facts.st_mode) and facts.st_size == 0
