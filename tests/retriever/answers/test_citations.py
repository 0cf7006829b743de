"""Citations in every spelling, streams cut anywhere, and sentences checked against passages."""

from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.app.words.answers import line, marks
from quarry.indexer.lexical.analyzer import analyzer
from quarry.retriever.answers.citations import Checker, SentenceFeed, cited_numbers, without_citations
from tests.retriever.answers.gullible import EN, ZH, passage


@pytest.mark.parametrize(
    ("text", "numbers", "rest"),
    [
        ("a [1].", (1,), "a."),
        ("a [2][3] b", (2, 3), "a b"),
        ("a [1,2] [ 2 , 4 ]", (1, 2, 4), "a"),
        ("续借两次【1】。", (1,), "续借两次。"),
        ("续借［１］［２、３］", (1, 2, 3), "续借"),
        ("a [2-4] b [^7] c [[8]]", (2, 3, 4, 7, 8), "a b c"),
        ("[来源1] [Passage 2] [source: 3]", (1, 2, 3), ""),
        ("a[99999999999999]", (99999999999999,), "a"),
        ("array[i] and [note] and f(1)", (), "array[i] and [note] and f(1)"),
        ("[1-900]", (1, 900), ""),
    ],
)
def test_citations_are_read(text, numbers, rest):
    assert cited_numbers(text) == numbers
    assert without_citations(text) == rest


def fed(pieces):
    feed = SentenceFeed()
    return [sentence for piece in pieces for sentence in feed.feed(piece)] + feed.close()


TEXT = 'Books may be renewed twice. [1] Fines are 0.50 euro [2]. "See this."[3][4] 图书可以续借。[1]罚款五角[2]。\n\n- item one [2]\n- two'


def test_citations_behind_a_full_stop_belong_to_the_sentence_before():
    assert fed([TEXT]) == [
        "Books may be renewed twice. [1]",
        " Fines are 0.50 euro [2].",
        ' "See this."[3][4]',
        " 图书可以续借。[1]",
        "罚款五角[2]。",
        "\n\n- item one [2]",
        "\n- two",
    ]
    assert fed(["Twice [1]. [2] says three."]) == ["Twice [1].", " [2] says three."]


@given(st.lists(st.integers(0, len(TEXT)), max_size=30))
def test_wherever_a_stream_is_cut_the_sentences_are_the_same(cuts):
    edges = [0, *sorted(cuts), len(TEXT)]
    assert fed([TEXT[a:b] for a, b in zip(edges, edges[1:], strict=False)]) == fed([TEXT])


def test_a_sentence_is_given_out_as_soon_as_its_citations_are_known():
    feed = SentenceFeed()
    assert feed.feed("Twice. ") == []
    assert feed.feed("[1") == []
    assert feed.feed("] Fi") == ["Twice. [1]"]
    assert feed.close() == [" Fi"]
    assert feed.close() == []


def test_a_text_without_any_end_is_cut_and_none_of_it_lost():
    text = "很" * 9000
    assert "".join(fed([text[at : at + 500] for at in range(0, 9000, 500)])) == text


CHECKER = Checker([EN, passage(2, ZH.text, ZH.title, ZH.path)], analyzer())


@pytest.mark.parametrize(
    ("written", "citations", "support", "missing", "unknown"),
    [
        ("Books may be renewed twice online [1].", (1,), "supported", (), ()),
        ("Books may be renewed 2 times online [1].", (1,), "supported", (), ()),
        ("Books may be renewed three times online [1].", (1,), "unsupported", ("3",), ()),
        ("Books may be renewed twice online under rule SKU-6679 [1].", (1,), "unsupported", ("6679", "sku-6679"), ()),
        ("Books may be renewed twice online under rule SKU-6678 [1][7].", (1,), "supported", (), (7,)),
        ("Pigeons deliver everything to Mars [1].", (1,), "unsupported", (), ()),
        ("Books may be renewed twice online [5].", (), "unsupported", ("2",), (5,)),
        ("图书可以续借两次[2]。", (2,), "supported", (), ()),
        ("图书可以续借2次[2]。", (2,), "supported", (), ()),
        ("图书可以续借三次[2]。", (2,), "unsupported", ("3",), ()),
        ("逾期罚款为每天五角【2】。", (2,), "supported", (), ()),
        ("You may renew books twice, rule SKU-6678 [2].", (2,), "unchecked", (), ()),
        ("You may renew books 7 times [2].", (2,), "unsupported", ("7",), ()),
        ("图书可以在网上续借两次[1]。", (1,), "unchecked", (), ()),
    ],
)
def test_support(written, citations, support, missing, unknown):
    found = CHECKER.sentence(written)
    assert (found.citations, found.support, found.missing, found.unknown) == (citations, support, missing, unknown)
    assert (support == "supported" and not unknown) == (marks(found, "en") == "")


def test_a_sentence_without_citations_gets_the_source_that_carries_it_and_else_a_mark():
    found = CHECKER.sentence("Fines are 0.50 euro a day.")
    assert (found.citations, found.cited_by, found.support) == ((1,), "quarry", "supported")
    lost = CHECKER.sentence("The moon is a cheese.")
    assert (lost.citations, lost.support) == ((), "unsupported")
    assert line(lost, "en") == "The moon is a cheese. {no source}"
    assert line(lost, "zh") == "The moon is a cheese. {没有出处}"
    assert line(CHECKER.sentence("图书可以续借三次[2]。"), "zh") == "图书可以续借三次。 [2] {出处中没有：3}"


def test_white_space_before_a_sentence_is_kept_in_kind_and_empty_ones_are_nothing():
    assert [CHECKER.sentence(gap + "a b").gap for gap in ("", "  ", "\n", " \n\n\n")] == ["", " ", "\n", "\n\n"]
    assert CHECKER.sentence(" [1].") is None
    assert CHECKER.sentence("---") is None


_SHAPES = ["a", "[", "[1,", "1-", "的", '"', "「", "[passage ", "a.b", "1a", " ", "![", "http://a"]


@pytest.mark.parametrize(("shape", "size"), [*((shape, 24_000) for shape in _SHAPES), ("[", 7), ("的", 7)])
def test_an_answer_without_an_end_of_a_sentence_is_checked_in_bounded_time(shape, size):
    text = (shape * 24_000)[:24_000]  # as much as is read of an answer
    checker, feed = Checker([passage(1, "Books may be renewed twice online.")], analyzer("bigram")), SentenceFeed()
    began = thread_time()
    sentences = [s for at in range(0, len(text), size) for s in feed.feed(text[at : at + size])] + feed.close()
    for sentence in sentences:
        checker.sentence(sentence)
    assert thread_time() - began < 6
    assert "".join(sentences) == text or not text.strip()
    assert max(map(len, sentences), default=0) <= 2_100  # with the blanks before it
