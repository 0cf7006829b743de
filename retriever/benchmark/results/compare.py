"""Two models on the same tasks: the difference per task with its significance, and of the averages.

Where a score is a mean over queries, rows or sets: the paired randomization test and bootstrap interval of `quarry compare`. A rank
correlation or an average precision is no mean over rows: rows are drawn again, for both models the same ones, and p is twice the
share of draws on the rarer side of 0 (Efron and Tibshirani 1993, chapters 13 and 16). p values of all tasks are corrected together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.retriever.benchmark.results.items import Items
from quarry.retriever.benchmark.results.stored import StoredResult
from quarry.retriever.evaluation.bootstrap import CONFIDENCE, mean_intervals, randomisation_p
from quarry.retriever.evaluation.compare import ALPHA, MINIMUM_QUERIES, RESAMPLES, holm

TaskVerdict: TypeAlias = Literal["better", "worse", "no difference shown", "too few", "other data", "not kept"]

_DRAWS = 2_000  # of a rank correlation, which is sorted anew each time
_Statistic: TypeAlias = Callable[[NDArray[np.float64], NDArray[np.float64]], float]


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task of two models.

    Attributes:
        task: mteb's name.
        kind: mteb's kind.
        before: Main score of the first, times 100.
        after: Of the second.
        count: How many queries, rows or sets both scored; 0 when their values were not kept.
        low: Lower end of the 95 % interval of the difference, times 100; NaN when not tested.
        high: Upper end.
        p: Two-sided, corrected for all tasks by Holm's method; NaN when not tested.
        same_data: Whether both scored the same data.
    """

    task: str
    kind: str
    before: float
    after: float
    count: int = 0
    low: float = float("nan")
    high: float = float("nan")
    p: float = float("nan")
    same_data: bool = True

    @property
    def difference(self) -> float:
        """How much the second is better."""
        return self.after - self.before

    @property
    def verdict(self) -> TaskVerdict:
        """Better or worse only when the corrected p is below 0.05 and the interval leaves out 0."""
        if not self.same_data:
            return "other data"
        if self.count == 0:
            return "not kept"
        if self.count < MINIMUM_QUERIES:
            return "too few"
        if self.p < ALPHA and self.low > 0:
            return "better"
        return "worse" if self.p < ALPHA and self.high < 0 else "no difference shown"


def compare_results(
    before: Sequence[StoredResult], after: Sequence[StoredResult], *, seed: int = 0
) -> list[TaskComparison]:
    """Compare two models task by task, on the tasks that both have.

    Args:
        before: Results of the first, the one to beat.
        after: Of the second.
        seed: Same seed, same numbers.
    """
    found = []
    others = {result.task: result for result in after}
    for old in before:
        new = others.get(old.task)
        if new is not None:
            found.append(_compared(old, new, seed))
    tested = [each for each in found if each.count]
    corrected = dict(zip((each.task for each in tested), holm([each.p for each in tested]), strict=True))
    return [replace(each, p=corrected.get(each.task, each.p)) for each in found]


def _compared(old: StoredResult, new: StoredResult, seed: int) -> TaskComparison:
    plain = TaskComparison(old.task, old.kind, _score(old), _score(new))
    if old.items is None or new.items is None:
        return plain
    if old.items.data != new.items.data:
        return replace(plain, same_data=False)
    shared = [key for key in old.items.values if key in new.items.values]
    if not shared:
        return plain
    low, high, p = (_of_means if old.items.statistic == "mean" else _of_draws)(old.items, new.items, shared, seed)
    return replace(plain, count=len(shared), low=100 * low, high=100 * high, p=p)


def _score(result: StoredResult) -> float:
    return float(np.mean([score.score for score in result.task_scores()]))


def _of_means(old: Items, new: Items, shared: Sequence[str], seed: int) -> tuple[float, float, float]:
    """Return interval and p of the mean difference."""
    changes = np.array([new.values[key] - old.values[key] for key in shared])
    low, high = mean_intervals(changes[:, None], resamples=RESAMPLES, seed=seed)
    return float(low[0]), float(high[0]), randomisation_p(changes, resamples=RESAMPLES, seed=seed)


def _of_draws(old: Items, new: Items, shared: Sequence[str], seed: int) -> tuple[float, float, float]:
    """Return interval and p of the difference of two statistics on rows drawn again."""
    statistic: _Statistic = spearman if old.statistic == "spearman" else average_precision
    gold, first, second = (np.array([values[key] for key in shared]) for values in (old.gold, old.values, new.values))
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(_DRAWS):
        rows = rng.integers(0, len(shared), len(shared))
        if np.ptp(gold[rows]) > 0:  # of one label or score there is no statistic
            differences.append(statistic(gold[rows], second[rows]) - statistic(gold[rows], first[rows]))
    if not differences:
        return 0.0, 0.0, 1.0
    drawn = np.array(differences)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    rarer = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return float(low), float(high), min(1.0, 2 * (float(rarer) + 1) / (len(drawn) + 1))


def spearman(gold: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the rank correlation, equal values having their mean rank; both of shape (n,).

    Example:
        >>> import numpy as np
        >>> round(spearman(np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.9, 0.5])), 3)
        0.5
    """
    left, right = _ranks(gold), _ranks(values)
    left, right = left - left.mean(), right - right.mean()
    scale = float(np.sqrt((left @ left) * (right @ right)))
    return float(left @ right) / scale if scale else 0.0


def average_precision(labels: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the mean precision at the rows labeled 1, by falling value; both of shape (n,).

    Example:
        >>> import numpy as np
        >>> average_precision(np.array([1.0, 0.0, 1.0]), np.array([0.9, 0.8, 0.7]))
        0.8333333333333333
    """
    ordered = labels[np.argsort(-values, kind="stable")] == 1
    if not ordered.any():
        return 0.0
    return float((np.cumsum(ordered) / np.arange(1, len(ordered) + 1))[ordered].mean())


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: NDArray[np.float64] = (ends - (counts - 1) / 2)[places]
    return middle
