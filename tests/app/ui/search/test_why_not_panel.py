""" "Why is my document not here?" on the search page, in both languages."""

import pytest

from tests.app.ui.pages_support import demo_index, open_page, texts


def asked(tmp_path, monkeypatch, language, query, name):
    page = open_page(demo_index(tmp_path), monkeypatch, "search", language)
    page.text_input(key="q").set_value(query)
    next(button for button in page.button if button.label in ("Search", "搜索")).click().run()
    return page.text_input(key="why-not").set_value(name).run()


@pytest.mark.parametrize(
    ("language", "query", "name", "said", "label"),
    [
        ("en", "reading room -antlers", "wolpertinger", "which the question leaves out", "Search like this"),
        ("zh", "阅览室 -开放", "开放时间", "查询所排除", "这样检索"),
    ],
)
def test_the_change_is_told_and_carried_out_by_a_click(tmp_path, monkeypatch, language, query, name, said, label):
    page = asked(tmp_path, monkeypatch, language, query, "开放时间" if language == "zh" else "poison.md")
    assert not page.exception
    assert said in texts(page), name
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception
    assert "-" not in page.text_input(key="q").value


def test_a_document_that_is_not_there_is_a_sentence_and_no_markup_of_the_name_is_drawn(tmp_path, monkeypatch):
    page = asked(tmp_path, monkeypatch, "en", "reading room", "<b>no</b> **such** file")
    assert not page.exception
    assert "no document of the index has this name" in texts(page)
    assert "**such**" not in texts(page)
