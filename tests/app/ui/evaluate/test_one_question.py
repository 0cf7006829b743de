"""One question under two search methods: what moved between two rankings, and the panel of the Evaluate page."""

import shutil
from dataclasses import replace

import pytest

from quarry.app.ui.evaluate.two_rankings import Side, placed, placed_html, summary_words
from quarry.retriever.searcher import Searcher
from tests.app.ui.languages import chinese, english
from tests.app.ui.pages_support import demo_index, markdown, open_page, texts


@pytest.fixture
def results(tmp_path):
    return Searcher.open(demo_index(tmp_path), rerank="none").search("the immune system", 4).results


def renumbered(results, *order):
    return [replace(results[place], rank=rank) for rank, place in enumerate(order, start=1)]


def test_each_passage_says_where_it_stands_in_the_other_ranking(results):
    left, right = renumbered(results, 0, 1, 2), renumbered(results, 2, 1, 3)

    assert [one.move(english) for one in placed(left, right)] == [
        ("only here", "not in the other list"),
        ("=", "rank 2 in the other list"),
        ("▼ 2", "rank 1 in the other list"),
    ]
    assert [one.move(chinese)[0] for one in placed(right, left)] == ["▲ 2", "=", "仅在此列"]


def test_what_two_rankings_share_is_counted(results):
    left, right = renumbered(results, 0, 1, 2), renumbered(results, 2, 1)
    one, two = placed(left, right), placed(right, left)

    assert (
        summary_words(one, two, english)
        == "In both lists: 2, of these at another rank: 1. Only left: 1. Only right: 0."
    )
    assert summary_words(placed(left, left), placed(left, left), chinese) == "两种方式找到的段落和顺序完全相同。"
    assert summary_words([], [], english) == "Neither finds a passage."
    assert summary_words(placed(left, []), [], english).endswith("Only left: 3. Only right: 0.")


def test_text_of_documents_stays_text(tmp_path):
    (result,) = Searcher.open(demo_index(tmp_path), rerank="none").search("wolpertinger", 1).results

    html = placed_html(*placed([result], []), english)

    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_a_side_is_named_like_the_method_everywhere_else():
    assert Side("hybrid").name(english) == "Hybrid (meaning + words)"
    assert Side("bm25", "000001").name(chinese) == "关键词（BM25），版本 000001"


def open_with(index, monkeypatch, question, language="en"):
    at = open_page(index, monkeypatch, "evaluate", language)
    at.text_input(key="evaluate.one").set_value(question).run()
    assert not at.exception
    return at


def test_before_a_question_the_page_says_what_will_be_there(tmp_path, monkeypatch):
    at = open_page(demo_index(tmp_path), monkeypatch, "evaluate")

    assert "Type a question: both lists appear here" in texts(at)


def test_a_question_is_asked_of_both_generations_and_the_difference_is_marked(tmp_path, monkeypatch):
    at = open_with(demo_index(tmp_path), monkeypatch, "wolpertinger")

    left, right = (at.selectbox(key=f"evaluate.one.{number}.en") for number in (0, 1))
    assert left.options == ["Words (BM25)", "Words (BM25), generation 000001"]
    assert (left.value, right.value) == (Side("bm25"), Side("bm25", "000001"))
    said = texts(at)
    assert "In both lists: 0, of these at another rank: 0. Only left: 1. Only right: 0." in said
    assert "No passage matches." in said  # the document came with the second generation
    assert "owned" not in markdown(at)


def test_the_same_method_twice_finds_the_same(tmp_path, monkeypatch):
    at = open_with(demo_index(tmp_path), monkeypatch, "免疫系统", "zh")
    at.selectbox(key="evaluate.one.1.zh").set_value(Side("bm25")).run()

    assert "两种方式找到的段落和顺序完全相同。" in texts(at)


def test_a_generation_that_another_process_prunes_meanwhile_is_no_longer_offered(tmp_path, monkeypatch):
    index = demo_index(tmp_path)
    at = open_page(index, monkeypatch, "evaluate")
    shutil.rmtree(index / "generations" / "000001")
    at.text_input(key="evaluate.one").set_value("wolpertinger").run()

    assert not at.exception
    assert "There is nothing to compare" in texts(at)


def test_a_generation_that_cannot_be_read_says_why(tmp_path, monkeypatch):
    index = demo_index(tmp_path)
    (index / "generations" / "000001" / "contents.sqlite").write_bytes(b"not a database")
    at = open_with(index, monkeypatch, "wolpertinger")

    assert "The search failed." in texts(at)
    assert at.code[-1].value


def test_an_index_with_one_method_and_one_generation_has_nothing_to_compare(tmp_path, monkeypatch):
    index = demo_index(tmp_path)
    shutil.rmtree(index / "generations" / "000001")

    at = open_page(index, monkeypatch, "evaluate")

    assert "There is nothing to compare" in texts(at)


def test_from_the_results_of_a_search_its_question_is_taken_along(tmp_path, monkeypatch):
    at = open_page(demo_index(tmp_path), monkeypatch, "search")
    at.text_input(key="q").set_value("wolpertinger")
    next(button for button in at.button if button.label == "Search").click().run()
    (button,) = [button for button in at.button if button.label == "Compare two methods"]
    button.click().run()

    assert not at.exception
    assert at.title[0].value == "Evaluate"
    assert at.text_input(key="evaluate.one").value == "wolpertinger"
    assert "Only left: 1." in texts(at)
