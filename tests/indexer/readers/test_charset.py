"""Charsets: every encoding of Chinese and its neighbours, short and long, whole and damaged; any bytes give text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarry.indexer.readers.charset import declared_charset, decode, storable

ZH = "中国（南京）国际象棋超级大赛是在南京举行的国际象棋比赛，每年都有世界各地的棋手参加。"
TW = "維基大典者，網路為之百科也。這個計劃始於二零零六年，現在還有很多人在編寫。"
JA = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
KO = "역사적 예수 연구자들은 복음서나 사도들의 편지에서 예수의 말씀을 찾고자 하였다."
RU = "В гимназии он не был в числе первых учеников, исключение составляли математика и латынь."
EL = "Η ελληνική γλώσσα αποτελεί μητρική γλώσσα περίπου δώδεκα εκατομμυρίων ανθρώπων."
FR = "L'été dernier, Molière a créé une pièce très célèbre à Paris, où le théâtre était fêté."
EN = "The boundary layer was measured at several stations along the plate."


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (ZH, name)
        for name in ("gb18030", "gbk", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")
    ]
    + [(TW, name) for name in ("big5", "gb18030", "utf-16-le")]
    + [(JA, name) for name in ("cp932", "euc_jp", "iso2022_jp", "utf-16-le")]
    + [(KO, name) for name in ("cp949", "utf-16-le")]
    + [(RU, name) for name in ("cp1251", "koi8_r", "mac_cyrillic", "cp866", "utf-8")]
    + [(EL, "cp1253"), (FR, "cp1252"), (FR, "utf-16-le")]
    + [(EN, name) for name in ("ascii", "utf-16-le", "utf-16-be", "utf-32-be")],
)
def test_text_comes_back_from_every_encoding(text, charset):
    decoded = decode(text.encode(charset))
    assert decoded.text == text
    assert decoded.damaged == 0


@pytest.mark.parametrize("text", ["编号,姓名\r\n1,张三\r\n2,李四\r\n", "你好，世界", "第一章 总则", "北京市"])
@pytest.mark.parametrize("charset", ["gb18030", "utf-8", "utf-16-le", "utf-16"])
def test_a_few_chinese_words_are_enough(text, charset):
    assert decode(text.encode(charset)).text == text.replace("\r\n", "\n")


def test_japanese_names_without_kana_are_not_read_as_chinese():
    assert decode("名前,年齢\n佐藤太郎,30\n三木英子,25\n髙橋淳,35\n".encode("cp932")).charset == "cp932"


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_a_few_broken_bytes_cost_only_themselves(charset):
    content = (ZH * 5).encode(charset)
    decoded = decode(content[:300] + b"\xff" + content[300:])
    assert decoded.damaged >= 1
    assert decoded.text.count(ZH) >= 4


def test_a_long_gbk_file_that_starts_in_english_is_chinese():
    assert decode((EN * 20 + ZH * 20).encode("gbk")).text.endswith(ZH)


def test_what_a_file_declares_decides_what_bytes_leave_open():
    content = "žluťoučký kůň".encode("cp1250")
    assert decode(content, "windows-1250").text == "žluťoučký kůň"
    assert decode(ZH.encode("utf-8"), "big5").text == ZH  # a wrong declaration is overruled
    assert decode(ZH.encode("gbk"), "no-such-charset").text == ZH
    assert decode(ZH.encode("gbk"), "hex").text == ZH  # a codec that is not of text
    assert decode("宠物镕".encode("gbk"), "gb2312").text == "宠物镕"  # 镕 is not in GB2312: pages mean its superset


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'<html><meta charset="gb2312">', "gb2312"),
        (b'<META http-equiv=Content-Type content="text/html; charset=GBK">', "GBK"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?>', "ISO-8859-1"),
        (b"<html>", None),
    ],
)
def test_declarations_are_found(content, name):
    assert declared_charset(content) == name


def test_a_given_charset_is_not_guessed():
    assert decode(ZH.encode("utf-8"), charset="cp1252").charset == "cp1252"
    with pytest.raises(LookupError, match="no-such"):
        decode(b"", charset="no-such")


def test_what_cannot_be_stored_is_replaced_and_counted():
    assert storable("a\0b\ud800c") == ("a\ufffdb\ufffdc", 2)
    assert storable("\ud83d\ude00") == ("😀", 0)  # two halves that belong together
    assert storable("a\r\nb\rc\n") == ("a\nb\nc\n", 0)
    assert decode(b"a\0b and more text after it").text == "a\ufffdb and more text after it"


@given(st.binary(max_size=300))
def test_any_bytes_give_text_that_can_be_stored(content):
    decoded = decode(content)
    decoded.text.encode("utf-8")
    assert "\0" not in decoded.text
    assert "\r" not in decoded.text
    assert decoded.damaged == decoded.text.count("\ufffd")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_utf8_is_always_read_as_utf8(text):
    assert decode(text.encode("utf-8")).text == text.removeprefix("\ufeff")


@pytest.mark.data
@pytest.mark.parametrize("charset", ["gb18030", "utf-16-le", "utf-16-be"])
def test_all_paragraphs_of_a_real_corpus_come_back(shared_data, charset):
    lines = (shared_data / "cmrc2018-zh" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[:400]
    texts = [json.loads(line)["text"] for line in lines]
    wrong = [text[:20] for text in texts if decode(text.encode(charset)).text != text]
    assert wrong == []


@pytest.mark.parametrize(
    "content",
    [
        "He said “hello” — it’s a fine day. The café is open. ".encode() + b"\xc3",  # cut within a character
        "naïve résumé".encode() + b"\xe4\xb8",
        "naïve résumé".encode() + b"\xc3",
        b"\xff" + "naïve résumé".encode() + b"\xfe",
        "用户手册".encode()[:-1],
        "“a” ".encode() * 12 + b"\xe2\x80\xff\x9c",  # one broken quote among few
        ("标题：" + "潮闸每晚关闭。" * 4).encode().replace("每".encode(), b"\0\xaf\x8f"),  # zeroed bytes
        "第一行是统一码。\n".encode() * 3 + "最后".encode("gbk"),  # two encodings in one file
    ],
)
def test_damaged_utf8_stays_utf8(content):
    found = decode(content)
    assert found.charset == "utf-8"
    assert found.damaged > 0
    assert len(found.text) - found.damaged > 0.6 * len(content.decode("utf-8", "ignore"))


@pytest.mark.parametrize(
    "text", ["联通公司", "一二三四五", "用户手册", "读者可以借十本书，借期三十天。", "价格表", "你好，世界"]
)
def test_short_texts_in_gbk_are_not_taken_for_damaged_utf8(text):
    assert decode(text.encode("gbk")).text == text


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("Работа с документами, правила записи и продления.", "cp866"),
        ("Работа с документами, правила записи и продления.", "cp1251"),
        ("Œuvre — “déjà vu” à la façade", "cp1252"),
        ("et voilà", "cp1252"),
    ],
)
def test_other_charsets_are_not_taken_for_damaged_utf8(text, charset):
    assert decode(text.encode(charset)).text == text
