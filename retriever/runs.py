"""Runs: documents ranked instead of passages, for evaluation and for what asks for documents."""

from collections.abc import Sequence

from quarry.retriever.asking import can_be_asked, checked
from quarry.retriever.options import SearchOptions
from quarry.retriever.ranking import Query, Ranking
from quarry.retriever.searcher import Searcher, document_of
from quarry.retriever.shown.collapse import by_document

_PASSAGES_PER_DOCUMENT = 3  # asked for per wanted document, so that long documents do not crowd out others


def document_run(
    searcher: Searcher, queries: Sequence[Query], k: int, options: SearchOptions
) -> tuple[list[Ranking], dict[str, list[tuple[str, float]]]]:
    """Rank documents instead of passages: the best passage of a document stands for it (MaxP).

    Args:
        searcher: The opened index.
        queries: What to ask; empty ones get no documents.
        k: Documents per query.
        options: How to search.

    Returns:
        The rankings of passages, and per query id the (document id, score) pairs, best first.
    """
    asked = [checked(query)[0] for query in queries if can_be_asked(query.text)]
    rankings = searcher.rank(asked, k * _PASSAGES_PER_DOCUMENT, options)
    run: dict[str, list[tuple[str, float]]] = {query.query_id: [] for query in queries}
    for query, ranking in zip(asked, rankings, strict=True):
        run[query.query_id] = by_document(ranking, document_of, k)
    return rankings, run
