"""mteb's tasks and benchmarks by name: `MTEB(cmn, v1)`, `C-MTEB`, `Banking77Classification`; each with its data or without."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from quarry.indexer.errors import CorpusError
from quarry.retriever.benchmark.tasks.native import find_copy

C_MTEB = "C-MTEB"
# C-MTEB has 35 tasks (C-Pack, section 3.1); mteb's `MTEB(cmn, v1)` leaves out these four, which have other languages too
_ALSO_IN_C_MTEB = {
    "AmazonReviewsClassification": "zh",
    "MassiveIntentClassification": "zh-CN",
    "MassiveScenarioClassification": "zh-CN",
    "STS22": "zh",
}


@dataclass(frozen=True, slots=True)
class NamedTask:
    """One of mteb's own tasks.

    Attributes:
        task: The mteb task, without its data.
        folder: The local copy of its data; None where there is none.
        parts: The tasks that an aggregate such as CQADupstackRetrieval is the mean of; empty for others.
    """

    task: Any
    folder: Path | None
    parts: tuple["NamedTask", ...] = ()

    @property
    def name(self) -> str:
        """Mteb's name."""
        return str(self.task.metadata.name)

    @property
    def kind(self) -> str:
        """Mteb's kind of task."""
        return str(self.task.metadata.type)

    @property
    def here(self) -> bool:
        """Whether its data is on this machine."""
        return all(part.here for part in self.parts) if self.parts else self.folder is not None


def split_names(text: str) -> list[str]:
    """Return the names in a comma-separated list; a comma inside parentheses belongs to the name.

    Example:
        >>> split_names("MTEB(cmn, v1), TNews")
        ['MTEB(cmn, v1)', 'TNews']
    """
    names, depth, current = [], 0, ""
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth <= 0:
            names.append(current)
            current = ""
        else:
            current += character
    return [name.strip() for name in (*names, current) if name.strip()]


def is_known(name: str) -> bool:
    """Tell whether mteb has a task or benchmark of this name. Needs mteb."""
    return name == C_MTEB or name in _known()


def named_tasks(name: str, data: Path) -> list[NamedTask]:
    """Return the tasks of a benchmark, or the one task of that name.

    Args:
        name: Of a benchmark or a task; `is_known` knows it.
        data: Folder that holds local copies of data sets.
    """
    return [_named(task, data) for task in _tasks(name)]


def check_data(tasks: Sequence[NamedTask], data: Path) -> None:
    """Refuse tasks of which none has its data here.

    Raises:
        CorpusError: If not one of them has; the folders that are expected are named.
    """
    if any(task.here for task in tasks):
        return
    raise CorpusError(
        "benchmark.no_local_copy",
        "{data} has no copy of {tasks}",
        expected="a folder named as the task or its data set, such as {example}",
        do="Copy the data set there as the hub publishes it, or let mteb download it with --download",
        data=data,
        tasks=[task.name for task in tasks],
        example=str(_folder_wanted(tasks[0])),
    )


@cache
def _known() -> frozenset[str]:
    """Return the names of mteb's benchmarks and tasks; making all tasks takes seconds."""
    from mteb.benchmarks import get_benchmarks
    from mteb.get_tasks import get_tasks

    benchmarks = {name for found in get_benchmarks() for name in (found.name, *(found.aliases or ()))}
    return frozenset(benchmarks | {task.metadata.name for task in get_tasks(exclude_superseded=False)})


def _folder_wanted(task: NamedTask) -> str:
    return _folder_wanted(task.parts[0]) if task.parts else str(task.task.metadata.dataset["path"])


def _tasks(name: str) -> Iterator[Any]:
    from mteb.benchmarks import get_benchmark, get_benchmarks
    from mteb.get_tasks import get_task

    if name == C_MTEB:
        yield from get_benchmark("MTEB(cmn, v1)").tasks
        for task, subset in _ALSO_IN_C_MTEB.items():
            yield get_task(task, eval_splits=["test"], hf_subsets=[subset])
        return
    for benchmark in get_benchmarks():
        if name in (benchmark.name, *(benchmark.aliases or ())):
            yield from benchmark.tasks
            return
    yield get_task(name)


def _named(task: Any, data: Path) -> NamedTask:
    from mteb.abstasks.aggregated_task import AbsTaskAggregate

    if isinstance(task, AbsTaskAggregate):
        return NamedTask(task, None, tuple(_named(part, data) for part in task.metadata.tasks))
    return NamedTask(task, find_copy(data, task))
