"""mteb's result files, read back: scores for averages and tables, and entries for a model card."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from quarry.indexer.errors import CorpusError, SettingsError
from quarry.retriever.benchmark.results.averages import TaskScore
from quarry.retriever.benchmark.results.items import Items, items_path, read_items

_META = "model_meta.json"
_DEPTHS = (1, 3, 5, 10, 20, 100, 1000)
_SEARCH = tuple(f"{name}_at_{depth}" for name in ("map", "mrr", "ndcg", "precision", "recall") for depth in _DEPTHS)
_PAIRS = tuple(
    f"{by}_{name}"
    for by in ("cosine", "dot", "euclidean", "manhattan")
    for name in ("accuracy", "ap", "f1", "precision", "recall")
)
_CORRELATIONS = (
    "cosine_pearson",
    "cosine_spearman",
    "euclidean_pearson",
    "euclidean_spearman",
    "manhattan_pearson",
    "manhattan_spearman",
)
# what a card tells of each kind: the measures of bge-large-en's card
_TOLD: Mapping[str, Sequence[str]] = {
    "Retrieval": _SEARCH,
    "Reranking": ("map_at_1000", "mrr_at_1000"),
    "Clustering": ("v_measure",),
    "PairClassification": (*_PAIRS, "max_accuracy", "max_ap", "max_f1"),
    "STS": _CORRELATIONS,
    "Summarization": ("cosine_pearson", "cosine_spearman", "dot_pearson", "dot_spearman"),
    "Classification": ("accuracy", "ap", "f1"),
    "BitextMining": ("accuracy", "f1", "precision", "recall"),
}
_CARD_NAMES = {"map_at_1000": "map", "mrr_at_1000": "mrr"}  # of reranking, where all candidates are ranked


@dataclass(frozen=True, slots=True)
class StoredResult:
    """One result file.

    Attributes:
        task: mteb's name.
        kind: mteb's kind.
        dataset: The data set on the hub; of an own data set its name.
        revision: Of the data.
        scores: mteb's scores: split to subsets, each with its measures.
        items: The values behind the score; None where they were not kept.
    """

    task: str
    kind: str
    dataset: str
    revision: str
    scores: Mapping[str, Sequence[Mapping[str, Any]]]
    items: Items | None

    def task_scores(self) -> Iterator[TaskScore]:
        """Yield the main score of each subset and split, times 100."""
        for subsets in self.scores.values():
            for found in subsets:
                if isinstance(found.get("main_score"), int | float):
                    yield TaskScore(
                        self.task, self.kind, 100 * float(found["main_score"]), str(found.get("hf_subset", "default"))
                    )

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries of a model card's `model-index`."""
        for split, subsets in self.scores.items():
            for found in subsets:
                subset = str(found.get("hf_subset", "default"))
                title = self.task if self.dataset == self.task else f"MTEB {self.task}"
                yield {
                    "task": {"type": self.kind},
                    "dataset": {
                        "type": self.dataset,
                        "name": title if subset == "default" else f"{title} ({subset})",
                        "config": subset,
                        "split": split,
                        "revision": self.revision,
                    },
                    "metrics": [*_metrics(self.kind, found)],
                }


def _metrics(kind: str, found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the measures that cards tell, by the names that they have there."""
    for name in _TOLD.get(kind, ("main_score",)):
        value = found.get(name)
        if isinstance(value, int | float) and not isnan(value):  # ap of more than two labels is no number
            told = _CARD_NAMES.get(name, name) if kind == "Reranking" else name
            yield {"type": told.replace("cosine_", "cos_sim_"), "value": 100 * float(value)}


def model_folders(folder: Path) -> list[Path]:
    """Return the folders of models whose results lie below a folder, by name."""
    return sorted({path.parent for path in folder.rglob(_META)}) if folder.is_dir() else []


def model_folder(folder: Path) -> Path:
    """Return the folder of one model's results: itself, or the only one below.

    Args:
        folder: `INTO`, `INTO/results/MODEL`, or `INTO/results/MODEL/REVISION`.

    Raises:
        CorpusError: If there is none.
        SettingsError: If there are several; they are named.
    """
    if (folder / _META).is_file():
        return folder
    found = model_folders(folder)
    if not found:
        raise CorpusError(
            "benchmark.no_results",
            "{folder} holds no results of mteb",
            expected="a folder that `quarry benchmark --into` wrote",
            do="Run `quarry benchmark` first",
            folder=folder,
        )
    if len(found) > 1:
        raise SettingsError(
            "benchmark.several_models",
            "{folder} holds results of {count} models: {folders}",
            expected="one of them",
            do="Give the folder of one model",
            folder=folder,
            count=len(found),
            folders=[str(path.relative_to(folder)) for path in found],
        )
    return found[0]


def read_results(folder: Path) -> list[StoredResult]:
    """Return a model's results, by task.

    Args:
        folder: As `model_folder` takes it.

    Raises:
        CorpusError: If there are none, or one cannot be read.
        SettingsError: If there are several models.
    """
    own = model_folder(folder)
    return [_read(path) for path in sorted(own.glob("*.json")) if path.name != _META]


def model_name(folder: Path) -> str:
    """Return the name and revision of the model whose results these are, as mteb wrote them."""
    meta = _json(model_folder(folder) / _META)
    return f"{meta.get('name', folder.name)} {str(meta.get('revision') or '')[:12]}".strip()


def _read(path: Path) -> StoredResult:
    content = _json(path)
    into = next((parent.parent for parent in path.parents if parent.name == "results"), None)
    items = read_items(items_path(into, path)) if into else None
    task, scores = content.get("task_name"), content.get("scores")
    if not isinstance(task, str) or not isinstance(scores, dict):
        raise _no_result(path, "it has no task_name and scores")
    kind, dataset = (items.kind, items.dataset or task) if items else _facts(task)
    return StoredResult(task, kind, dataset, str(content.get("dataset_revision", "")), scores, items)


def _facts(task: str) -> tuple[str, str]:
    """Return kind and data set of a task that mteb knows, for results of other programs; else the name stands for the data set."""
    from mteb.get_tasks import get_task

    try:
        metadata = get_task(task).metadata
    except KeyError:
        return "", task
    return str(metadata.type), str(metadata.dataset["path"])


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise _no_result(path, str(err)) from err
    if not isinstance(found, dict):
        raise _no_result(path, "it is no JSON object")
    return found


def _no_result(path: Path, reason: str) -> CorpusError:
    return CorpusError(
        "benchmark.bad_result",
        "{path} is no result of mteb ({reason})",
        expected="a file that mteb wrote",
        do="Remove it, and run `quarry benchmark` again",
        path=path,
        reason=reason,
    )
