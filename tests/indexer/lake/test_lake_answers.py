"""A lake answers as an index of the same documents does, on every route, with filters, explanations and other indexes beside it."""

import pytest

from quarry.app.cli.commands.why_not import command
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import (
    BadFilter,
    IndexFormatError,
    IndexMismatchError,
    SearchError,
    UnknownFilter,
)
from quarry.indexer.opened import Index
from quarry.indexer.principals import Principals
from quarry.indexer.stores.lake.view import as_index, place_of
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.several import Several, names_of
from quarry.retriever.why_not.report import why_not
from quarry.retriever.why_not.search import Search
from tests.fakes import OverlapReranker, WordEmbedder
from tests.indexer.lake.lakes import SPEC, filled_lake, write_corpus

pytestmark = pytest.mark.usefixtures("own_cache")

QUESTIONS = [
    "renew a book",
    "续借图书",
    "打印",
    "借",
    "Title 7",
    "003.md",
    "printer filament printer filament printer",
    "printer -filament",
    '"loan fine"',
    "“到期”",
    "no such words at all",
]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """An index and a lake of the same documents, for tests that only read."""
    root = tmp_path_factory.mktemp("both")
    corpus = write_corpus(root / "corpus")
    filled_lake(root / "lake", corpus)
    build_index(root / "index", [corpus], WordEmbedder(), BuildOptions(chunking=SPEC, rerank_vectors=False))
    return root


@pytest.fixture
def searchers(both):
    return tuple(Searcher.open(both / name, embedder=WordEmbedder(), rerank="none") for name in ("index", "lake"))


@pytest.mark.parametrize("route", ["bm25", "dense", "hybrid"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_lake_answers_as_an_index_of_the_same_documents(searchers, question, route):
    mine, theirs = (searcher.search(question, 10, SearchOptions(route=route)) for searcher in searchers)
    assert [hit.chunk_id for hit in mine.results] == [hit.chunk_id for hit in theirs.results]
    assert [hit.score for hit in mine.results] == pytest.approx([hit.score for hit in theirs.results], abs=1e-4)
    assert [hit.evidence.terms for hit in mine.results] == [hit.evidence.terms for hit in theirs.results]
    assert [(hit.title, hit.text, hit.source, hit.page, dict(hit.meta)) for hit in mine.results] == [
        (hit.title, hit.text, hit.source, hit.page, dict(hit.meta)) for hit in theirs.results
    ]
    assert [(stage.stage, stage.status) for stage in mine.stages] == [
        (stage.stage, stage.status) for stage in theirs.stages
    ]
    assert mine.notices == theirs.notices


@pytest.mark.parametrize(
    "filters",
    [
        {"lang": "zh"},
        {"lang": ["zh", "en"]},
        {"source": "*00*"},
        {"modified": ">=2023-01-01"},
        {"price": ["<10", ">=3"]},
        {"price": "!=5"},
        {"tags": "odd"},
        {"TAGS": "even"},
        {"when": "2024-03"},
        {"title": "Title 1*"},
        {"doc_id": "corpus/003.md"},
        {"tags": "odd", "price": {"lt": 20}},
        {"tags": "neither"},
    ],
)
@pytest.mark.parametrize("route", ["bm25", "hybrid"])
def test_filters_let_through_what_they_do_in_an_index(searchers, filters, route):
    options = SearchOptions(filters=filters, route=route)
    mine, theirs = (searcher.search("renew 续借 book", 10, options).results for searcher in searchers)
    assert [hit.chunk_id for hit in mine] == [hit.chunk_id for hit in theirs]
    allowed = [searcher.index.chunks.matching(filters) for searcher in searchers]
    assert set(allowed[0]) == set(allowed[1])
    assert len(allowed[0]) == len(allowed[1])


def test_filters_that_cannot_be_answered_are_refused_as_in_an_index(searchers):
    for searcher in searchers:
        with pytest.raises(UnknownFilter, match="no document has the metadata colour"):
            searcher.search("book", 3, SearchOptions(filters={"colour": "red"}))
        with pytest.raises(BadFilter, match="cannot be compared"):
            searcher.search("book", 3, SearchOptions(filters={"tags": ">3"}))


def test_a_second_stage_and_an_explanation_are_the_same(both):
    found = []
    for name in ("index", "lake"):
        ranker = OverlapReranker()
        searcher = Searcher.open(both / name, embedder=WordEmbedder(), rerank=ranker)
        found.append(searcher.search("renew a book at the library", 10))
        assert ranker.passages_scored > 10
    mine, theirs = (
        [(hit.chunk_id, hit.evidence.rerank, hit.evidence.bm25.rank) for hit in one.results] for one in found
    )
    assert mine == theirs


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("renew a loan", "000.md"),
        ("图书馆续借", "rows.jsonl"),
        ("renew a laon", "Title 7"),
        ('"printer book"', "001.md"),
        ("renew", "corpus/000.md"),
        ("renew", "nothing.md"),
    ],
)
def test_why_a_document_is_missing_is_told_of_a_lake_as_of_an_index(searchers, question, document):
    mine, theirs = (why_not(searcher, Search(question, 2), document).to_dict() for searcher in searchers)
    for told in (mine, theirs):
        told.pop("remarks")  # an index knows its files, and tells when one has changed
    assert mine == theirs


def test_a_lake_is_called_by_its_address_beside_other_indexes(both):
    roots = [as_index(both / "lake"), both / "index"]
    assert names_of(roots) == {"lake": roots[0], "index": roots[1]}
    assert place_of(roots[0]) == str(both / "lake")
    found, _ = Several(
        {name: Searcher.open(root, embedder=WordEmbedder()) for name, root in names_of(roots).items()}
    ).search("renew a loan", 4)
    assert {hit.index for hit in found.results} == {"lake", "index"}
    assert "or one is a lake" in str(found.notices[-1])
    assert f"quarry search {both / 'lake'} " in command(roots[0], Search("renew", 3))


def test_a_lake_without_its_model_answers_by_words_and_says_so(both):
    answer = Searcher.open(both / "lake", rerank="none").search("renew a book", 5)
    assert answer.results
    assert [stage.status for stage in answer.stages if stage.stage == "dense"] == ["missing"]


def test_the_measurement_and_the_digest_are_those_of_the_index(both):
    index, lake = Index.open(both / "index").manifest, Index.open(both / "lake").manifest
    assert lake.corpus_sha256 == index.corpus_sha256
    assert (lake.documents, lake.chunks) == (index.documents, index.chunks)
    assert lake.probes.quality == index.probes.quality
    assert lake.probes.spread == pytest.approx(index.probes.spread, rel=1e-4)
    assert lake.probes.languages == index.probes.languages
    assert lake.probes.names.quality == index.probes.names.quality


def test_a_view_is_only_read(tmp_path):
    corpus = write_corpus(tmp_path / "corpus", files=4)
    filled_lake(tmp_path / "lake", corpus)
    view = as_index(tmp_path / "lake")
    with pytest.raises(IndexMismatchError, match="quarry lake add"):
        build_index(view, [corpus], WordEmbedder())
    index = Index.open(view)
    with pytest.raises(SearchError, match="not offered for a lake"):
        index.chunks.passages().__next__()
    with pytest.raises(IndexFormatError, match="may see a document"):
        index.seen_by(Principals.of("ann"))
