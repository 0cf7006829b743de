"""A question whose words are in no passage says so; the best score of a fusion does not look perfect."""

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.language import language_of
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder

DOCUMENTS = [
    Document("a", "The lock gate opens at noon."),
    Document("b", "水闸中午开启。"),
    Document("c", "Boats wait below."),
]


@pytest.fixture
def searcher(tmp_path):
    embedder = WordEmbedder()
    index_documents(tmp_path / "ix", DOCUMENTS, embedder, BuildOptions(analyzer="bigram"))
    return Searcher.open(tmp_path / "ix", embedder=embedder, rerank="none")


@pytest.mark.parametrize("query", ["grumph splee vantox", "囧槑烎氼"])
@pytest.mark.parametrize("route", ["hybrid", "dense"])
def test_no_known_word_is_said(searcher, query, route):
    answer = searcher.search(query, 3, SearchOptions(route=route))
    same = language_of(answer.results[0].text) == language_of(query)
    assert [notice.code for notice in answer.notices] == ["search.no_known_word" if same else "search.other_language"]
    assert answer.has_no_known_word


def test_a_known_word_is_enough(searcher):
    assert not searcher.search("grumph lock", 3).notices
