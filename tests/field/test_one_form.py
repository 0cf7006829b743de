"""What is written in several ways is found in each: invisible characters, traditional and simplified, numbers, single characters."""

import pytest

from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.lexical.normalization import normalized, number_terms, value_of
from quarry.retriever.questions.phrases import holds
from quarry.retriever.stages.exact import exact_strings

JIEBA = analyzer("jieba")


def found(texts, query):
    """Return the numbers of the texts that a query finds, best first."""
    index = UnionIndex.build([str(n) for n in range(len(texts))], [JIEBA.tokens(text) for text in texts])
    return [int(hit.chunk_id) for hit in index.search(JIEBA.query_tokens(query), 10)]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("The am\u00adpli\u00adfier hums.", "amplifier"),
        ("消\u200b防\u200b栓在门口。", "消防栓"),
        ("a shut\u200coff valve", "shutoff"),
        ("圖書館借閱證辦理", "图书馆借阅证"),
        ("图书馆借阅证办理", "圖書館借閱證"),
        ("The fine is 23,400 yuan.", "23400"),
        ("The fine is 23400 yuan.", "23,400"),
        ("罚款两万三千四百元", "23400"),
        ("罚款23,400元", "两万三千四百"),
        ("押金叁仟伍佰元", "3500"),
        ("第二十一条 保密", "第21条"),
        ("第21条 保密", "第二十一条"),
        ("Call 021-6543-2109 at night.", "02165432109"),
        ("水鳗常见于河口", "鳗"),
        ("请关闭阀门并排空集水槽", "排空集水槽"),
    ],
)
def test_both_ways_of_writing_find_each_other(text, query):
    assert found(["something else entirely", "别的内容", text], query)[:1] == [2]


def test_a_query_of_one_character_finds_all_words_that_hold_it():
    assert set(found(["雏菊与野菊", "菊花茶", "梅花"], "菊")) == {0, 1}


def test_words_that_are_in_the_index_are_not_widened():
    assert found(["花园里的菊花", "花店", "花瓶"], "菊花") == [0]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("一万二千五百", 12500),
        ("二〇二四", 2024),
        ("十", 10),
        ("一百零五", 105),
        ("三亿二千万", 320_000_000),
        ("壹万贰仟伍佰", 12500),
        ("三四", None),
        ("二三十", None),
    ],
)
def test_numbers_in_characters_have_their_value(text, number):
    assert value_of(text) == number


def test_what_only_looks_like_a_grouped_number_stays():
    assert normalized("1,2,3 and 10,00 and 1234,567 and 3.141,592") == "1,2,3 and 10,00 and 1234,567 and 3.141,592"


def test_dates_and_short_numbers_with_hyphens_give_no_terms_of_their_own():
    assert list(number_terms("page 12-14, figure 3-1")) == []


def test_a_query_of_one_word_is_looked_for_as_it_stands():
    assert exact_strings("续借") == ("续借",)
    assert exact_strings("renewal") == ("renewal",)
    assert exact_strings("how to renew") == ()
    assert holds("圖書可續借兩次", "续借")
