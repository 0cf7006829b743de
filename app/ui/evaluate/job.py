"""An evaluation in the background: search methods of an index on a data set, each saved once it is measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from quarry.app.ui.shared.jobs import Job
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.evaluation.routes import RERANKED, RouteEvaluation, evaluate_route
from quarry.retriever.evaluation.saved import save_evaluation
from quarry.retriever.ranking import Query, Ranking
from quarry.retriever.searcher import Searcher, SearchOptions

# Questions between two looks at the stop button; encoding more at once gains little on a CPU.
_BATCH = 8
_NAME_CHARS = 40  # of the data set, so that a folder's name stays below 255 bytes in Chinese too


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """An evaluation to run.

    Attributes:
        dataset: Queries and judgements.
        routes: Names from `quarry.retriever.evaluation.routes`; the first is the baseline.
        measures: Metrics to compute; the first is the main one.
        rerank_depth: Number of candidates to rerank, at least 1.
        into: The folder of saved evaluations.
    """

    dataset: Dataset
    routes: tuple[str, ...]
    measures: tuple[Measure, ...]
    rerank_depth: int
    into: Path


def run_evaluation(job: Job, searcher: Searcher, order: EvaluationOptions) -> tuple[str, ...]:
    """Evaluate every search method and save each one as it finishes.

    Returns:
        The names of the saved folders below `order.into`, in the order of the routes.

    Raises:
        JobCancelledError: If the job was asked to stop; finished methods stay saved.
        SearchError: From `evaluate_route` and `save_evaluation`.
    """
    asked = len(order.dataset.queries)
    total = sum(asked * (2 if route.endswith(RERANKED) else 1) for route in order.routes)  # with and without reranking
    watched = _WatchedSearcher(searcher, job, total)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    names = []
    for route in order.routes:
        watched.route = route
        found = evaluate_route(watched, order.dataset, route, order.measures, rerank_depth=order.rerank_depth)
        data, generation = order.dataset, searcher.index.generation
        name = f"{stamp}-{data.name[:_NAME_CHARS]}-{data.split[:_NAME_CHARS]}-{route}-{generation}"
        _save(found, searcher, order, name)
        names.append(name)
    return tuple(names)


def _save(found: RouteEvaluation, searcher: Searcher, order: EvaluationOptions, name: str) -> None:
    data, saved = order.dataset, found.saved(searcher, order.dataset)
    counts = {"unjudged": len(data.unjudged), "without_query": len(data.without_query), "repeated": len(data.repeated)}
    meta = replace(saved.meta, more={**saved.meta.more, **counts})
    save_evaluation(order.into / name, replace(saved, meta=meta))


class _WatchedSearcher(Searcher):
    """A searcher that works in small batches and reports after each."""

    def __init__(self, searcher: Searcher, job: Job, total: int) -> None:
        self.index = searcher.index
        self.route = ""
        self._searcher, self._job = searcher, job
        self._done, self._total = 0, total

    def rank(self, queries: Sequence[Query], k: int, options: SearchOptions = SearchOptions()) -> list[Ranking]:
        """Rank like the wrapped searcher."""
        rankings: list[Ranking] = []
        for start in range(0, len(queries), _BATCH):
            self._job.report(self._done, self._total, self.route)
            part = queries[start : start + _BATCH]
            rankings.extend(self._searcher.rank(part, k, options))
            self._done += len(part)
        self._job.report(self._done, self._total, self.route)
        return rankings
