"""Averages of task scores, as mteb's leaderboard and the papers compute them.

A task's score is the mean over its subsets. A kind's average is the mean over its tasks, the overall average the mean over all tasks
(`Mean (Task)`); `Mean (TaskType)` is the mean over the kinds' averages. The twelve forums of CQADupstack are one task.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

# kinds in the order of the papers' tables
KIND_ORDER = (
    "Retrieval", "Clustering", "PairClassification", "Reranking", "STS", "Summarization", "Classification", "BitextMining",
)  # fmt: skip  # a list
_FORUMS = "CQADupstack"
_FORUMS_TASK = "CQADupstackRetrieval"


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One score of a task.

    Attributes:
        task: mteb's name.
        kind: mteb's kind.
        score: Main score times 100.
        subset: `default`, or a language.
    """

    task: str
    kind: str
    score: float
    subset: str = "default"


@dataclass(frozen=True, slots=True)
class Averages:
    """Averages of a model's scores, times 100.

    Attributes:
        overall: Over all tasks.
        over_kinds: Over the kinds' averages.
        kinds: Kind to its average, in the papers' order.
        counts: Kind to its number of tasks.
        tasks: Task to its score, by kind and name.
    """

    overall: float
    over_kinds: float
    kinds: Mapping[str, float]
    counts: Mapping[str, int]
    tasks: Mapping[str, float]


def averages(scores: Iterable[TaskScore]) -> Averages:
    """Return the averages.

    Args:
        scores: At least one.

    Raises:
        ValueError: If there is none.

    Example:
        >>> found = averages([TaskScore("STS12", "STS", 70.0), TaskScore("STS13", "STS", 80.0), TaskScore("NQ", "Retrieval", 45.0)])
        >>> found.kinds, found.overall, found.over_kinds
        ({'Retrieval': 45.0, 'STS': 75.0}, 65.0, 60.0)
    """
    by_task: dict[tuple[str, str], list[float]] = defaultdict(list)
    for score in scores:
        by_task[score.kind, score.task].append(score.score)
    if not by_task:
        raise ValueError("there are no scores; expected at least one")
    tasks = _one_for_the_forums({key: fmean(values) for key, values in by_task.items()})
    order = sorted({kind for kind, _ in tasks}, key=lambda kind: (_rank(kind), kind))
    by_kind = {kind: [value for (own, _), value in tasks.items() if own == kind] for kind in order}
    kinds = {kind: fmean(values) for kind, values in by_kind.items()}
    return Averages(
        overall=fmean(tasks.values()),
        over_kinds=fmean(kinds.values()),
        kinds=kinds,
        counts={kind: len(values) for kind, values in by_kind.items()},
        tasks={
            name: value for (_, name), value in sorted(tasks.items(), key=lambda item: (_rank(item[0][0]), item[0]))
        },
    )


def _one_for_the_forums(tasks: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Leave out the forums of CQADupstack; their mean stands in where the task itself has no score."""
    forums = {key: value for key, value in tasks.items() if key[1].startswith(_FORUMS) and key[1] != _FORUMS_TASK}
    found = {key: value for key, value in tasks.items() if key not in forums}
    whole = ("Retrieval", _FORUMS_TASK)
    if len(forums) == 12 and whole not in found:
        found[whole] = fmean(forums.values())
    return found if whole in found else tasks


def _rank(kind: str) -> int:
    return KIND_ORDER.index(kind) if kind in KIND_ORDER else len(KIND_ORDER)
