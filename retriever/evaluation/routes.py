"""Evaluates what is served: every route of an opened index on one data set, with ceiling, latency and degradation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.messages import Message
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.data.trec import Run
from quarry.retriever.evaluation.ceiling import Ceiling, candidate_ceiling
from quarry.retriever.evaluation.evaluate import Evaluation, evaluate
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.evaluation.saved import Meta, Questions, SavedEvaluation
from quarry.retriever.ranking import Ranking, Route
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher, SearchOptions

ROUTES: tuple[Route, ...] = ("bm25", "dense", "hybrid")
RERANKED = "+rerank"
DEPTH = 100  # documents per query; R@100 is the deepest measure in common use
_PATIENT_MS = 3_600_000.0  # an evaluation waits for what a search would give up on


@dataclass(frozen=True, slots=True)
class RouteEvaluation:
    """One route on one data set.

    Attributes:
        route: `bm25`, `dense`, `hybrid`, or one of these with `+rerank`.
        evaluation: Measures per query and their means.
        run: Documents per query, best first.
        ceiling: What perfect reranking of stage one's candidates would reach in the first measure.
        milliseconds: Mean time per query of each stage that ran.
        degraded: Distinct losses of stages that did not fully run; empty when all queries got full answers.
    """

    route: str
    evaluation: Evaluation
    run: Run
    ceiling: Ceiling
    milliseconds: dict[str, float]
    degraded: tuple[Message, ...]

    def saved(self, searcher: Searcher, dataset: Dataset) -> SavedEvaluation:
        """Return what `save_evaluation` keeps."""
        route, _, rerank = self.route.partition("+")
        facts = searcher.index.manifest.embedder
        spec = facts.to_spec() if facts else None
        more: dict[str, str | float] = {f"{stage}_ms": value for stage, value in self.milliseconds.items()}
        more |= {"ceiling": self.ceiling.value, "ceiling_recall": self.ceiling.recall}
        meta = Meta(
            dataset=dataset.name,
            split=dataset.split,
            dataset_digest=dataset.digest,
            generation=searcher.index.generation,
            model=f"{spec.model} {spec.revision}" if spec else "",
            route=route,
            rerank=rerank or "none",
            depth=self.ceiling.depth if rerank else 0,
            more=more,
            losses=self.degraded,
        )
        questions = Questions(dataset.queries, dataset.qrels, dataset.metadata)
        return SavedEvaluation(meta, self.evaluation, self.run, questions)


def route_options(route: str, rerank_depth: int) -> SearchOptions:
    """Turn a route's name into search options, without time limits.

    Raises:
        SettingsError: If the name is unknown.
    """
    first = next((name for name in ROUTES if name == route.removesuffix(RERANKED)), None)
    if first is None:
        known = [*ROUTES, *(f"{name}{RERANKED}" for name in ROUTES)]
        raise SettingsError(
            "evaluation.unknown_route",
            "unknown route {route}",
            expected="one of {known}",
            route=repr(route),
            known=known,
        )
    return SearchOptions(
        route=first,
        rerank=route.endswith(RERANKED),
        rerank_depth=rerank_depth,
        rerank_budget_ms=_PATIENT_MS,
        dense_budget_ms=_PATIENT_MS,
    )


def evaluate_route(
    searcher: Searcher, dataset: Dataset, route: str, measures: Sequence[Measure], *, rerank_depth: int = 50
) -> RouteEvaluation:
    """Ask all judged queries by one route and measure the documents that come out.

    Raises:
        SettingsError: If the route is unknown.
        CorpusError: If no query has a relevant document.
        ModelError: If a reranked route is asked for and there is no reranker.
    """
    options = route_options(route, rerank_depth)
    rankings, run = document_run(searcher, dataset.queries, DEPTH, options)
    _check_reranked(route, options, rankings)
    first = run
    if options.rerank:
        _, first = document_run(searcher, dataset.queries, DEPTH, replace(options, rerank=False))
    return RouteEvaluation(
        route=route,
        evaluation=evaluate(run, dataset.qrels, measures, queries=dataset.queries),
        run=run,
        ceiling=candidate_ceiling(first, dataset.qrels, rerank_depth, measures[0], queries=dataset.queries),
        milliseconds=_milliseconds(rankings),
        degraded=tuple(sorted({loss for ranking in rankings for loss in ranking.degraded}, key=str)),
    )


def _check_reranked(route: str, options: SearchOptions, rankings: Sequence[Ranking]) -> None:
    """Refuse to measure a reranked route that was not reranked."""
    reports = [report for ranking in rankings for report in ranking.stages if report.stage == "rerank"]
    if options.rerank and reports and all(report.status in ("off", "missing") for report in reports):
        raise ModelError(
            "evaluation.no_reranker",
            "{route} cannot be measured: {reason}",
            do="Give a reranker with --rerank, or leave the route out",
            route=route,
            reason=reports[0].reason or reports[0].status,
        )


def _milliseconds(rankings: Sequence[Ranking]) -> dict[str, float]:
    times: dict[str, list[float]] = {}
    for ranking in rankings:
        for report in ranking.stages:
            if report.status in ("ran", "partial"):
                times.setdefault(report.stage, []).append(report.milliseconds)
    return {stage: fmean(values) for stage, values in times.items()}
