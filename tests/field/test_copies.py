"""Copies of a passage are one result that names the others, and never push out what is different."""

import pytest

from quarry.app.integrations.common import passage_metadata
from quarry.indexer.build import build_index
from quarry.indexer.build.plan import BuildOptions
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.shown.copies import Told

NOTICE = "Notice on bicycles. The rack behind the mill is cleared every Friday, and the fee is thirty crowns."


def opened(tmp_path, files):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    build_index(tmp_path / "ix", [folder], None, BuildOptions(analyzer="bigram"))
    return Searcher.open(tmp_path / "ix", rerank="none")


@pytest.fixture
def searcher(tmp_path):
    files = {f"note-{n:03}.txt": NOTICE for n in range(60)}
    files["note-head.txt"] = f"From: Ann\nDate: 3 May\n\n> {NOTICE}\n\nPage 1 of 1"
    files["note-wrapped.txt"] = NOTICE.replace("cleared every", "cleared\n  every")
    files["other-fee.txt"] = NOTICE.replace("thirty", "forty")
    files["tariff.txt"] = "Tariff: bicycles that were cleared cost thirty crowns."
    return opened(tmp_path, files)


def test_copies_are_one_result_that_names_them(searcher):
    answer = searcher.search("bicycles cleared fee", 5)
    assert [result.doc_id for result in answer.results][-1] == "in/tariff.txt"
    first = answer.results[0]
    assert {result.doc_id for result in answer.results[:2]} & {"in/other-fee.txt"}
    notice = next(result for result in answer.results if len(result.copies) > 1)
    assert len(notice.copies) == 61
    assert len(answer.results) == 3
    named = {notice.doc_id, *(copy.doc_id for copy in notice.copies)}
    assert {"in/note-head.txt", "in/note-wrapped.txt", "in/note-059.txt"} <= named
    assert [result.rank for result in answer.results] == [1, 2, 3]
    assert passage_metadata(first, answer)["copies"] == [copy.source for copy in first.copies]
    assert len(answer.to_dict()["results"][0]["copies"]) == len(first.copies)


def test_copies_can_be_listed(searcher):
    answer = searcher.search("bicycles cleared fee", 10, SearchOptions(collapse=False))
    assert len(answer.results) == 10
    assert not any(result.copies for result in answer.results)


def test_an_evaluation_ranks_every_copy(searcher):
    run = document_run(searcher, [Query("q", "bicycles cleared fee")], 100, SearchOptions(route="bm25"))[1]
    assert len(run["q"]) == 64


@pytest.mark.parametrize(
    ("one", "other", "are_copies"),
    [
        ("The fee is 40.", "the  FEE is\n40.", True),
        ("停车费为四十元。", "停車費為四十元。", True),
        ("The fee is 40.", "The fee is 50.", False),
        ("The fee is 1.5.", "The fee is 15.", False),
        ("Fee: 40", "Fee: 50", False),
        ("发件人：李\n日期：5月3日\n停车费四十元。", "停车费四十元。\n第 2 页 共 3 页", True),
        ("2024-05-03", "2024-05-04", False),
    ],
)
def test_what_a_copy_is(one, other, are_copies):
    keys = {Told(text, "", "a", "in/a.txt").key() for text in (one, other)}
    assert (len(keys) == 1) is are_copies


def test_a_title_of_its_own_makes_another_passage():
    shirt, coat = (Told("Sizes: S, M, L", "", title, "goods.jsonl") for title in ("Shirt", "Coat"))
    assert shirt.key() != coat.key()
    mail, answer = (Told("Sizes: S, M, L", "", title, "goods.jsonl") for title in ("Sizes", "Re: Sizes"))
    assert mail.key() == answer.key()
