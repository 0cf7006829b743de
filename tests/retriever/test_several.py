"""Several indexes in one search: hits are merged by strength, and each names its index."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.indexer.build import index_documents
from quarry.indexer.errors import EmptyQuery, UnknownFilter
from quarry.indexer.principals import Principals
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.several import Several, names_of
from tests.fakes import WordEmbedder

WORDS = SearchOptions(route="bm25")
BOOKS = [
    Document("loans.md", "Borrow ten books for thirty days. Renew books twice online.", "Loans", {"kind": "rule"}),
    Document("hours.md", "The library opens at nine and closes at eight.", "Hours", {}),
]
PUMPS = [
    Document("valve.md", "Open the drain valve before the pump is removed.", "Valve", {"place": "hall"}),
    Document("pay.md", "The pump keeper is paid monthly for the drain valve.", "Pay", {"allow": "board"}),
]
CHINESE = [Document("借书.md", "每位读者可以借十本书，可以在网上续借两次。", "借书", {"kind": "rule"})]


@pytest.fixture
def roots(tmp_path):
    index_documents(tmp_path / "books", BOOKS, WordEmbedder())
    index_documents(tmp_path / "pumps", PUMPS, None)
    index_documents(tmp_path / "中文", CHINESE, WordEmbedder(dim=32))
    return [tmp_path / name for name in ("books", "pumps", "中文")]


@pytest.fixture
def several(roots):
    embedders = (WordEmbedder(), None, WordEmbedder(dim=32))
    return Several({root.name: Searcher.open(root, embedder=one) for root, one in zip(roots, embedders, strict=True)})


def test_each_hit_names_its_index_and_the_best_comes_from_the_one_that_answers(several):
    for question, index, doc_id in (
        ("how often can I renew books online", "books", "loans.md"),
        ("which drain valve for the pump", "pumps", "valve.md"),
        ("图书可以在网上续借几次", "中文", "借书.md"),
    ):
        answer, fit = several.search(question, 4)
        first = answer.results[0]
        assert (first.index, first.doc_id, first.rank) == (index, doc_id, 1)
        assert [hit.rank for hit in answer.results] == list(range(1, len(answer.results) + 1))
        assert len(fit.hits) == len(answer.results) <= 4
        assert fit.hits[0].value == max(each.value for each in fit.hits)
        for name, searcher in several.searchers.items():
            alone = [hit.chunk_id for hit in searcher.search(question, 10).results]
            mine = [hit.chunk_id for hit in answer.results if hit.index == name]
            assert mine == alone[: len(mine)]
        assert all(name in answer.generation for name in ("books", "pumps", "中文"))


def test_what_one_index_lacks_is_said_with_its_name(several):
    answer, _ = several.search("drain valve books")
    assert any(str(loss).startswith("dense: pumps: this index has no vectors") for loss in answer.degraded)
    assert not any("books: this index" in str(loss) for loss in answer.degraded)


def test_a_filter_finds_nothing_in_an_index_without_the_metadata(several):
    answer, _ = several.search("books", 10, SearchOptions(filters={"kind": "rule"}))
    assert {hit.index for hit in answer.results} == {"books", "中文"}
    with pytest.raises(UnknownFilter):
        several.search("books", 10, SearchOptions(filters={"colour": "red"}))
    with pytest.raises(EmptyQuery):
        several.search(" ")


def test_who_asks_counts_in_every_index(several):
    for names, seen in (("board", True), ("ann", False)):
        answer, _ = several.search("pump keeper paid", 10, SearchOptions(route="bm25", principals=Principals.of(names)))
        assert ("pay.md" in {hit.doc_id for hit in answer.results}) is seen


def test_a_result_inside_of_another_ones_section_still_names_it(several):
    answer, _ = several.search("books", 10, SearchOptions(expand="section"))
    for hit in answer.results:
        assert hit.within is None or answer.results[hit.within - 1].index == hit.index


def test_indexes_are_named_by_their_folders_or_by_their_paths():
    assert list(names_of([Path("a/x"), Path("b/x"), Path("c"), Path("c")])) == ["a/x", "b/x", "c"]


def test_the_command_merges(roots):
    command = ["search", str(roots[1]), "renew books online", "--also", str(roots[0]), "--route", "bm25"]
    shown = CliRunner().invoke(cli, command)
    assert shown.exit_code == 0
    assert "books: loans.md, characters 0-" in shown.stdout
    found = json.loads(CliRunner().invoke(cli, [*command, "--json"]).stdout)
    assert found["results"][0]["index"] == "books"
    assert len(found["strengths"]) == len(found["results"])
    assert CliRunner().invoke(cli, [*command, "--generation", "000001"]).exit_code == 2
