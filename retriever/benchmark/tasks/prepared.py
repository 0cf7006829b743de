"""A task with its data, ready to be scored: an own data set, one of mteb's tasks, or one of AIR-Bench's."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias

from quarry.indexer.errors import SettingsError
from quarry.retriever.benchmark.tasks.air_bench import AirTask, air_task
from quarry.retriever.benchmark.tasks.downloading import download_data
from quarry.retriever.benchmark.tasks.mteb_tasks import TaskData, mteb_task
from quarry.retriever.benchmark.tasks.named import NamedTask
from quarry.retriever.benchmark.tasks.native import load_copy
from quarry.retriever.benchmark.tasks.search_data import read_search
from quarry.retriever.benchmark.tasks.task_data import TaskChoice, read_rows

_OWN_SEARCH_KINDS = ("Retrieval", "Reranking")

Choice: TypeAlias = TaskChoice | NamedTask | AirTask


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task with its data.

    Attributes:
        task: The mteb task.
        size: How much is scored, in words.
        digest: Changes with the data.
        revision: What mteb's result file says of the data.
    """

    task: Any
    size: str
    digest: str
    revision: str
    parts: Mapping[str, "Prepared"] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Mteb's name of the task; a sample has its size in it."""
        return str(self.task.metadata.name)

    @property
    def kind(self) -> str:
        """Mteb's kind of task."""
        return str(self.task.metadata.type)

    @property
    def dataset(self) -> str:
        """The data set on the hub; empty for an own one."""
        path = str(self.task.metadata.dataset["path"])
        return "" if path.startswith("local/") else path

    @property
    def measure(self) -> str:
        """Mteb's name of the main measure."""
        return str(self.task.metadata.main_score)

    @property
    def languages(self) -> tuple[str, ...]:
        """As mteb writes them (`cmn-Hans`), of the subsets that are scored."""
        found = self.task.metadata.eval_langs
        if isinstance(found, dict):
            found = [each for name, each_of in found.items() if name in self.task.hf_subsets for each in each_of]
        return tuple(dict.fromkeys(found))


def prepare(choice: Choice, limit: int | None = None) -> Prepared:
    """Read a task's data.

    Args:
        choice: Which.
        limit: Sample of an own data set, at least 2; see `read_search` and `read_rows`.

    Raises:
        CorpusError: If data is bad or missing; file, line and reason are named.
        SettingsError: If one of mteb's tasks is to be sampled.
        ValueError: If limit < 2, or no query has a relevant document.
    """
    if isinstance(choice, TaskChoice):
        data = read_task(choice, limit)
        return Prepared(mteb_task(data), data.size, data.digest, data.digest)
    if limit is not None:
        raise SettingsError(
            "benchmark.no_sample",
            "{task} cannot be sampled: its score would stand under a published name",
            expected="an own data set with --limit",
            do="Leave --limit out, or name the folder and its kind, such as NAME:Retrieval",
            task=choice.name,
        )
    if isinstance(choice, AirTask):
        task = air_task(choice)
        digest = str(task.metadata.dataset["revision"])
        return Prepared(task, _size(task), digest, digest)
    return _named(choice)


def read_task(choice: TaskChoice, limit: int | None = None) -> TaskData:
    """Read the data of one task; see `read_search` and `read_rows`, whose errors it raises.

    Raises:
        ValueError: If limit < 2, or no query has a relevant document.
    """
    if limit is not None and limit < 2:
        raise ValueError(f"limit is {limit}; expected at least 2")
    return read_search(choice, limit) if choice.kind in _OWN_SEARCH_KINDS else read_rows(choice, limit)


def _named(choice: NamedTask) -> Prepared:
    if choice.parts:
        parts = {part.name: _named(part) for part in choice.parts}
        task = copy(choice.task)
        task.tasks = [part.task for part in parts.values()]
        task.metadata = task.metadata.model_copy(update={"tasks": task.tasks})
        digest = sha256("".join(part.digest for part in parts.values()).encode()).hexdigest()[:16]
        return Prepared(task, f"{len(parts)} tasks", digest, str(task.metadata.dataset["revision"]), parts)
    task = copy(choice.task)  # mteb's benchmarks share their tasks, which would keep the data
    revision = str(task.metadata.dataset["revision"])
    if choice.folder is None:
        download_data(task)
        if hasattr(task, "convert_v1_dataset_format_to_v2"):
            task.convert_v1_dataset_format_to_v2(None)
        return Prepared(task, _size(task), revision, revision)
    digest = load_copy(task, choice.folder).digest
    return Prepared(task, _size(task), digest, revision)


def _size(task: Any) -> str:
    """Return how much a task scores, over all of its subsets and splits."""
    tables = (
        list(task.dataset.values()) if task.metadata.is_multilingual or "default" in task.dataset else [task.dataset]
    )
    found = [table[split] for table in tables for split in task.eval_splits]
    if isinstance(found[0], Mapping) and "corpus" in found[0]:
        queries, documents = (sum(len(each[name]) for each in found) for name in ("queries", "corpus"))
        return f"{queries} queries, {documents} documents"
    return f"{sum(map(len, found))} rows"
