"""Which words of a query are searched for, that no text stalls the analyser, and that its version is kept with an index."""

import threading
from hashlib import sha256
from importlib.metadata import version
from time import perf_counter

import pytest

import quarry.indexer.lexical.analyzer as module
from quarry.app.doctor import examine
from quarry.indexer.build import build_index
from quarry.indexer.lexical.analyzer import STOP_WORDS, analyzer
from quarry.indexer.opened import Index
from quarry.retriever.shown.highlight import highlight, pieces
from tests.fakes import WordEmbedder

JIEBA = analyzer("jieba")


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("what is the loan", ["loan"]),
        ("How do I sign-in with BGE-M3?", ["sign-in", "sign", "bge-m3", "bge", "m", "3"]),
        ("how-to guides", ["how-to", "guid"]),
        ("图书馆什么时候开放", ["图书", "书馆", "图书馆", "时候", "开放"]),
        ("如何使用图书馆", ["使用", "图书", "书馆", "图书馆"]),
        ("什么是CAN总线", ["can", "总线"]),
        ("什么是 CAN 总线 的 ID", ["can", "总线", "id"]),
        ("CAN bus", ["can", "bus"]),
        ("WHAT IS THE LOAN", ["loan"]),
        ("IT support", ["it", "support"]),
        ("two beer cans", ["two", "beer", "can"]),
        ("what's new", ["new"]),
        ("who recommendations", ["who", "recommend"]),
        ("John Doe does", ["john", "doe"]),
        ("Ｗｈａｔ is ＧＰＵ", ["gpu"]),
    ],
)
def test_question_words_are_left_out_of_queries_and_acronyms_are_not(query, terms):
    assert JIEBA.query_tokens(query) == terms


@pytest.mark.parametrize("query", ["to be or not to be", "什么是如何", "怎么", "IT", "How?", "的", "WHAT IS IT"])
def test_a_query_of_nothing_but_stop_words_keeps_them(query):
    assert JIEBA.query_tokens(query) == JIEBA.tokens(query) != []


def test_stop_words_stay_in_passages():
    assert JIEBA.tokens("what is 什么") == ["what", "is", "什么"]


def test_every_chinese_stop_word_is_one_word_to_jieba():
    for word in STOP_WORDS:
        assert word.isascii() or word in JIEBA.tokens(word)


@pytest.mark.parametrize(
    ("query", "passage", "marked"),
    [
        ("What is the CAN bus?", "What it is: you can use the CAN bus.", ["can", "CAN", "bus"]),
        ("什么是图书馆的借期？", "什么是借期？图书馆的借期是三十天。", ["借期", "图书馆", "借期"]),
        ("如何使用 GPU", "如何在服务器上使用GPU加速", ["使用GPU"]),
        ("what is it", "This is what it is.", ["is", "what it is"]),
    ],
)
def test_question_words_are_highlighted_only_when_the_query_has_nothing_else(query, passage, marked):
    spans = highlight(passage, JIEBA.query_tokens(query), JIEBA)
    shown = [piece for piece, inside in pieces(passage, spans) if inside]
    assert [part for piece in shown for part in ([piece] if piece in marked else piece.split())] == [
        part for piece in marked for part in ([piece] if piece in shown else piece.split())
    ]


@pytest.mark.parametrize("text", ["a\0b 图\0书", "a\ud800b 图\udfff书"])
def test_broken_characters_separate_terms(text):
    assert JIEBA.tokens(text) == ["a", "b", "图", "书"]


@pytest.mark.parametrize("text", ["a-" * 500_000, "a" * 1_000_000, "图书馆" * 100_000, "-" * 1_000_000])
def test_a_long_line_takes_seconds_not_minutes_and_terms_stay_short(text):
    started = perf_counter()
    terms = JIEBA.tokens(text)
    assert perf_counter() - started < 20  # at most 1 s here
    assert max(map(len, terms), default=0) <= 64


def test_threads_get_the_same_terms():
    texts = [f"running dogs number {n} 在北京清华大学图书馆 CamelCase{n}" for n in range(200)]
    fresh, found = analyzer.__wrapped__("jieba"), []
    threads = [threading.Thread(target=lambda: found.append([fresh.tokens(text) for text in texts])) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[JIEBA.tokens(text) for text in texts]] * 6


SAMPLE = (
    "Running dogs' cafés aren't at the O'Reilly store; e-mail me@x.org about SKU-6678, v3.14, C++ and C#. "
    "getUserName HTTPServer WM_PAINT user_id 1/2 GPU2X ＦＵＬＬ　ｗｉｄｔｈ１２ naïve STRASSE straße "
    "我来到北京清华大学，使用GPU加速BGE-M3模型。图书馆的开放时间是什么？三〇年代 𠮷野家 カタカナ 한국어 ひ 12,500 第十二条"
)


def test_the_terms_of_a_passage_change_only_with_the_version(monkeypatch):
    assert JIEBA.name == f"jieba-{version('jieba')}+pystemmer-{version('PyStemmer')}+opencc-{version('opencc')}/3"
    rules = module.ScriptAnalyzer("rules alone", module.bigrams)  # the libraries' part is in the name by their versions
    monkeypatch.setattr(rules, "_stem", str)
    digest = sha256(" ".join(rules.passage_terms(SAMPLE)).encode()).hexdigest()
    assert digest[:16] == "2a8dede02ba246c4", (
        "terms have changed: raise _RULES in indexer/analyzer.py, then this digest and the name"
    )


def test_an_index_of_older_rules_answers_and_is_told_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "loans.md").write_text("# Loans\n\nTen books for thirty days. 每次可以借十本书。", encoding="utf-8")
    root, embedder = tmp_path / "index", WordEmbedder()
    build_index(root, [tmp_path / "loans.md"], embedder)
    older, encoded = JIEBA.name, embedder.texts_encoded
    monkeypatch.setattr(module, "_RULES", 4)
    analyzer.cache_clear()
    try:
        assert len(Index.open(root).lexical.search(analyzer().query_tokens("books 借十本书"), 5)) == 1
        found = {check.name: check for check in examine(root)}["analyzer"]
        assert (found.severity, found.remedy) == ("warning", f"quarry index PATH --into {root}")
        assert f"the terms were made by {older}, but {older[:-1]}4 is installed" in str(found.message)
        assert build_index(root, [tmp_path / "loans.md"], embedder).switched
        assert Index.open(root).manifest.lexical.identity == f"{older[:-1]}4"
        assert embedder.texts_encoded == encoded  # terms alone are made anew
        assert {check.name: check for check in examine(root)}["analyzer"].severity == "ok"
    finally:
        analyzer.cache_clear()
