"""Folders that have several paths: through links, mounts, or other cases of letters. An index keeps each under one of them."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def as_written(path: Path) -> Path:
    """Return the absolute path that somebody means: `~` is the home folder, unless a file or folder here has that name.

    Example:
        >>> from pathlib import Path
        >>> as_written(Path("~/docs")) == Path.home() / "docs"
        True
    """
    if path.exists():
        return path.absolute()
    with suppress(RuntimeError):  # nobody of that name
        path = path.expanduser()
    return path.absolute()


def path_in_index(path: Path, known: Iterable[str]) -> Path:
    """Return the path under which an index already knows a file or folder, else its absolute path.

    A folder inside or around a known one is named through it, so that each file has one path.

    Args:
        path: As somebody wrote it.
        known: The paths of the index's roots.
    """
    absolute = as_written(path)
    roots = [Path(root) for root in known]
    if absolute in roots or not absolute.exists():
        return absolute
    real = absolute.resolve()
    for root in roots:
        if same(absolute, root):
            return root
    for root in roots:
        of_root = root.resolve()
        if real.is_relative_to(of_root) and same(candidate := root / real.relative_to(of_root), absolute):
            return candidate
        if of_root.is_relative_to(real):
            steps = len(of_root.relative_to(real).parts)
            above = root.parents[steps - 1] if 0 < steps <= len(root.parents) else root
            if same(above, absolute):
                return above
    return absolute


def same(one: Path, other: Path) -> bool:
    """Return whether two paths lead to the same file or folder; False when one leads nowhere."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False
