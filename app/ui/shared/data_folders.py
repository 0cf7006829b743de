"""Which data sets the app may read: the demo corpus, and folders below those named when it was started. It reads no data.

The app can be bound to other addresses, so what a visitor types is never a path to anywhere: it must lie below a folder
that whoever started the app has named in QUARRY_UI_DATA (several with the path separator between), or below the working
directory when nothing was named. Links that lead outside are outside.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quarry.demo_corpus import queries_path
from quarry.indexer.errors import SettingsError

DATA_VARIABLE = "QUARRY_UI_DATA"
_SHOWN = 300  # folders offered at most; a longer menu is unusable


@dataclass(frozen=True, slots=True)
class DataChoice:
    """A folder that looks like a data set, and the name it is offered under."""

    name: str
    folder: Path


def allowed_roots() -> tuple[Path, ...]:
    """Return the folders below which data sets may be read, links resolved."""
    named = [part for part in os.environ.get(DATA_VARIABLE, "").split(os.pathsep) if part]
    return tuple(Path(part).expanduser().resolve() for part in named) or (Path.cwd().resolve(),)


def inside(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a path, links resolved, is one of the roots or lies below one."""
    resolved = path.resolve()
    return any(resolved.is_relative_to(root) for root in roots)


def allowed_path(typed: str, roots: Sequence[Path]) -> Path:
    """Return the path that a visitor typed, absolute or relative to the first root; it need not exist.

    Raises:
        SettingsError: If it is outside the roots.
    """
    name = typed.strip()
    if "\0" in name or not inside(roots[0] / name, roots):
        raise SettingsError(
            "ui.outside_data_folders",
            "{path} is not below {roots}",
            expected="a path there",
            do="Whoever starts the app can allow other folders with {variable}",
            path=name,
            roots=list(map(str, roots)),
            variable=DATA_VARIABLE,
        )
    return roots[0] / name


def data_choices(typed: str, roots: Sequence[Path]) -> tuple[DataChoice, ...]:
    """Return the demo corpus and the data sets in a folder.

    Args:
        typed: What the user typed: a path, or one relative to the first root; empty for the demo corpus alone.
        roots: From `allowed_roots`.

    Raises:
        SettingsError: If it is outside the roots or is not a readable folder.
    """
    demo = DataChoice("demo_corpus", queries_path().parent)
    if not typed.strip():
        return (demo,)
    folder = allowed_path(typed, roots)
    try:
        children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as err:
        raise SettingsError(
            "ui.unlistable_folder",
            "{path} cannot be listed ({reason})",
            expected="a folder",
            path=typed.strip(),
            reason=str(err.strerror),
        ) from err
    found = [path for path in (folder, *children[:_SHOWN]) if inside(path, roots) and _looks_like_one(path)]
    return (demo, *(DataChoice(path.resolve().name, path) for path in found))


def _looks_like_one(folder: Path) -> bool:
    """Whether a folder holds judgements; they are checked when it is read."""
    try:
        return folder.is_dir() and any("qrels" in child.name for child in folder.iterdir())
    except OSError:
        return False
