"""Tasks of mteb that fetch their data in a way of their own (MLSUM, Syntec, Flores ...), on a local copy.

Their `load_data` runs as it is; only `load_dataset`, as their module knows it, reads the copy instead of asking the hub.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from quarry.retriever.benchmark.tasks.local_copy import LocalCopy

_MTEBS = "mteb.abstasks"  # where the loaders lie that all tasks share


def loads_its_own_way(task: Any) -> bool:
    """Tell whether a task's class has a loader of its own."""
    return not _loading_module(task).startswith(_MTEBS)


def load_its_own_way(task: Any, copy: LocalCopy) -> None:
    """Have a task load its data by its own loader from a local copy.

    Args:
        task: An mteb task without data.
        copy: Of its data set; further data sets of the task lie beside it.

    Raises:
        CorpusError: If a table is missing, or a file cannot be read.
    """
    with _reading(_loading_module(task), str(task.metadata.dataset["path"]), copy):
        task.load_data()
    if hasattr(task, "convert_v1_dataset_format_to_v2"):
        task.convert_v1_dataset_format_to_v2(None)


def _loading_module(task: Any) -> str:
    return next(str(kind.__module__) for kind in type(task).__mro__ if "load_data" in vars(kind))


@contextmanager
def _reading(module: str, path: str, copy: LocalCopy) -> Iterator[None]:
    """Make the names by which a module knows `load_dataset` read the copy, while the context lasts."""
    namespace = vars(sys.modules[module])
    loader = _Loader(path, copy)
    known: dict[str, Any] = {name: namespace[name] for name in ("datasets", "load_dataset") if name in namespace}
    if "datasets" in known:
        namespace["datasets"] = SimpleNamespace(**vars(known["datasets"]) | {"load_dataset": loader})
    if "load_dataset" in known:
        namespace["load_dataset"] = loader
    try:
        yield
    finally:
        namespace.update(known)


class _Loader:
    """Stands in for `datasets.load_dataset`."""

    def __init__(self, path: str, copy: LocalCopy) -> None:
        self._path, self._copy = path, copy

    def __call__(self, path: str, name: str | None = None, split: str | None = None, **_: Any) -> Any:
        from datasets import DatasetDict

        copy, config = self._of(path), name or "default"
        if split is not None:
            return copy.table(config, split)
        splits = copy.splits(config)
        return DatasetDict({each: copy.table(config, each) for each in splits or ("test",)})

    def _of(self, path: str) -> LocalCopy:
        """Return the copy of a data set: the task's own, or one that lies beside it."""
        if path == self._path:
            return self._copy
        organization, _, name = path.rpartition("/")
        folders = [Path(self._copy.folder.parent / each) for each in (name, f"{organization}__{name}")]
        return LocalCopy(next((folder for folder in folders if folder.is_dir()), folders[0]))
