"""Exact matches of identifiers, error codes and quoted phrases stay among the first three."""

import pytest

from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.index import UnionIndex
from quarry.retriever.ranking import Hit, Query, Ranking
from quarry.retriever.stages.exact import ExactKept, exact_strings, holds

TEXTS = {f"d{n}#0-9": f"general remarks on printers and paper, part {n}" for n in range(8)} | {
    "code#0-9": "The message PRN-4711 means that the drum is worn.",
    "longer#0-9": "The message PRN-47112 means something else.",
    "phrase#0-9": "When the tray is\nout of paper, refill it.",
    "zh#0-9": "出现错误 1045 时，请检查密码。",
}


class Fixed:
    """A first stage with one order for every query."""

    def __init__(self, order: list[str], scores: list[float] | None = None) -> None:
        self.order, self.scores = order, scores or [1 - n / 100 for n in range(len(order))]

    def retrieve(self, queries, k, *, allowed=None):
        hits = [
            Hit(key, score, "fusion")
            for key, score in zip(self.order, self.scores, strict=True)
            if allowed is None or key in allowed
        ]
        return [Ranking.of(query, hits, k) for query in queries]


class Texts:
    def texts(self, chunk_ids):
        return [TEXTS[chunk_id] for chunk_id in chunk_ids]


def ranked(query: str, order: list[str], k: int = 10, allowed=None, scores=None) -> list[str]:
    words = analyzer("jieba")
    index = UnionIndex.build(list(TEXTS), [words.tokens(text) for text in TEXTS.values()])
    kept = ExactKept(Fixed(order, scores), index, words, Texts())
    (ranking,) = kept.retrieve([Query("q", query)], k, allowed=allowed)
    return [hit.chunk_id for hit in ranking.hits]


REMARKS = [key for key in TEXTS if key.startswith("d")]


@pytest.mark.parametrize(
    ("query", "strings"),
    [
        ("what does PRN-4711 mean", ("PRN-4711",)),
        ("my_function() and camelCase fail", ("my_function", "camelCase")),
        ("std::vector in config.yaml", ("std::vector", "config.yaml")),
        ("error 1045", ("1045",)),
        ("错误代码 10061 怎么办", ("10061",)),
        ('the words "out of paper" here', ("out of paper",)),
        ("什么是“量子纠缠”", ("量子纠缠",)),
        ("the 20th century, the 1960s, at 3pm", ()),
        ("a well-known state-of-the-art printer in 1998", ()),
        ("How do I renew a book? U.S. law", ()),
        ("the season 2019-2020, about $40 or 3.5 percent", ()),
        ("WHAT HAPPENED AT SEA IN 4711", ()),
        ("打印机 GB/T 7714-2015", ("GB/T 7714-2015",)),
        ("版本３．２．１ and 192.168.0.1", ("3.2.1", "192.168.0.1")),
        ("rfc 2119, ISO/IEC 27001, NASA 1969", ("rfc 2119", "ISO/IEC 27001")),
        ("C# or c++", ("C#", "c++")),
        ("$HOME, --no-cache-dir and .gitignore", ("$HOME", "--no-cache-dir", ".gitignore")),
        ("Ctrl+Alt+Del, 粤B·12345", ("Ctrl+Alt+Del", "B·12345")),
        ("《红楼梦》 „drum“ «toner»", ("红楼梦", "drum", "toner")),
    ],
)
def test_what_counts_as_exact(query, strings):
    assert exact_strings(query) == strings


def test_a_string_is_no_part_of_a_longer_word():
    assert (
        holds("see PRN-4711.", "prn-4711")
        and holds("out  of\npaper", "Out of Paper")
        and holds("谈量子纠缠的书", "量子纠缠")
    )
    assert not holds("PRN-47112", "PRN-4711") and not holds("XPRN-4711", "PRN-4711")


@pytest.mark.parametrize(
    ("query", "match"),
    [("PRN-4711 printers", "code#0-9"), ('printers "out of paper"', "phrase#0-9"), ("打印 错误 1045", "zh#0-9")],
)
def test_an_exact_match_that_no_stage_put_high_is_third(query, match):
    assert ranked(query, [*REMARKS, match]) == [*REMARKS[:2], match, *REMARKS[2:]]
    assert ranked(query, REMARKS)[:4] == [*REMARKS[:2], match, REMARKS[2]]  # nor found at all


def test_what_is_in_the_first_three_already_stays_where_it_is():
    order = [REMARKS[0], "code#0-9", *REMARKS[1:]]
    assert ranked("PRN-4711", order) == order
    assert ranked("printers", REMARKS) == REMARKS
    assert ranked("PRN-9999", REMARKS) == REMARKS  # the corpus has no such thing


def test_two_exact_strings_take_two_places_and_equal_scores_do_not_hide_them():
    order = [*REMARKS, "code#0-9", "phrase#0-9"]
    assert set(ranked('PRN-4711 "out of paper"', order)[:3]) == {REMARKS[0], "code#0-9", "phrase#0-9"}
    assert "code#0-9" in ranked("PRN-4711", order, scores=[0.5] * 10)[:3]


def test_filters_and_k_hold():
    assert ranked("PRN-4711", REMARKS, allowed=set(REMARKS)) == REMARKS
    assert ranked("PRN-4711", [*REMARKS, "code#0-9"], k=1) == REMARKS[:1]
    assert ranked("PRN-4711", [], k=5) == ["code#0-9"]
