"""A model scored by the mteb package on local data, with results in mteb's own files. Needs the extra `eval`."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import MissingExtraError
from quarry.indexer.messages import Message
from quarry.retriever.benchmark.mteb_model import Asking, MtebEncoder
from quarry.retriever.benchmark.results.items import Items, Recorder, Statistic, items_path, read_items, write_items
from quarry.retriever.benchmark.tasks.prepared import Choice, Prepared, prepare


class MtebModel(Protocol):
    """What mteb can score, and how it is asked."""

    @property
    def mteb_model_meta(self) -> Any:
        """Name, revision and facts, for mteb's results."""
        ...

    def query_format(self, task: str, kind: str) -> str:
        """Return how queries of a task are asked, with {query}; empty for as always."""
        ...


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


def run_benchmark(
    embedder: Embedder,
    choices: Sequence[Choice],
    into: Path,
    *,
    limit: int | None = None,
    experiment: Mapping[str, Any] | None = None,
    asking: Asking | None = None,
    progress: Callable[[Message], None] = lambda _: None,
) -> Iterator[BenchmarkResult]:
    """Score an embedder on tasks, one by one; results on the same data that `into` already holds are reused.

    Args:
        embedder: The model.
        choices: Which tasks.
        into: Folder of mteb's results cache: `results/MODEL/REVISION/TASK.json`. The values behind each score are in `items/`.
        limit: Sample of each own data set, at least 2; see `read_rows` and `read_search`.
        experiment: See `MtebEncoder`.
        asking: See `MtebEncoder`.
        progress: Receives a message before each task.

    Raises:
        MissingExtraError: If mteb is not installed.
        CorpusError: If data is bad; file, line and reason are named.
        ValueError: As `prepare`.
    """
    check_mteb()
    model = MtebEncoder(embedder, experiment, asking)
    yield from score_tasks(model, choices, into, limit=limit, progress=progress)


def score_tasks(
    model: MtebModel,
    choices: Sequence[Choice],
    into: Path,
    *,
    limit: int | None = None,
    progress: Callable[[Message], None] = lambda _: None,
) -> Iterator[BenchmarkResult]:
    """Score any model that mteb can ask: an embedder, or a whole search. See `run_benchmark`.

    Args:
        model: The model.
        choices: As `run_benchmark`.
        into: As `run_benchmark`.
        limit: As `run_benchmark`.
        progress: As `run_benchmark`.
    """
    for number, choice in enumerate(choices, start=1):
        ready = prepare(choice, limit)
        progress(
            Message.of(
                "benchmark.progress",
                "{number} of {count}: {task}, {size}",
                number=number,
                count=len(choices),
                task=ready.name,
                size=ready.size,
            )
        )
        yield _run(model, ready, into)


def _run(model: MtebModel, ready: Prepared, into: Path) -> BenchmarkResult:
    """Score one task; an aggregate is the mean of its parts, each with a result of its own."""
    from mteb.cache import ResultCache

    path = Path(ResultCache(into).get_task_result_path(ready.name, model.mteb_model_meta))
    asked = model.query_format(ready.name, ready.kind)
    parts = [_run(model, part, into) for part in ready.parts.values()]
    before = _kept(into, path, ready, asked)
    reused = before and all(part.reused for part in parts)
    if parts and not reused:
        path.unlink(missing_ok=True)  # the parts are there by now: mteb only has to take their mean again
    found = _evaluated(model, ready, into, again=not reused and not parts)  # mteb itself does not look at the data
    score = float(found.result.get_score())
    if not reused:
        facts = Items(
            ready.name, ready.kind, ready.measure, score, ready.digest, asked, *found.items, dataset=ready.dataset
        )
        write_items(items_path(into, path), facts)
    return BenchmarkResult(
        task=ready.name,
        kind=ready.kind,
        measure=ready.measure,
        score=score,
        size=ready.size,
        languages=ready.languages,
        seconds=float(found.result.evaluation_time or 0.0),
        reused=reused,
        path=str(path),
    )


class _Evaluated(NamedTuple):
    """mteb's result of a task, and the values behind its score."""

    result: Any
    items: tuple[Statistic, dict[str, float], dict[str, float]]


def _evaluated(model: MtebModel, ready: Prepared, into: Path, *, again: bool) -> _Evaluated:
    from mteb import evaluate
    from mteb.cache import ResultCache

    recorder = Recorder(ready.task)
    scored: Any = model  # mteb's protocols also want a constructor that loads by name
    with warnings.catch_warnings(), TemporaryDirectory(prefix="quarry-benchmark-") as predictions:
        warnings.filterwarnings("ignore", module=r"sklearn\.")  # one for each of the draws of a classification
        (result,) = evaluate(
            scored,
            ready.task if ready.parts else [ready.task],
            cache=ResultCache(into),
            overwrite_strategy="always" if again else "only-missing",
            show_progress_bar=False,
            co2_tracker=False,
            encode_kwargs={"batch_size": 256, "show_progress_bar": False},
            # a ranking's values are taken in memory: a thousand documents per query would fill the disk
            prediction_folder=None if recorder.per_query or ready.parts else Path(predictions),
        ).task_results
        return _Evaluated(result, recorder.found(Path(predictions), result.scores))


def _kept(into: Path, path: Path, ready: Prepared, asked: str) -> bool:
    """Tell whether an earlier result is of the same data, asked in the same way."""
    if not path.is_file():
        return False
    before = read_items(items_path(into, path))
    if before is not None:
        return (before.data, before.asked) == (ready.digest, asked)
    return not asked and _revision(path) == ready.digest  # of a version that kept no items


def _revision(path: Path) -> str:
    """Return the digest of the data that an earlier result used; empty when no result can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(content.get("dataset_revision", "")) if isinstance(content, dict) else ""
