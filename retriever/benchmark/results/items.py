"""What a task's score is made of: a value per query or row, kept beside mteb's result so that two models can be compared by test.

    retrieval, reranking    the main measure of every query
    classification          the share of mteb's draws that label a row rightly
    clustering              the v-measure of every set
    STS                     cosine and gold score of every pair (their rank correlation is the score)
    pair classification     cosine and label of every pair (average precision)
    summaries               the correlation of cosines with grades, of every text
    translations            F1 of every sentence's own translation

Files: `INTO/items/MODEL/REVISION/TASK.json`. mteb's own files stay as mteb writes them.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from quarry.indexer.storage.files.durable import write_atomic

Statistic: TypeAlias = Literal["mean", "spearman", "average precision"]

# kinds of which mteb writes predictions to a file
_PREDICTED = ("Classification", "STS", "PairClassification", "Summarization", "BitextMining")
# the keys of trec_eval, which mteb's per-query scores have, by mteb's measure
_TREC = {"ndcg_at": "ndcg_cut", "map_at": "map_cut", "recall_at": "recall", "precision_at": "P"}


@dataclass(frozen=True, slots=True)
class Items:
    """The values behind one score.

    Attributes:
        task: mteb's name.
        kind: mteb's kind.
        measure: mteb's main measure.
        score: Its value.
        data: Digest of the data; equal means that the rows are the same.
        asked: How queries were asked, with {query}; empty for as a search would.
        statistic: How the values make a score.
        values: By query id, or by place: values of the measure, or cosines.
        gold: By the same ids: gold scores or labels; empty for a mean.
        dataset: The data set on the hub; empty for an own one.
    """

    task: str
    kind: str
    measure: str
    score: float
    data: str
    asked: str = ""
    statistic: Statistic = "mean"
    values: Mapping[str, float] = field(default_factory=dict)
    gold: Mapping[str, float] = field(default_factory=dict)
    dataset: str = ""


def items_path(into: Path, result: Path) -> Path:
    """Return where the values behind an mteb result file are kept."""
    return into / "items" / result.relative_to(into / "results")


def write_items(path: Path, items: Items) -> None:
    """Write the values behind a score."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(asdict(items), ensure_ascii=False).encode())


def read_items(path: Path) -> Items | None:
    """Return the values behind a score; None when they were not kept or cannot be read."""
    try:
        return Items(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Recorder:
    """Collects values while mteb scores a task."""

    def __init__(self, task: Any) -> None:
        """Watch a task.

        Args:
            task: An mteb task with its data. Retrieval tasks are asked for their scores per query by the method that mteb calls with
                them; other tasks write their predictions to a file.
        """
        self._task = task
        self._queries: dict[str, float] = {}
        if self.per_query:
            self._own = task.task_specific_scores
            task.task_specific_scores = self._scored

    @property
    def per_query(self) -> bool:
        """Whether the task ranks documents."""
        return hasattr(self._task, "task_specific_scores")

    def found(
        self, predictions: Path, scores: Mapping[str, Any]
    ) -> tuple[Statistic, dict[str, float], dict[str, float]]:
        """Return how the values make a score, the values, and the gold ones.

        Args:
            predictions: Folder where mteb wrote its predictions.
            scores: mteb's scores, by split.
        """
        if self.per_query:
            return "mean", self._queries, {}
        kind = str(self._task.metadata.type)
        if kind == "Clustering":
            return "mean", _v_measures(scores), {}
        path = predictions / f"{self._task.metadata.name}_predictions.json"
        if kind not in _PREDICTED or not path.is_file():
            return "mean", {}, {}
        rows = json.loads(path.read_text(encoding="utf-8"))
        if kind == "BitextMining":
            return "mean", self._translations(rows), {}
        values: dict[str, float] = {}
        gold: dict[str, float] = {}
        for subset in self._task.hf_subsets:
            for split, found in rows.get(subset, {}).items():
                table = self._table(subset, split)
                for place, (value, wanted) in enumerate(_values(self._task, kind, found, table)):
                    values[f"{subset}/{split}/{place}"] = value
                    gold[f"{subset}/{split}/{place}"] = wanted
        if kind in ("Classification", "Summarization"):
            return "mean", values, {}
        return ("spearman" if kind == "STS" else "average precision"), values, gold

    def _translations(self, rows: Mapping[str, Any]) -> dict[str, float]:
        """Return the value of every sentence that has a translation; several pairs of languages may share one table."""
        found: dict[str, float] = {}
        for subset in (*self._task.hf_subsets, "parallel"):
            for split, pairs in rows.get(subset, {}).items():
                table = self._table(subset, split)
                gold = [each for _, each in table["gold"]] if isinstance(table, Mapping) and "gold" in table else None
                for pair, neighbours in pairs.items():
                    nearest = [int(each["corpus_id"]) for each in neighbours]
                    name = pair if subset == "parallel" else subset
                    values = translation_values(gold or range(len(nearest)), nearest)
                    found |= {f"{name}/{split}/{place}": value for place, value in enumerate(values)}
        return found

    def _table(self, subset: str, split: str) -> Any:
        dataset = self._task.dataset
        return dataset[subset][split] if subset in dataset else dataset[split]

    def _scored(
        self, scores: Mapping[str, Mapping[str, float]], qrels: Any, results: Any, hf_split: str, hf_subset: str
    ) -> Any:
        name, _, depth = str(self._task.metadata.main_score).rpartition("_")
        key = f"{_TREC.get(name, name)}_{depth}"
        for query_id, measures in scores.items():
            if key in measures:
                self._queries[f"{hf_subset}/{hf_split}/{query_id}"] = float(measures[key])
        return self._own(scores, qrels, results, hf_split, hf_subset)


def translation_values(gold: Sequence[int], nearest: Sequence[int]) -> list[float]:
    """Return F1 of each sentence's translation as a class: its mean is the weighted F1 that mteb gives.

    Args:
        gold: Number of the translation of each sentence.
        nearest: Number of the sentence that the model takes for it.

    Example:
        >>> translation_values([0, 1, 2], [0, 1, 1])
        [1.0, 0.6666666666666666, 0.0]
    """
    right = Counter(wanted for wanted, found in zip(gold, nearest, strict=True) if wanted == found)
    there, taken = Counter(gold), Counter(nearest)
    return [2 * right[wanted] / (there[wanted] + taken[wanted]) for wanted in gold]


def _v_measures(scores: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for split, subsets in scores.items():
        for each in subsets:
            measures = each.get("v_measures")
            if isinstance(
                measures, Mapping
            ):  # mteb's newer class: a list of bootstrap draws per level, not one value per set
                continue
            for place, value in enumerate(measures or ()):
                found[f"{each.get('hf_subset', 'default')}/{split}/{place}"] = float(value)
    return found


def _values(task: Any, kind: str, found: Any, table: Any) -> Sequence[tuple[float, float]]:
    """Return value and gold value of every row, from what mteb predicted of one split."""
    if kind == "Classification":
        labels = list(table[task.label_column_name])
        draws = [draw for draw in found if len(draw) == len(labels)]
        if not draws:
            return []
        return [(sum(draw[row] == label for draw in draws) / len(draws), 1.0) for row, label in enumerate(labels)]
    if kind == "Summarization":
        return [(value, 1.0) for value in _of_summaries(task, found)]
    if kind == "STS":
        wanted = list(table["score"])
    else:
        rows = table[0] if len(table) == 1 else table  # older data sets keep all pairs in one row
        wanted = list(rows[task.label_column_name])
    return list(zip(map(float, found["cosine_scores"]), map(float, wanted), strict=True))


def _of_summaries(task: Any, found: Any) -> list[float]:
    """Return what each text adds to the score: the rank correlation of its summaries' cosines with their grades.

    mteb's first class for SummEval means over correlation and p value (its issue 1156), so these are in its score, and here too.
    """
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    with_p = type(task).evaluator.__name__.startswith("Deprecated")
    tests = [spearmanr(*each) for each in zip(found["human_scores"], found["cosine_scores"], strict=True)]
    return [float(test.statistic + test.pvalue) / 2 if with_p else float(test.statistic) for test in tests]
