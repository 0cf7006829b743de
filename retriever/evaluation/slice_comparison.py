"""Two evaluations compared within each language, length or metadata value of the queries, corrected for being several."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from quarry.retriever.evaluation.compare import Comparison, compare, holm
from quarry.retriever.evaluation.evaluate import Evaluation
from quarry.retriever.evaluation.slices import slices
from quarry.retriever.ranking import Query


def compare_slices(
    before: Evaluation,
    after: Evaluation,
    measure: str,
    by: str,
    queries: Sequence[Query],
    metadata: Mapping[str, Mapping[str, str]],
) -> dict[str, Comparison]:
    """Compare two evaluations slice by slice; p values are corrected by Holm's method for the number of slices.

    Args:
        before: The one to beat.
        after: The other, on the same judgements.
        measure: A measure that both have.
        by: `language`, `length`, or a metadata field, as for `slices`.
        queries: The texts of all scored queries.
        metadata: Query id to its fields.

    Returns:
        Slice name to comparison, in the order of `slices`; slices without a query in both are left out.

    Raises:
        ValueError: As `slices` and `compare`.
        CorpusError: As `compare`.
    """
    found: dict[str, Comparison] = {}
    for part in slices(before, queries, by, metadata=metadata):
        shared = [query_id for query_id in part.query_ids if query_id in after.per_query]
        if shared:
            found[part.name] = compare(_only(before, shared), _only(after, shared), measure)
    adjusted = holm([comparison.p for comparison in found.values()])
    return {
        name: replace(comparison, p_adjusted=p, compared=len(found))
        for (name, comparison), p in zip(found.items(), adjusted, strict=True)
    }


def _only(evaluation: Evaluation, query_ids: Sequence[str]) -> Evaluation:
    return replace(evaluation, per_query={query_id: evaluation.per_query[query_id] for query_id in query_ids})
