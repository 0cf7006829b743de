"""How good an answer could become if the candidates of stage one were reranked perfectly. It reranks nothing itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quarry.retriever.data.trec import Qrels, Run
from quarry.retriever.evaluation.evaluate import exclusions
from quarry.retriever.evaluation.measures import Grades, Measure
from quarry.retriever.ranking import Query


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The best value that reranking the first `depth` candidates can reach.

    Attributes:
        measure: Its name.
        depth: How many candidates are reranked.
        value: Mean over queries, in [0, 1].
        recall: Mean share of the relevant documents that are among the first `depth`.
        per_query: Query id to best value.
    """

    measure: str
    depth: int
    value: float
    recall: float
    per_query: Mapping[str, float]


def candidate_ceiling(
    stage_one_run: Run, qrels: Qrels, depth: int, measure: Measure, *, queries: Sequence[Query] | None = None
) -> Ceiling:
    """Return what a perfect reranker of stage one's first `depth` documents would reach.

    The rest of the ranking stays behind them, as it does when a search is served, so no reranking of that depth can
    be above the ceiling in any measure of relevance (Judged is not one).

    Args:
        stage_one_run: Documents per query before reranking, best first. A query that is not in it has ceiling 0.
        qrels: Judgements.
        depth: How many documents the reranker sees, at least 1.
        measure: The measure whose ceiling is wanted.
        queries: Which to count; all judged ones when not given. Those without a relevant document are left out, as in
            `evaluate`.

    Raises:
        ValueError: If depth < 1, or no query has a relevant document.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}; expected at least 1")
    asked = list(qrels) if queries is None else [query.query_id for query in queries]
    excluded = exclusions(qrels, asked)
    scored = [query_id for query_id in asked if query_id not in excluded]
    if not scored:
        raise ValueError(f"none of {len(asked)} queries has a relevant document; expected at least one")
    candidates = {query_id: [doc_id for doc_id, _ in stage_one_run.get(query_id, ())] for query_id in scored}
    best = {
        query_id: measure.of(_perfect(candidates[query_id], qrels[query_id], depth), qrels[query_id])
        for query_id in scored
    }
    found = Measure("R", depth)
    return Ceiling(
        measure=str(measure),
        depth=depth,
        value=sum(best.values()) / len(scored),
        recall=sum(found.of(candidates[query_id], qrels[query_id]) for query_id in scored) / len(scored),
        per_query=best,
    )


def _perfect(ranking: Sequence[str], grades: Grades, depth: int) -> list[str]:
    unique = list(dict.fromkeys(ranking))
    return sorted(unique[:depth], key=lambda doc_id: -grades.get(doc_id, 0)) + unique[depth:]
