"""Terms and BM25 in Chinese, English and mixed text, against numbers and a second implementation."""

import gzip
import json
import math
import random
from time import perf_counter

import pytest

from indexer.analyzer import analyzer
from indexer.errors import IndexFormatError
from indexer.lexical import K1, B, Bm25sIndex
from indexer.lexical_reference import RankBm25Index
from retriever.measures import ndcg

JIEBA = analyzer("jieba")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("我来到北京清华大学", ["我", "来到", "北京", "清华", "华大", "大学", "清华大学"]),
        ("Running dogs' cafés", ["run", "dog", "cafe"]),
        ("使用GPU加速BGE-M3模型", ["使用", "gpu", "加速", "bge-m3", "bge", "m", "3", "模型"]),
        ("SKU-6678 v3.14 C++ C#", ["sku-6678", "sku", "6678", "v3.14", "v", "3", "14", "c++", "c#"]),
        ("getUserName", ["getusername", "get", "user", "name"]),
        ("ＦＵＬＬ　ｗｉｄｔｈ１２", ["full", "width12", "width", "12"]),
        ("カタカナ 한국어 ひ", ["カタ", "タカ", "カナ", "한국", "국어", "ひ"]),
        ("  \n\t，。！", []),
    ],
)
def test_terms(text, terms):
    assert JIEBA.tokens(text) == terms


def test_stop_words_leave_a_query_only_when_something_else_is_there():
    assert JIEBA.query_tokens("what is the loan") == ["what", "loan"]
    assert JIEBA.query_tokens("to be or not to be") == ["to", "be", "or", "not", "to", "be"]
    assert JIEBA.query_tokens("图书馆的开放时间是什么") == [
        t for t in JIEBA.tokens("图书馆的开放时间是什么") if t not in ("的", "是")
    ]


def test_the_identity_names_versions_and_cutters_differ():
    assert JIEBA.name.startswith("jieba-0.42")
    assert analyzer("bigram").tokens("图书馆 book") == ["图书", "书馆", "book"]
    assert analyzer("rjieba").name.startswith("rjieba-")
    assert "清华大学" in analyzer("rjieba").tokens("清华大学")
    with pytest.raises(ValueError, match="unknown analyzer 'mecab'; expected jieba, rjieba or bigram"):
        analyzer("mecab")


TEXTS = {"d1": "北京 大学 图书馆", "d2": "library library book", "d3": "北京 library", "d4": "上海"}


def built(engine=Bm25sIndex):
    return engine.build(list(TEXTS), [text.split() for text in TEXTS.values()])


def test_scores_are_those_of_the_formula():
    index = built()
    average = sum(len(text.split()) for text in TEXTS.values()) / 4

    def score(tf, df, length):
        return math.log(1 + (4 - df + 0.5) / (df + 0.5)) * tf / (tf + K1 * (1 - B + B * length / average))

    hits = index.search(["library", "北京", "nothing"], 10)
    expected = {
        "d3": score(1, 2, 2) + score(1, 2, 2),
        "d2": score(2, 2, 3),
        "d1": score(1, 2, 3),
    }
    assert {hit.chunk_id: pytest.approx(hit.score, rel=1e-5) for hit in hits} == expected
    assert [hit.chunk_id for hit in hits] == ["d3", "d2", "d1"]
    assert hits[0].terms == ("library", "北京")
    assert index.idf("library") == pytest.approx(math.log(1 + 2.5 / 2.5))
    assert index.idf("nothing") is None


def test_zero_scores_never_come_out_and_k_may_exceed_the_corpus():
    for engine in (Bm25sIndex, RankBm25Index):
        assert built(engine).search(["nothing"], 10) == []
        assert built(engine).search([], 10) == []
        assert len(built(engine).search(["上海"], 10)) == 1
        with pytest.raises(ValueError, match="k is 0; expected at least 1"):
            built(engine).search(["上海"], 0)


def test_ties_come_in_id_order_at_the_cut_too():
    index = Bm25sIndex.build(["c", "a", "d", "b"], [["x", "y"]] * 4)
    assert [hit.chunk_id for hit in index.search(["x"], 3)] == ["a", "b", "c"]


def test_a_filter_is_applied_before_the_cut():
    hits = built().search(["library", "北京"], 1, allowed=["d1", "d4", "stranger"])
    assert [hit.chunk_id for hit in hits] == ["d1"]


def test_both_engines_agree_on_the_order():
    rng = random.Random(0)
    ids = [f"d{n:03d}" for n in range(200)]
    tokens = [[rng.choice("abcdefghijklmnop") for _ in range(rng.randint(1, 30))] for _ in ids]
    one, other = Bm25sIndex.build(ids, tokens), RankBm25Index.build(ids, tokens)
    for _ in range(20):
        query = rng.sample("abcdefghijklmnop", 3)
        found, expected = one.search(query, 20), other.search(query, 20)
        assert [round(hit.score / found[0].score, 3) for hit in found] == pytest.approx(
            [hit.score / expected[0].score for hit in expected], abs=0.05
        )
        assert len({h.chunk_id for h in found} & {h.chunk_id for h in expected}) >= 16


@pytest.mark.parametrize("engine", [Bm25sIndex, RankBm25Index])
def test_what_was_saved_answers_the_same_after_opening(tmp_path, engine):
    index = built(engine)
    index.save(tmp_path)
    again = engine.open(tmp_path)
    assert again.search(["library", "北京"], 9) == index.search(["library", "北京"], 9)
    assert len(again) == 4
    empty = engine.build(["a", "b"], [[], []])
    (tmp_path / "e").mkdir()
    empty.save(tmp_path / "e")
    assert engine.open(tmp_path / "e").search(["x"], 3) == []
    assert len(engine.open(tmp_path / "e")) == 2
    with pytest.raises(IndexFormatError, match="cannot be read"):
        engine.open(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="1 lists of terms for 2 ids"):
        engine.build(["a", "b"], [["x"]])


def test_a_very_long_query_is_answered_quickly():
    index = built()
    started = perf_counter()
    hits = index.search(["library", "北京", "x"] * 50_000, 3)
    assert perf_counter() - started < 5  # milliseconds here
    assert hits[0].chunk_id == "d3"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least"), [("scifact-en", 0.676), ("cmrc2018sent-zh", 0.705), ("sqlfaq-zh", 0.485), ("codebase-en", 0.567)]
)
def test_real_sets_reach_the_published_bm25(shared_data, name, least):
    folder = shared_data / name
    plain = folder / "corpus.jsonl"
    lines = (
        plain.read_text("utf-8").splitlines()
        if plain.is_file()
        else gzip.open(f"{plain}.gz", "rt", encoding="utf-8").read().splitlines()
    )
    rows = [json.loads(line) for line in lines]
    index = Bm25sIndex.build(
        [row["_id"] for row in rows], [JIEBA.tokens(f"{row.get('title', '')} {row['text']}") for row in rows]
    )
    queries = {
        row["_id"]: row["text"] for row in map(json.loads, (folder / "queries.jsonl").read_text("utf-8").splitlines())
    }
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]:
        query_id, doc_id, grade = line.split("\t")
        qrels.setdefault(query_id, {})[doc_id] = int(grade)
    scores = [
        ndcg([h.chunk_id for h in index.search(JIEBA.query_tokens(queries[q]), 10)], grades, 10)
        for q, grades in qrels.items()
    ]
    assert sum(scores) / len(scores) >= least
