"""The page Documents: rows and sentences in both languages, passages, the original, and taking documents out after a look."""

import pytest

from quarry.app.documents.catalog import Listing, list_documents, show_document
from quarry.app.ui.documents import presenter as shown
from quarry.app.ui.shared.jobs import board
from quarry.app.watched import watched
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.opened import Index
from tests.app.cli.watched_folders import wait_for
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import POISON, demo_index, markdown, open_page, texts


@pytest.fixture
def index(tmp_path):
    return demo_index(tmp_path)


def test_rows_are_in_both_languages(index):
    listing = list_documents(index, words="开放时间")
    (row,) = shown.document_rows(listing.documents, chinese)
    assert (row["标题"], row["类型"], row["语言"], row["段落"]) == ("开放时间", "markdown", "中文", 1)
    assert shown.document_rows(listing.documents, english)[0]["Language"] == "Chinese"
    assert shown.range_words(listing, english) == "1 to 1 of 1 document"
    assert shown.range_words(Listing((), 0, 0), chinese) == "没有符合条件的文档。"
    assert shown.left_out({"scanned_pages": 2, "menus": 1}, english) == "2 pages that are pictures, 1 menu of a page"
    assert shown.left_out({"scanned_pages": 2, "menus": 1}, chinese) == "2 页是图片、1 个网页菜单"


@pytest.mark.parametrize(("count", "text"), [(None, ""), (27, "27 B"), (12_400, "12 kB"), (3_210_000, "3.2 MB")])
def test_sizes_are_in_units(count, text):
    assert shown.size(count) == text


def test_facts_of_a_document_hold_its_metadata_as_text(index):
    document = show_document(index, "more/poison.md")
    rows = {row["Fact"]: row["Value"] for row in shown.fact_rows(document, english)}
    assert rows["Id"] == "more/poison.md"
    assert rows["Source"] == "more/poison.md"
    assert shown.passage_words(document.passages[0], 1, 1, chinese).startswith("第 1 段，共 1 段")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_list_is_filtered_and_what_matches_is_taken_out_after_a_yes(index, monkeypatch, language):
    at = open_page(index, monkeypatch, "documents", language)
    assert not at.exception
    assert ("1 to 70 of 70 documents" if language == "en" else "第 1 至 70 个，共 70 个文档") in texts(at)
    assert POISON not in markdown(at)
    at.text_area(key="documents.where").input("source=more/*").run()
    assert at.button(key="documents.remove").disabled
    at.button(key="documents.remove_all").click().run()
    assert ("2 documents would be taken out." if language == "en" else "将从索引中去掉 2 个文档。") in texts(at)
    at.button(key="documents.no").click().run()
    assert Index.open(index).manifest.documents == 70
    at.button(key="documents.remove_all").click().run()
    at.button(key="documents.yes").click().run()
    assert not at.exception
    assert Index.open(index).manifest.documents == 68


def test_a_document_is_shown_with_its_passages_and_its_file_can_be_saved(index, monkeypatch):
    at = open_page(index, monkeypatch, "documents")
    at.text_input(key="documents.name").input("wolpertinger").run()
    assert "No document matches." in texts(at)
    at.text_input(key="documents.name").input("poison").run()
    at.selectbox(key="documents.show").select("more/poison.md").run()
    assert not at.exception
    assert any("The wolpertinger is a hare with antlers." in code.value for code in at.code)
    assert POISON not in markdown(at)
    assert "Passage 1 of 1" in texts(at)
    assert any("original" in str(element.key) for element in at.get("download_button"))


def test_a_condition_that_is_none_is_told(index, monkeypatch):
    at = open_page(index, monkeypatch, "documents")
    at.text_area(key="documents.where").input("no condition").run()
    assert "The documents cannot be listed." in texts(at)
    assert not at.exception


@pytest.mark.parametrize(("language", "says"), [("en", "has no documents yet"), ("zh", "还没有文档")])
def test_an_index_without_documents_says_so_instead_of_no_match(tmp_path, monkeypatch, language, says):
    index_documents(tmp_path / "index", [], None, BuildOptions(allow_empty=True))
    at = open_page(tmp_path / "index", monkeypatch, "documents", language)
    assert says in texts(at)
    assert "No document matches." not in texts(at)
    assert not [button for button in at.button if button.key == "documents.remove"]
    at.text_input(key="documents.name").set_value("loans").run()
    assert ("No document matches." if language == "en" else "没有符合条件的文档。") in texts(at)
    assert not at.exception


@pytest.mark.parametrize(
    ("language", "before", "during"), [("en", "Nobody watches", "Watched since"), ("zh", "没有监视", "起受到监视")]
)
def test_the_folders_are_watched_from_the_page_and_a_new_file_appears(tmp_path, monkeypatch, language, before, during):
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    (docs / "loans.md").write_text("# Loans\n\nTen books for thirty days. 十本书。", encoding="utf-8")
    build_index(index, [docs], None, BuildOptions())
    at = open_page(index, monkeypatch, "documents", language)
    assert before in texts(at)
    at.button(key="documents.watch").click().run()
    wait_for(lambda: watched(index))
    assert during in texts(at.run())
    assert str(docs) in texts(at)
    (docs / "fees.md").write_text("# Fees\n\nTen cents a day. 每天一角。", encoding="utf-8")
    wait_for(lambda: Index.open(index).manifest.documents == 2)
    assert "fees" in str(at.run().dataframe[0].value)
    at.button(key="documents.unwatch").click().run()
    wait_for(lambda: watched(index) is None)
    wait_for(lambda: board(index).latest("watch").state == "done")
    assert before in texts(at.run())
    assert not at.exception
