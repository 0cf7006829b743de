"""Compares two evaluations of the same queries: paired test, interval, verdict. It measures no run itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from quarry.indexer.errors import CorpusError
from quarry.indexer.messages import Message
from quarry.retriever.evaluation.bootstrap import mean_intervals, randomisation_p
from quarry.retriever.evaluation.evaluate import Evaluation

Verdict: TypeAlias = Literal["better", "worse", "no difference shown", "too few queries"]

ALPHA = 0.05
RESAMPLES = 10_000
# On simulated nDCG@10 differences the 95 % interval covers 0.84 of the time at 10 queries, 0.90 at 15, 0.91 at 20,
# 0.94 at 50; wrong verdicts between equal systems stay below 0.05 everywhere. Below 20 the interval is too narrow.
MINIMUM_QUERIES = 20
TIE = 1e-9  # differences below this are rounding


@dataclass(frozen=True, slots=True)
class Comparison:
    """`after` against `before` on the queries that both scored, in one measure.

    Attributes:
        measure: Its name.
        count: How many queries are in both.
        before: Mean of `before` over these.
        after: Mean of `after` over these.
        difference: after - before.
        low: Lower end of the 95 % paired bootstrap interval of the difference.
        high: Upper end.
        p: Two-sided p of the paired randomization test.
        p_adjusted: p after Holm's correction for all comparisons made together; equal to p for a single one.
        compared: How many comparisons were made together.
        deltas: Query id to after - before.
        wins: Queries where after is better, largest gain first.
        ties: Queries where both are equal.
        losses: Queries where after is worse, largest loss first.
        only_before: Queries scored only in `before`, left out.
        only_after: Queries scored only in `after`, left out.
    """

    measure: str
    count: int
    before: float
    after: float
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    compared: int
    deltas: Mapping[str, float]
    wins: tuple[str, ...]
    ties: tuple[str, ...]
    losses: tuple[str, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Better or worse only when the corrected p is below 0.05 and the interval leaves out 0."""
        if self.count < MINIMUM_QUERIES:
            return "too few queries"
        if self.p_adjusted < ALPHA and self.low > 0:
            return "better"
        if self.p_adjusted < ALPHA and self.high < 0:
            return "worse"
        return "no difference shown"

    def message(self) -> Message:
        """Return the verdict as a sentence with the numbers behind it."""
        left_out = len(self.only_before) + len(self.only_after)
        return Message.of(
            "evaluation.comparison",
            "{verdict}: {measure} {before:.4f} -> {after:.4f}, difference {difference:+.4f} (95 % interval {low:+.4f} to "
            "{high:+.4f}), p {p:.4f}{corrected}; {wins:win|wins}, {ties:tie|ties}, {losses:loss|losses} on "
            "{count:query|queries}{left_out}.",
            verdict=_verdict_message(self.verdict),
            measure=self.measure,
            before=self.before,
            after=self.after,
            difference=self.difference,
            low=self.low,
            high=self.high,
            p=self.p,
            corrected=_corrected(self.p_adjusted, self.compared) if self.compared > 1 else "",
            wins=len(self.wins),
            ties=len(self.ties),
            losses=len(self.losses),
            count=self.count,
            left_out=_left_out(left_out) if left_out else "",
        )


def compare(
    before: Evaluation, after: Evaluation, measure: str, *, seed: int = 0, resamples: int = RESAMPLES
) -> Comparison:
    """Compare two evaluations query by query.

    Args:
        before: The one to beat.
        after: The other, on the same judgements.
        measure: A measure that both have, as `str(Measure)` prints it.
        seed: Same seed, same numbers.
        resamples: For test and interval, at least 1.

    Raises:
        CorpusError: If the judgements differ, or no query is in both.
        ValueError: If an evaluation lacks the measure, or resamples < 1.

    Example:
        >>> from quarry.retriever.evaluation.evaluate import evaluate
        >>> from quarry.retriever.evaluation.measures import Measure
        >>> from quarry.retriever.ranking import Query
        >>> queries = [Query(f"q{n}", "?") for n in range(30)]
        >>> qrels = {query.query_id: {"good": 1} for query in queries}
        >>> first = evaluate({q.query_id: [("bad", 2.0), ("good", 1.0)] for q in queries}, qrels, [Measure("RR")], queries=queries)
        >>> second = evaluate({q.query_id: [("good", 1.0)] for q in queries}, qrels, [Measure("RR")], queries=queries)
        >>> found = compare(first, second, "RR")
        >>> found.verdict, found.difference
        ('better', 0.5)
    """
    if before.qrels_digest != after.qrels_digest:
        raise CorpusError(
            "evaluation.other_judgements",
            "the evaluations use different judgements ({before} before, {after} after)",
            expected="one data set",
            do="Evaluate both runs on the same judgements",
            before=before.qrels_digest,
            after=after.qrels_digest,
        )
    old, new = before.values(measure), after.values(measure)
    shared = [query_id for query_id in old if query_id in new]
    if not shared:
        raise CorpusError(
            "evaluation.no_shared_query",
            "no query is in both evaluations ({before} before, {after} after)",
            expected="the same queries",
            do="Evaluate both runs on the same queries",
            before=len(old),
            after=len(new),
        )
    deltas = {query_id: new[query_id] - old[query_id] for query_id in shared}
    changes = np.array([delta if abs(delta) > TIE else 0.0 for delta in deltas.values()])
    low, high = mean_intervals(changes[:, None], resamples=resamples, seed=seed)
    p = randomisation_p(changes, resamples=resamples, seed=seed)
    return Comparison(
        measure=measure,
        count=len(shared),
        before=float(np.mean([old[query_id] for query_id in shared])),
        after=float(np.mean([new[query_id] for query_id in shared])),
        difference=float(changes.mean()),
        low=float(low[0]),
        high=float(high[0]),
        p=p,
        p_adjusted=p,
        compared=1,
        deltas=deltas,
        wins=_sorted_by_size(deltas, sign=1),
        ties=tuple(query_id for query_id, delta in deltas.items() if abs(delta) <= TIE),
        losses=_sorted_by_size(deltas, sign=-1),
        only_before=tuple(query_id for query_id in old if query_id not in new),
        only_after=tuple(query_id for query_id in new if query_id not in old),
    )


def compare_many(
    before: Evaluation,
    others: Mapping[str, Evaluation],
    measure: str,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Comparison]:
    """Compare several evaluations with one, and correct their p values together by Holm's method.

    Args:
        before: The one that all are compared with.
        others: Name to evaluation; may be empty.
        measure: A measure that all have.
        seed: As in `compare`.
        resamples: As in `compare`.

    Raises:
        CorpusError: As `compare`.
        ValueError: As `compare`.
    """
    found = {name: compare(before, after, measure, seed=seed, resamples=resamples) for name, after in others.items()}
    adjusted = holm([comparison.p for comparison in found.values()])
    return {
        name: replace(comparison, p_adjusted=p, compared=len(found))
        for (name, comparison), p in zip(found.items(), adjusted, strict=True)
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for being several (Holm 1979), in the order given, each at most 1.

    Raises:
        ValueError: If a value is not in [0, 1].
    """
    bad = [p for p in p_values if not 0 <= p <= 1]
    if bad:
        raise ValueError(f"p value is {bad[0]}; expected a number in [0, 1]")
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def _sorted_by_size(deltas: Mapping[str, float], *, sign: int) -> tuple[str, ...]:
    chosen = [(query_id, delta) for query_id, delta in deltas.items() if sign * delta > TIE]
    return tuple(query_id for query_id, _ in sorted(chosen, key=lambda pair: (-abs(pair[1]), pair[0])))


def _verdict_message(verdict: Verdict) -> Message:
    if verdict == "better":
        return Message.of("evaluation.better", "Better")
    if verdict == "worse":
        return Message.of("evaluation.worse", "Worse")
    if verdict == "no difference shown":
        return Message.of("evaluation.no_difference", "No difference shown")
    return Message.of("evaluation.too_few", "Too few queries (a verdict needs at least {least})", least=MINIMUM_QUERIES)


def _corrected(p: float, comparisons: int) -> Message:
    return Message.of(
        "evaluation.corrected", ", p {p:.4f} corrected for {comparisons} comparisons", p=p, comparisons=comparisons
    )


def _left_out(queries: int) -> Message:
    return Message.of(
        "evaluation.in_one_only", "; {queries} queries in only one of the two are left out", queries=queries
    )
