"""Passages to documents: best passage first, order kept."""

import pytest

from quarry.retriever.ranking import Hit, Query, Ranking
from quarry.retriever.shown.collapse import by_document

QUERY = Query("q", "q")


def ranking(*pairs):
    return Ranking(QUERY, tuple(Hit(chunk, score, "fusion") for chunk, score in pairs))


def doc_of(chunk_id):
    return chunk_id.rpartition("#")[0]


def test_best_passage_stands_for_its_document():
    hits = ranking(("a#0-9", 0.9), ("b#0-9", 0.8), ("a#9-18", 0.7), ("c#0-9", 0.6))
    assert by_document(hits, doc_of, 10) == [("a", 0.9), ("b", 0.8), ("c", 0.6)]


def test_order_of_a_reranked_head_is_kept():
    hits = ranking(("a#0-9", -3.5), ("b#0-9", 0.03))  # a: rerank logit, b: fused score of the tail
    assert by_document(hits, doc_of, 10) == [("a", -3.5), ("b", 0.03)]


def test_at_most_k_documents():
    assert by_document(ranking(("a#0-9", 3), ("b#0-9", 2), ("c#0-9", 1)), doc_of, 2) == [("a", 3), ("b", 2)]


def test_nothing_gives_nothing():
    assert by_document(ranking(), doc_of, 3) == []


def test_k_below_1():
    with pytest.raises(ValueError, match="k is 0; expected at least 1"):
        by_document(ranking(), doc_of, 0)
