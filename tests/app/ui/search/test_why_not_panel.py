""" "Why is my document not here?" on the search page, in both languages."""

from dataclasses import replace

import pytest

from quarry.indexer.messages import Message
from quarry.retriever.why_not.changes import Change
from quarry.retriever.why_not.document import Wanted
from quarry.retriever.why_not.loss import Loss
from quarry.retriever.why_not.report import WhyNot
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
    assert "No document of the index has this name" in texts(page)
    assert "**such**" not in texts(page)


@pytest.mark.parametrize(("language", "question"), [("en", "several documents (2)"), ("zh", "有 2 个文档")])
def test_a_name_of_several_documents_offers_them(tmp_path, monkeypatch, language, question):
    page = asked(tmp_path, monkeypatch, language, "reading room", "pharmacy")
    assert not page.exception and not page.error
    assert question in texts(page)
    offered = [button for button in page.button if (button.key or "").startswith("why-not-name-")]
    assert len(offered) == 2
    offered[1].click().run()
    assert not page.exception
    assert page.text_input(key="why-not").value == "documents/en/pharmacy-2.pptx"
    assert "Pharmacy" in texts(page) and question not in texts(page)


def test_a_name_that_is_nearly_right_offers_what_is_alike(tmp_path, monkeypatch):
    page = asked(tmp_path, monkeypatch, "zh", "阅览室", "素数 (1)")
    assert "是不是其中一个？" in texts(page) and "索引中没有这个名称的文档。" in texts(page)
    next(button for button in page.button if button.key == "why-not-name-0").click().run()
    assert not page.exception
    assert page.text_input(key="why-not").value == "documents/zh/素数-2.pdf"


def test_a_change_that_the_page_cannot_ask_for_has_no_button(tmp_path, monkeypatch):
    def deeper(_searcher, search, _document):
        options = replace(search.options, rerank_depth=70)
        lost = Loss("rerank", Message.plain("the second stage reads 50 passages"))
        step = Message.of("search.rerank_deeper", "Let the second stage read {depth} passages", depth=70)
        return WhyNot(search, Wanted("a", ("a",), "a"), lost, Change((step,), replace(search, options=options), 3))

    monkeypatch.setattr("quarry.app.documents.why_not.explain_missing", deeper)
    page = asked(tmp_path, monkeypatch, "en", "reading room", "a")
    assert "Let the second stage read 70 passages" in page.success[0].value
    assert not [button for button in page.button if button.key == "why-not-apply"]
