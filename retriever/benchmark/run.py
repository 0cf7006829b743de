"""An embedder scored on local data by the mteb package, with results in mteb's own files. Needs the extra `eval`."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import MissingExtraError
from quarry.indexer.messages import Message
from quarry.retriever.benchmark.mteb_model import MtebEncoder
from quarry.retriever.benchmark.mteb_tasks import MAIN_SCORES, TaskData, mteb_task, task_name
from quarry.retriever.benchmark.search_data import read_search
from quarry.retriever.benchmark.task_data import TaskChoice, read_rows

_SEARCH_KINDS = ("Retrieval", "Reranking")


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """One task's result.

    Attributes:
        task: mteb's name of the task; a sample has its size in it.
        kind: Kind of task.
        measure: mteb's name of the main measure.
        score: Its value in [0, 1], in [-1, 1] for a correlation.
        size: How much was scored, in words.
        languages: As mteb writes them.
        seconds: Wall time of encoding and scoring; of the first run when the result was there already.
        reused: Whether the result was there already.
        path: mteb's JSON file.
    """

    task: str
    kind: str
    measure: str
    score: float
    size: str
    languages: tuple[str, ...]
    seconds: float
    reused: bool
    path: str


def check_mteb() -> None:
    """Refuse early where mteb is missing.

    Raises:
        MissingExtraError: If it is not installed; the extra is named.
    """
    if find_spec("mteb") is None:
        raise MissingExtraError(
            "benchmark.no_mteb",
            "the package mteb is not installed",
            expected="it for benchmarks",
            do="Install it with `pip install 'quarry-search[eval]'`",
        )


def read_task(choice: TaskChoice, limit: int | None = None) -> TaskData:
    """Read the data of one task; see `read_search` and `read_rows`, whose errors it raises.

    Raises:
        ValueError: If limit < 2, or no query has a relevant document.
    """
    if limit is not None and limit < 2:
        raise ValueError(f"limit is {limit}; expected at least 2")
    return read_search(choice, limit) if choice.kind in _SEARCH_KINDS else read_rows(choice, limit)


def run_benchmark(
    embedder: Embedder,
    choices: Sequence[TaskChoice],
    into: Path,
    *,
    limit: int | None = None,
    experiment: Mapping[str, Any] | None = None,
    progress: Callable[[Message], None] = lambda _: None,
) -> Iterator[BenchmarkResult]:
    """Score an embedder on tasks, one by one; results on the same data that `into` already holds are reused.

    Args:
        embedder: The model.
        choices: Which tasks.
        into: Folder of mteb's results cache: `results/MODEL/REVISION/TASK.json`.
        limit: Sample of each task, at least 2; see `read_rows` and `read_search`.
        experiment: See `MtebEncoder`.
        progress: Receives a message before each task.

    Raises:
        MissingExtraError: If mteb is not installed.
        CorpusError: If data is bad; file, line and reason are named.
        ValueError: As `read_task`.
    """
    check_mteb()
    model = MtebEncoder(embedder, experiment)
    for number, choice in enumerate(choices, start=1):
        data = read_task(choice, limit)
        progress(
            Message.of(
                "benchmark.progress",
                "{number} of {count}: {task}, {size}",
                number=number,
                count=len(choices),
                task=task_name(data),
                size=data.size,
            )
        )
        yield _run(model, data, into)


def _run(model: MtebEncoder, data: TaskData, into: Path) -> BenchmarkResult:
    from mteb import evaluate
    from mteb.cache import ResultCache

    task = mteb_task(data)
    cache = ResultCache(into)
    encoder: Any = model  # mteb's protocol also wants a constructor that loads by name
    meta = model.mteb_model_meta
    path = cache.get_task_result_path(task.metadata.name, meta)
    reused = _revision(path) == data.digest
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"sklearn\.")  # one for each of the draws of a classification
        (found,) = evaluate(
            encoder,
            [task],
            cache=cache,
            overwrite_strategy="only-missing"
            if reused
            else "always",  # mteb itself does not look at the data's revision
            show_progress_bar=False,
            co2_tracker=False,
            encode_kwargs={"batch_size": 256, "show_progress_bar": False},
        ).task_results
    return BenchmarkResult(
        task=task.metadata.name,
        kind=data.choice.kind,
        measure=MAIN_SCORES[data.choice.kind],
        score=float(found.get_score()),
        size=data.size,
        languages=tuple(task.metadata.eval_langs),
        seconds=float(found.evaluation_time or 0.0),
        reused=reused,
        path=str(path),
    )


def _revision(path: Path) -> str:
    """Return the digest of the data that an earlier result used; empty when no result can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(content.get("dataset_revision", "")) if isinstance(content, dict) else ""
