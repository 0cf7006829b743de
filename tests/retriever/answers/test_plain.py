"""What a text may still do when it is shown: nothing."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.retriever.answers.plain import defang, foreign_urls, urls, visible


def test_invisible_characters_go_and_writing_stays():
    assert visible("a\u200bb\u202ec\U000e0041d\x1b[31m\ufe0f\u00ad") == "abcd[31m"
    text = "借阅 Größe naïve\tx\nй한국어 日本語\f∑"
    assert visible(text) == text
    assert visible("a\r\nb\rc\u2028d") == "a\nb\nc\nd"


def test_addresses_are_found_without_the_punctuation_behind_them():
    text = "见https://lib.example/借阅?x=1。 (http://a.example/b), www.c.example. ftp://d.example/e!"
    assert urls(text) == {"https://lib.example/借阅?x=1", "http://a.example/b", "www.c.example", "ftp://d.example/e"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![x](https://evil.example/a.b)", "[x] (hxxps[:]//evil[.]example/a.b)"),
        ("[x](https://ok.example/a)", "[x] (https://ok.example/a)"),
        ("[x][y]\n[y]: http://evil.example", "[x] [y]\n[y] - hxxp[:]//evil[.]example"),
        ("<a href='javascript:alert(1)'>", "‹a href='javascript[:]alert(1)'>"),
        ("a < b, c<3, data: five", "a < b, c<3, data: five"),
        ("www.evil.example", "www[.]evil[.]example"),
        ("续借见 HTTPS://EVIL.example。", "续借见 hxxpS[:]//EVIL[.]example。"),
    ],
)
def test_what_loads_or_links_is_taken_apart(text, shown):
    assert defang(text, {"https://ok.example/a"}) == shown


def test_foreign_addresses_are_named_as_they_are_shown():
    assert foreign_urls("http://a.example and javascript:x and http://b.example/q", {"http://b.example/q"}) == (
        "hxxp[:]//a[.]example",
        "javascript[:]",
    )


@given(st.text(alphabet="a[]()!<>/:.\u200b\nhtps w", max_size=60))
def test_nothing_live_is_left(text):
    shown = defang(text)
    assert "](" not in shown
    assert "![" not in shown
    assert not re.search(r"<[a-z/!]", shown)
    assert not urls(shown)
