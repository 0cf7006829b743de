"""HTML and XML: what is shown comes out, in order, with its structure; what is not shown does not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.text.markup import html_text, read_html
from quarry.indexer.readers.text.xml_text import read_xml

OPTIONS = ReadOptions()


def test_headings_lists_tables_and_breaks():
    html = (
        "<title> 标题\n here </title><h1>甲 <b>A</b></h1><p>one<br>two</p><ul><li>x</li><li><p>y</p></li></ul>"
        "<h3>B</h3><table><tr><th>k</th><th>v</th></tr><tr><td>a</td><td></td></tr></table>"
    )
    title, text = html_text(html)
    assert title == "标题 here"
    assert [line for line in text.split("\n") if line] == ["# 甲 A", "one", "two", "- x", "y", "### B", "k | v", "a"]


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>不应出现</script>",
        "<style>不应出现</style>",
        "<nav>不应出现</nav>",
        "<!-- 不应出现 -->",
        "<template>不应出现</template>",
        "<div role='navigation'>不应出现</div>",
        "<p hidden>不应出现</p>",
    ],
)
def test_what_is_not_shown_is_left_out(hidden):
    assert html_text(f"<body><p>前</p>{hidden}<p>后</p></body>")[1] == "前\n\n后"


def test_code_keeps_its_lines():
    assert (
        html_text("<p>see</p><pre>def f():\n    return 1\n</pre><p>a\nb</p>")[1] == "see\n\ndef f():\nreturn 1\n\na b"
    )


def test_the_title_is_the_first_heading_or_the_name_when_there_is_none():
    assert read_html(Path("page.html"), b"<h2>Only heading</h2>x", OPTIONS).extracts[0].title == "Only heading"
    assert read_html(Path("page.html"), b"<p>x", OPTIONS).extracts[0].title == "page"


def test_the_declared_charset_is_used():
    content = "<meta charset=windows-1251><p>Привет".encode("cp1251")
    (extract,) = read_html(Path("a.html"), content, OPTIONS).extracts
    assert (extract.text, extract.meta) == ("Привет", {"charset": "cp1251"})


@pytest.mark.timeout(20)
def test_nesting_is_read_up_to_a_depth_that_ends_in_time():
    assert html_text("<div>" * 4_000 + "deep" + "</div>" * 4_000)[1] == "deep"
    assert html_text("<div><p>x</p></div>" * 20_000)[1].count("x") == 20_000
    assert html_text("<div>" * 1_000_000)[1] == ""
    deeper = "<div>a " * 20_000 + "<b title='<'>deep</b>" + " z</div>" * 20_000 + "<p>after</p>"
    words = html_text(deeper)[1].split()
    assert (words.count("a"), words.count("z"), words.count("deep"), words[-1]) == (20_000, 20_000, 1, "after")


def test_a_feed_has_headings():
    xml = (
        "<rss><channel><title>频道</title><item><title>First</title>"
        "<description>&lt;p&gt;Hello &lt;b&gt;you&lt;/b&gt;&lt;/p&gt;"
        "</description></item></channel></rss>"
    )
    (extract,) = read_xml(Path("feed.xml"), xml.encode(), OPTIONS).extracts
    assert (extract.title, extract.text) == ("频道", "# 频道\n\n## First\n\nHello you")


@pytest.mark.parametrize("charset", ["gb2312", "big5", "utf-16", "iso-8859-1"])
def test_xml_in_other_charsets_is_read(charset):
    words = "名稱" if charset == "big5" else "café" if charset.startswith("iso") else "名称和内容都是中文的"
    content = f'<?xml version="1.0" encoding="{charset}"?><a>{words}</a>'.encode(charset)
    assert read_xml(Path("a.xml"), content, OPTIONS).extracts[0].text == words


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "xx"><!ENTITY b "&a;&a;">',
        '<!ENTITY f SYSTEM "file:///etc/passwd">',
        '<!ENTITY % p SYSTEM "http://x.invalid/">',
    ],
)
def test_entities_are_refused(declaration):
    with pytest.raises(Unreadable, match="entities") as refusal:
        read_xml(Path("a.xml"), f"<!DOCTYPE a [{declaration}]><a>&b;</a>".encode(), OPTIONS)
    assert refusal.value.reason == "archive bomb"


def test_xml_that_is_not_well_formed_is_damaged():
    with pytest.raises(Unreadable, match="not a readable XML"):
        read_xml(Path("a.xml"), b"<a><b></a>", OPTIONS)


def test_a_feed_in_big5_with_one_bad_byte_keeps_its_words_and_says_so():
    sound = (
        '<?xml version="1.0" encoding="big5"?><rss><channel><title>苦勞網新聞</title><item><title>勞工團體抗議</title>'
        "<description>多個勞工團體前往行政院抗議基本工資調整太少。</description></item></channel></rss>"
    ).encode("big5")
    begun = sound.index(b"<channel>")
    for place in range(begun, len(sound)):
        for bad in (0xFF, 0x80, 0x1B, 0x00):
            content = bytearray(sound)
            content[place] = bad
            (extract,) = read_xml(Path("feed.xml"), bytes(content), OPTIONS).extracts
            assert int(extract.meta["damaged"]) >= 1, (place, bad)
            assert "基本工資" in extract.text or "團體前往" in extract.text, (place, bad)


@given(st.text(alphabet="<>/abdhi1p&;= \n\"'中", max_size=60))
def test_any_html_gives_text(html):
    title, text = html_text(html)
    assert text == text.strip()
    assert "\n" not in title
