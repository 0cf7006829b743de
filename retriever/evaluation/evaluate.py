"""Measures a run against judgements: every query counts, none is dropped silently. It searches and reads nothing."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

import numpy as np

from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message
from quarry.retriever.data.trec import Qrels, Run
from quarry.retriever.evaluation.bootstrap import mean_intervals
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.ranking import Query

RESAMPLES = 2000  # the ends of the interval move by 0.0008 (standard deviation) between seeds at 300 queries
NOT_JUDGED = Message.of("evaluation.not_judged", "no judgements")
NOTHING_RELEVANT = Message.of("evaluation.nothing_relevant", "no relevant document among the judgements")
_JUDGED_DEPTH = 10

PerQuery: TypeAlias = Mapping[str, Mapping[str, float]]
"""Query id to measure name to value."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over queries with its 95 % bootstrap interval.

    Attributes:
        value: The mean.
        low: Lower end; None below two queries, where resampling says nothing.
        high: Upper end, likewise.
        count: How many queries it is over.
    """

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a run is on judged queries.

    Attributes:
        measures: Names in the order asked for; `Judged@10` is always there, last if not asked for.
        per_query: Every query that was scored, in the order asked, with every measure. All values in [0, 1].
        means: Measure name to mean and interval, over the scored queries.
        excluded: Queries that cannot be scored, with the reason; they are in no mean.
        unanswered: Scored queries for which the run has no document; they score 0 and count.
        not_asked: Queries of the run that are not among the queries asked; they are left out.
        qrels_digest: Which judgements these are (16 hex digits); only equal ones can be compared.
    """

    measures: tuple[str, ...]
    per_query: PerQuery
    means: Mapping[str, Mean]
    excluded: Mapping[str, Message]
    unanswered: tuple[str, ...]
    not_asked: tuple[str, ...]
    qrels_digest: str

    @property
    def judged(self) -> float:
        """Share of the first 10 documents that have a judgement; low values mean that good answers may be unjudged."""
        return self.means[f"Judged@{_JUDGED_DEPTH}"].value

    def values(self, measure: str) -> dict[str, float]:
        """Return query id to value of one measure.

        Raises:
            ValueError: If the measure was not computed; the message lists those that were.
        """
        if measure not in self.measures:
            raise ValueError(f"measure {measure!r} was not computed; there are {', '.join(self.measures)}")
        return {query_id: row[measure] for query_id, row in self.per_query.items()}


def evaluate(run: Run, qrels: Qrels, measures: Sequence[Measure], *, queries: Sequence[Query]) -> Evaluation:
    """Measure a run on the queries asked.

    Args:
        run: Documents per query, best first. A query that is not in it scores 0.
        qrels: Judgements; those of other queries are not used.
        measures: What to compute, at least one.
        queries: All queries that were to be answered.

    Raises:
        ValueError: If measures is empty, or a query id is a duplicate.
        CorpusError: If no query has a relevant document, or the run has queries but none of those asked (it is of
            another data set).

    Example:
        >>> from quarry.retriever.evaluation.measures import parse_measures
        >>> run = {"q1": [("d1", 2.0), ("d2", 1.0)], "q2": [("d3", 1.0)]}
        >>> found = evaluate(
        ...     run, {"q1": {"d2": 1}, "q2": {"d3": 1}}, parse_measures(["RR"]), queries=[Query("q1", "?"), Query("q2", "?")]
        ... )
        >>> found.values("RR")
        {'q1': 0.5, 'q2': 1.0}
        >>> found.means["RR"].value
        0.75
    """
    if not measures:
        raise ValueError("there are 0 measures; expected at least 1, such as nDCG@10")
    asked = _unique_ids(queries)
    excluded = exclusions(qrels, asked)
    scored = [query_id for query_id in asked if query_id not in excluded]
    _check_fit(run, asked, scored)
    wanted = tuple(dict.fromkeys([*measures, Measure("Judged", _JUDGED_DEPTH)]))
    per_query = {query_id: _score(run.get(query_id, ()), qrels[query_id], wanted) for query_id in scored}
    known = set(asked)
    return Evaluation(
        measures=tuple(str(measure) for measure in wanted),
        per_query=per_query,
        means=means_of(per_query, tuple(str(measure) for measure in wanted)),
        excluded=excluded,
        unanswered=tuple(query_id for query_id in scored if not run.get(query_id)),
        not_asked=tuple(query_id for query_id in run if query_id not in known),
        qrels_digest=qrels_digest(qrels),
    )


def exclusions(qrels: Qrels, query_ids: Sequence[str]) -> dict[str, Message]:
    """Return the queries that cannot be scored, with the reason."""
    reasons: dict[str, Message] = {}
    for query_id in query_ids:
        grades = qrels.get(query_id)
        if not grades:
            reasons[query_id] = NOT_JUDGED
        elif max(grades.values()) <= 0:
            reasons[query_id] = NOTHING_RELEVANT
    return reasons


def means_of(
    per_query: PerQuery, measures: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Mean]:
    """Return mean and bootstrap interval of each measure over the queries given.

    Raises:
        ValueError: If there is no query.
    """
    table = np.array([[row[name] for name in measures] for row in per_query.values()], dtype=np.float64)
    table = table.reshape(len(per_query), len(measures))
    low, high = mean_intervals(table, resamples=resamples, seed=seed)
    count = table.shape[0]
    return {
        name: Mean(
            value=float(table[:, column].mean()),
            low=float(low[column]) if count > 1 else None,
            high=float(high[column]) if count > 1 else None,
            count=count,
        )
        for column, name in enumerate(measures)
    }


def qrels_digest(qrels: Qrels) -> str:
    """Return 16 hex digits that are equal for equal judgements, whatever their order."""
    return sha256(json.dumps(qrels, sort_keys=True, default=dict).encode()).hexdigest()[:16]


def _unique_ids(queries: Sequence[Query]) -> list[str]:
    ids = [query.query_id for query in queries]
    if len(set(ids)) != len(ids):
        twice = sorted(query_id for query_id, times in Counter(ids).items() if times > 1)
        raise ValueError(f"duplicate query ids: {', '.join(map(repr, twice[:5]))}; expected each once")
    return ids


def _check_fit(run: Run, asked: Sequence[str], scored: Sequence[str]) -> None:
    if not scored:
        raise CorpusError(
            "evaluation.none_relevant",
            "none of the {queries} queries has a relevant document in the judgements",
            expected="at least one",
            do="Check that queries and judgements belong to the same data set",
            queries=len(asked),
        )
    if run and not any(query_id in run for query_id in asked):
        raise CorpusError(
            "evaluation.other_run",
            "the run has {queries} queries (first {first}) and none of the {asked} asked (first {first_asked})",
            expected="a run of this data set",
            do="Give the run or the data set that belongs to it",
            queries=len(run),
            first=repr(next(iter(run))),
            asked=len(asked),
            first_asked=repr(asked[0]),
        )


def _score(
    ranking: Sequence[tuple[str, float]], grades: Mapping[str, int], measures: Sequence[Measure]
) -> dict[str, float]:
    doc_ids = [doc_id for doc_id, _ in ranking]
    return {str(measure): measure.of(doc_ids, grades) for measure in measures}
