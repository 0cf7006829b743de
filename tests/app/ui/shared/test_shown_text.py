"""Foreign text stays text: in HTML, and in labels that Streamlit reads as Markdown."""

import re
from html import unescape

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quarry.app.ui.shared.shown_text import (
    counted,
    excerpt,
    inert,
    label,
    marked,
    marked_lines,
    plain,
    safe,
    sentence,
    shortened_html,
    told,
)
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from tests.app.ui.languages import chinese, english

TAG = re.compile(r"<(?!/?mark>)")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_html_holds_no_tag_and_reads_as_the_text(text):
    assert not TAG.search(inert(text))
    assert unescape(inert(text)) == safe(text)
    assert len(safe(text)) == len(text)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(alphabet=st.sampled_from("ab <>&\"'\n\f书籍。")),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=4),
)
def test_marks_are_balanced_and_nothing_else_is_a_tag(text, spans):
    ordered = sorted((min(a, b), max(a, b)) for a, b in spans)
    for html in (marked(text, ordered), marked_lines(text, ordered), excerpt(text, ordered, 12)):
        assert not TAG.search(html)
        assert html.count("<mark>") == html.count("</mark>")


def test_controls_overrides_and_escapes_are_made_visible():
    assert safe("a\x1b[31mred\u202egnp\u2066x\u200by\x00\x85") == "a\ufffd[31mred\ufffdgnp\ufffdx\ufffdy\ufffd\ufffd"
    assert safe("tab\there\nnew\f page 👩\u200d💻") == "tab\there\nnew\f page 👩\u200d💻"


def test_marks_stand_where_the_spans_are():
    assert marked("renew <b>books</b>", [(0, 5), (9, 14)]) == "<mark>renew</mark> &lt;b&gt;<mark>books</mark>&lt;/b&gt;"


def test_chinese_lines_are_joined_without_a_space_and_others_with_one():
    assert (
        marked("细胞毒\n性药物\nand more\ntext", [(0, 2), (4, 5)])
        == "<mark>细胞</mark>毒<mark>性</mark>药物 and more text"
    )


def test_an_excerpt_shows_the_marks_and_says_where_it_was_cut():
    text = "Nothing here. " * 40 + "The pumps are checked in May. " + "Nothing there. " * 40
    start = text.index("pumps")
    html = excerpt(text, [(start, start + 5)], 100)
    assert html.startswith("… ")
    assert html.endswith(" …")
    assert "The <mark>pumps</mark> are" in html
    assert excerpt("short", (), 100) == "short"


def test_half_as_many_characters_are_shown_of_chinese():
    assert len(excerpt("书" * 1000, (), 400)) < 220
    assert 380 < len(excerpt("a" * 1000, (), 400)) < 420


def test_labels_carry_no_markdown_directive_or_link():
    for text in (":red[x]", ":material/home:", "**b**", "[a](http://x)", "![a](x)", "$x$", "`c`", "www.x.org", "<b>"):
        shown = label(text)
        assert re.sub(r"[\\\u2060]", "", shown) == text
        assert not re.search(r"(?<!\\)[*_`\[\]()!$<>:#~|]", shown), shown
        assert not re.search(r"(?i)(:\w|www\.|https?:)", shown), shown


def test_labels_are_one_line_cut_and_never_empty():
    assert label("a\nb") == "a b"
    assert len(label("x" * 500)) <= 75
    assert label(" \n ") == "…"
    assert plain("two\nlines") == "two lines"


def test_errors_and_messages_are_told_in_the_language_of_the_page():
    err = SettingsError(
        "ui.no_pairs_file",
        "{path} does not exist",
        expected="a file of pairs, or a BEIR folder",
        do="Check the spelling",
        path="a\x07b",
    )
    assert (
        told(err, english) == "a\ufffdb does not exist; expected a file of pairs, or a BEIR folder. Check the spelling"
    )
    assert told(err, chinese) == "a\ufffdb 不存在；应为样本文件或 BEIR 文件夹。请检查拼写"
    assert told(OSError("disk I/O error"), chinese) == "disk I/O error"
    assert told(Message.plain("built"), chinese) == "built"


@given(st.text(max_size=60))
def test_a_long_name_is_all_there_and_only_its_middle_is_hidden(text):
    name = "a" * 20 + text + "b" * 20
    html = shortened_html(name, 40)
    assert plain_text(html) == safe(name)
    assert shortened_html("a.md", 40) == "a.md"
    if text:
        assert "<span class='q-middle'>" + inert(text) + "</span>" in html


def plain_text(html):
    return unescape(re.sub(r"<[^>]*>", "", html))


def test_a_number_has_its_noun():
    assert [counted(count, "example", "examples") for count in (0, 1, 2000)] == [
        "0 examples",
        "1 example",
        "2,000 examples",
    ]


def test_a_message_that_stands_alone_begins_and_ends_like_a_sentence():
    assert sentence("nothing seems to fit. See `quarry models`") == "Nothing seems to fit. See `quarry models`."
    assert sentence("文档中似乎没有内容；请查看 `quarry models`") == "文档中似乎没有内容；请查看 `quarry models`。"
    assert [sentence(text) for text in ("Done.", "完成。", "why?", "")] == ["Done.", "完成。", "Why?", ""]
