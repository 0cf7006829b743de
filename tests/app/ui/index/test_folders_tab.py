"""The tab Folders: the table, a look at what would go, and taking it out."""

import pytest

from quarry.app.ui.index.folders import folder_rows, selection_of
from quarry.app.ui.index.removal import removal_words
from quarry.indexer.build.removal import Root, Selected, Selection, list_roots
from quarry.indexer.errors import BadFilter
from quarry.indexer.opened import Index
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import demo_index, open_page, texts


@pytest.fixture
def index(tmp_path):
    return demo_index(tmp_path)


def test_the_table_says_which_folders_are_gone(index):
    rows = {row["Folder"]: row for row in folder_rows(list_roots(index), english)}
    assert (rows["more"]["Documents"], rows["more"]["Still there"]) == ("2", "✓ yes")
    row = folder_rows((Root("旧", "/gone", False, 1, 1200),), chinese)[0]
    assert (row["文件夹"], row["文档"], row["是否仍在"]) == ("旧", "1,200", "! 已不存在")


def test_the_form_becomes_a_selection():
    assert selection_of("docs", " a.txt \n\nb.txt", "lang=zh\ndate>=2024-04-01\nlang=en") == Selection(
        ("a.txt", "b.txt"), {"lang": ["zh", "en"], "date": [">=2024-04-01"]}, ("docs",)
    )
    assert selection_of(None, "", " ") == Selection()
    with pytest.raises(BadFilter):
        selection_of(None, "", "zh")


def test_what_would_go_is_put_in_words():
    found = Selected(("a", "b"), {}, ("c",), 1)
    assert removal_words(found, english)[0] == "2 documents would be taken out."
    assert removal_words(found, chinese) == [
        "将从索引中去掉 2 个文档。",
        "其中 1 个属于仍在索引中的文件夹，再次索引时会回来。",
        "没有文档使用这些编号：c",
        "a",
        "b",
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_folder_is_taken_out_after_a_yes(index, monkeypatch, language):
    at = open_page(index, monkeypatch, "index", language)
    at.selectbox(key="folders.root").select("more").run()
    at.button(key="folders.look").click().run()
    assert not at.exception
    assert ("2 documents would be taken out." if language == "en" else "将从索引中去掉 2 个文档。") in texts(at)
    at.button(key="folders.no").click().run()
    assert Index.open(index).manifest.documents == 70
    at.button(key="folders.look").click().run()
    at.button(key="folders.yes").click().run()
    assert not at.exception
    assert Index.open(index).manifest.documents == 68
    assert "more" not in [root.prefix for root in list_roots(index)]


def test_a_condition_that_is_none_and_an_unknown_one_are_named(index, monkeypatch):
    at = open_page(index, monkeypatch, "index")
    for condition in ("zh", "colour=red"):
        at.text_area(key="folders.filters").input(condition).run()
        at.button(key="folders.look").click().run()
        assert not at.exception
        assert at.error
    assert Index.open(index).manifest.documents == 70
