"""What a promotion changed for real users: the logged queries asked of the generation before and of the live one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quarry.retriever.evaluation.compare import Comparison, compare
from quarry.retriever.evaluation.evaluate import evaluate, exclusions
from quarry.retriever.evaluation.measures import Measure
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.feedback.judgements import query_id, query_key
from quarry.training.feedback.log import FeedbackLog

DEPTH = 10
MOST = 500  # queries: enough for an overlap to a hundredth, and minutes at most
NDCG = Measure("nDCG", DEPTH)


@dataclass(frozen=True, slots=True)
class Drift:
    """How differently the same queries are answered.

    Attributes:
        queries: How many different logged queries were asked, the newest ones.
        overlap: Mean share of the first ten documents that both have, in [0, 1].
        same_first: Share of queries with the same first document.
        moved: The queries with the smallest overlap, at most ten: text and overlap.
        judged: Both on the queries that users judged; None when none has a good answer known. These judgements were made on the
            older answers, which they favour.
    """

    queries: int
    overlap: float
    same_first: float
    moved: tuple[tuple[str, float], ...]
    judged: Comparison | None


def logged_queries(log: FeedbackLog, most: int = MOST) -> tuple[Query, ...]:
    """Return the newest different queries of the log."""
    newest: dict[str, str] = {}
    for stored in log.events():
        key = query_key(stored.event.query)
        newest.pop(key, None)
        newest[key] = stored.event.query
    return tuple(Query(query_id(text), text) for text in list(newest.values())[-most:])


def drift(
    before: Searcher,
    after: Searcher,
    queries: Sequence[Query],
    grades: Mapping[str, Mapping[str, int]],
    options: SearchOptions = SearchOptions(),
) -> Drift:
    """Ask both and compare.

    Args:
        before: The generation that answered before.
        after: The live one.
        queries: As `logged_queries` gives them.
        grades: Query text to document to grade, as `FeedbackLog.document_grades` gives it.
        options: How users search.

    Raises:
        ValueError: If there are no queries.
    """
    if not queries:
        raise ValueError("there are no logged queries; expected at least one to compare the answers of")
    runs = [document_run(searcher, queries, DEPTH, options)[1] for searcher in (before, after)]
    overlaps: dict[str, float] = {}
    same_first = 0
    for query in queries:
        old, new = ([doc_id for doc_id, _ in run[query.query_id]] for run in runs)
        overlaps[query.query_id] = len(set(old) & set(new)) / max(len(old), len(new), 1) if old or new else 1.0
        same_first += old[:1] == new[:1]
    texts = {query.query_id: query.text for query in queries}
    least = sorted(overlaps, key=lambda name: (overlaps[name], name))[:10]
    return Drift(
        queries=len(queries),
        overlap=sum(overlaps.values()) / len(queries),
        same_first=same_first / len(queries),
        moved=tuple((texts[name], overlaps[name]) for name in least if overlaps[name] < 1),
        judged=_judged(runs, queries, grades),
    )


def _judged(
    runs: Sequence[Mapping[str, Sequence[tuple[str, float]]]],
    queries: Sequence[Query],
    grades: Mapping[str, Mapping[str, int]],
) -> Comparison | None:
    qrels = {query_id(text): dict(judged) for text, judged in grades.items()}
    if len(exclusions(qrels, [query.query_id for query in queries])) == len(queries):
        return None
    before, after = (evaluate(run, qrels, [NDCG], queries=queries) for run in runs)
    return compare(before, after, str(NDCG))
