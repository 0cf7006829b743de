"""Cuts an evaluation by language, length or metadata of its queries, and compares two within each slice.

It computes no measure anew; p values are corrected for the number of slices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from quarry.indexer.language import language_of, length_in_words
from quarry.retriever.evaluation.compare import Comparison, compare, holm
from quarry.retriever.evaluation.evaluate import Evaluation, Mean, means_of
from quarry.retriever.ranking import Query

_LENGTHS = ((5, "1-5"), (10, "6-10"), (20, "11-20"))  # words, or Chinese characters
_LONGER = "21+"
_NO_VALUE = "(none)"


@dataclass(frozen=True, slots=True)
class Slice:
    """The queries that have one value of a property.

    Attributes:
        name: The value: `zh`, `6-10`, or the metadata's own; `(none)` for queries without it.
        query_ids: Which queries, in the evaluation's order.
        means: Measure name to mean and interval over these queries.
    """

    name: str
    query_ids: tuple[str, ...]
    means: Mapping[str, Mean]


def slices(
    evaluation: Evaluation,
    queries: Sequence[Query],
    by: str,
    *,
    metadata: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[Slice, ...]:
    """Cut an evaluation by a property of its queries; every scored query is in exactly one slice.

    Args:
        evaluation: What is cut.
        queries: The texts; must include every scored query.
        by: `language`, `length` (in words or Chinese characters), or a metadata field.
        metadata: Query id to its fields; only for a metadata field. A field named `language` or `length` in it wins
            over the computed property.

    Returns:
        Slices by length in order of length, others largest first, then by name; empty ones are left out.

    Raises:
        ValueError: If a scored query has no text, or no query has the metadata field.
    """
    texts = {query.query_id: query.text for query in queries}
    absent = [query_id for query_id in evaluation.per_query if query_id not in texts]
    if absent:
        raise ValueError(f"{len(absent)} scored queries have no text (first {absent[0]!r}); expected all of them")
    names = _names(texts, by, metadata or {})
    groups: dict[str, list[str]] = {}
    for query_id in evaluation.per_query:
        groups.setdefault(names.get(query_id, _NO_VALUE), []).append(query_id)
    order = [name for _, name in _LENGTHS] + [_LONGER]
    ordered = sorted(groups, key=lambda name: (order.index(name) if name in order else 0, -len(groups[name]), name))
    return tuple(_slice(evaluation, name, groups[name]) for name in ordered)


def _names(texts: Mapping[str, str], by: str, metadata: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    given = {query_id: fields[by] for query_id, fields in metadata.items() if by in fields}
    if given:
        return given
    if by == "language":
        return {query_id: language_of(text) for query_id, text in texts.items()}
    if by == "length":
        return {query_id: _length(text) for query_id, text in texts.items()}
    fields = sorted({name for row in metadata.values() for name in row})
    raise ValueError(f"no query has the field {by!r}; there are language, length{''.join(f', {f}' for f in fields)}")


def _length(text: str) -> str:
    words = length_in_words(text)
    return next((name for most, name in _LENGTHS if words <= most), _LONGER)


def _slice(evaluation: Evaluation, name: str, query_ids: Sequence[str]) -> Slice:
    rows = {query_id: evaluation.per_query[query_id] for query_id in query_ids}
    return Slice(name, tuple(query_ids), means_of(rows, evaluation.measures))


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
