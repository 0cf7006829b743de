"""From a ranking of passages to one of documents; it makes no new order: the best passage stands for its document."""

from collections.abc import Callable

from quarry.retriever.ranking import Ranking


def by_document(ranking: Ranking, doc_of: Callable[[str], str], k: int) -> list[tuple[str, float]]:
    """Return the best passage's score per document, best first.

    The order of the ranking is kept as it is: after reranking, scores of the reranked head and of the tail come from
    different stages and must not be sorted together.

    Args:
        ranking: Passages, best first.
        doc_of: The document of a chunk id; raises KeyError for an unknown one.
        k: At most this many documents. Retrieve more than k passages when documents have many.

    Returns:
        Pairs of document id and score, no document twice, at most k; empty for an empty ranking.

    Raises:
        ValueError: If k < 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    best: dict[str, float] = {}
    for hit in ranking.hits:
        best.setdefault(doc_of(hit.chunk_id), hit.score)
        if len(best) == k:
            break
    return list(best.items())
