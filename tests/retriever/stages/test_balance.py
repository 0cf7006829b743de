"""The weight of BM25 against dense search: by hand, at its ends, and on indexes whose routes find nothing."""

import math
from hashlib import sha256

import numpy as np
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.measured import Probes, RouteQuality
from quarry.retriever.ranking import Evidence, Hit, Query, StageScore
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.stages.balance import balance, coverage_of
from tests.fakes import WordEmbedder


def measured(bm25: float, dense: float) -> Probes:
    return Probes(spread=0.02, quality={"all": RouteQuality(probes=100, bm25=bm25, dense=dense)})


def hits(*scores: float) -> list[Hit]:
    return [Hit(f"d{n}", score, "dense", Evidence(dense=StageScore(n + 1, score))) for n, score in enumerate(scores)]


NEAR = hits(*(0.9 - 0.002 * n for n in range(20)))  # the tenth is 0.018 below the first: a gap of 0.9 deviations


def test_equal_routes_and_full_coverage_leave_the_offset_and_the_gap():
    expected = 1 / (1 + math.exp(-(0.6 - 0.5 * 0.9)))
    found = balance(measured(0.5, 0.5), 1.0, NEAR)
    assert found.weight == pytest.approx(expected)
    assert str(found.reason) == (
        f"BM25 weighs {expected:.2f} (coverage 1.00, dense lead 0.9): on its own passages this index scores 0.50 with BM25 and "
        "0.50 with dense search"
    )


def test_what_judgements_taught_moves_the_odds_of_the_weight_but_brings_no_route_back():
    still, moved = (balance(measured(0.5, 0.5), 1.0, NEAR, learned=by) for by in (0.0, 1.0))
    odds = [math.log(one.weight / (1 - one.weight)) for one in (still, moved)]
    assert odds[1] - odds[0] == pytest.approx(1.0)
    assert str(moved.reason).startswith(
        f"judgements moved the weight of BM25 to {moved.weight:.2f}; before: BM25 weighs"
    )
    unmeasured = [balance(None, 1.0, NEAR, learned=by).weight for by in (-1.0, 0.0, 1.0)]
    assert unmeasured == sorted(unmeasured) and unmeasured[1] == 0.4
    for weak in (measured(0.8, 0.1), measured(0.01, 0.8)):
        assert balance(weak, 1.0, NEAR, learned=2.0).weight == balance(weak, 1.0, NEAR, learned=-2.0).weight


def test_the_better_route_the_covered_query_and_undecided_dense_search_move_the_weight():
    middle = balance(measured(0.5, 0.5), 1.0, NEAR).weight
    assert balance(measured(0.6, 0.5), 1.0, NEAR).weight > middle > balance(measured(0.5, 0.6), 1.0, NEAR).weight
    assert balance(measured(0.5, 0.5), 0.05, NEAR).weight < middle
    decided = hits(0.99, *(0.9 - 0.002 * n for n in range(20)))
    assert balance(measured(0.5, 0.5), 1.0, decided).weight < middle


def test_the_advantage_is_three_times_the_logarithm_of_both_qualities_and_a_half():
    def odds(bm25, dense):
        weight = balance(measured(bm25, dense), 1.0, NEAR).weight
        return math.log(weight / (1 - weight))

    assert odds(0.6, 0.4) - odds(0.5, 0.5) == pytest.approx(3 * math.log(1.1 / 0.9))
    assert odds(0.4, 0.6) - odds(0.5, 0.5) == pytest.approx(3 * math.log(0.9 / 1.1))


def test_the_ratio_of_two_qualities_near_zero_decides_little():
    equal = balance(measured(0.5, 0.5), 0.1, NEAR).weight
    assert balance(measured(0.0, 0.03), 0.1, NEAR).weight > 0.8 * equal > balance(measured(0.1, 0.6), 0.1, NEAR).weight


def test_words_written_together_are_several_unknown_words():
    index = UnionIndex.build(["1", "2"], [["red", "car"], ["blue", "car"]])
    found = bm25(*((h.chunk_id, h.score, h.terms) for h in index.search(["red"], 3)))
    red, never = index.idf("red"), math.log(6)
    assert coverage_of(["red", "bus"], index, found) == pytest.approx(red / (red + never))
    assert coverage_of(["red", "x" * 36], index, found) == pytest.approx(red / (red + 3 * never))


def test_a_route_that_finds_next_to_nothing_is_left_out():
    assert balance(measured(0.6, 0.29), 0.0, NEAR).weight == 1.0
    assert balance(measured(0.04, 0.5), 1.0, NEAR).weight == 0.0
    assert balance(measured(0.0, 0.0), 1.0, NEAR).weight < 1.0  # nothing is known of either
    assert balance(measured(0.9, 0.9), 1.0, []).weight == 1.0


@pytest.mark.parametrize("probes", [None, Probes(spread=0.0, quality={})])
def test_without_a_measurement_the_coverage_alone_decides(probes):
    assert balance(probes, 1.0, NEAR).weight == pytest.approx(0.4)
    assert balance(probes, 0.15, NEAR).weight == pytest.approx(0.2)
    assert ("`quarry index PATH --into INDEX`" in str(balance(probes, 1.0, NEAR).reason)) == (probes is None)


def test_coverage_is_the_share_of_idf_mass_that_a_hit_matched():
    index = UnionIndex.build(["1", "2", "3"], [["red", "car"], ["blue", "car"], ["red", "bus"]])
    hit = index.search(["red", "bus", "unknown"], 3)
    hits = bm25(*((h.chunk_id, h.score, h.terms) for h in hit))
    red, bus = index.idf("red"), index.idf("bus")
    assert coverage_of(["red", "bus", "unknown"], index, hits) == pytest.approx((red + bus) / (red + bus + math.log(8)))
    assert coverage_of(["unknown"], index, []) == 0.0


def bm25(*triples: tuple[str, float, tuple[str, ...]]) -> list[Hit]:
    return [Hit(c, s, "bm25", Evidence(bm25=StageScore(r, s), terms=t)) for r, (c, s, t) in enumerate(triples, 1)]


def test_the_stop_words_of_another_language_shrink_the_coverage():
    words = analyzer("jieba")
    passages = ["北京大学图书馆 2024 年开放", "上海的图书馆", "广州"]
    index = UnionIndex.build(["1", "2", "3"], [words.tokens(text) for text in passages])

    def coverage(question):
        found = index.search(words.query_tokens(question), 3)
        return coverage_of(words.tokens(question), index, bm25(*((h.chunk_id, h.score, h.terms) for h in found)))

    assert coverage("2024 年的图书馆") > 0.7
    assert coverage("what is it that was there in 2024") < 0.2


def library() -> list[Document]:
    """Documents of two sentences that share two words of their own, and nothing but small words with other documents."""
    syllables = [first + vowel for first in "bdfgklmn" for vowel in "aeio"]
    names = [one + other + "x" for one in syllables for other in syllables[:4]]
    return [
        Document(f"d{n:03d}", f"Now {one} with {other}, {one} with {other}. Then {other} and {one}, {other} and {one}.")
        for n, (one, other) in enumerate(zip(names[:48], reversed(names), strict=False))
    ]


class Noise(WordEmbedder):
    """Vectors that say nothing of the text but whether it is the same one."""

    def _embed(self, texts):
        seeds = [int.from_bytes(sha256(text.encode()).digest()[:8]) for text in texts]
        rows = np.array([np.random.default_rng(seed).standard_normal(self.spec.dim) for seed in seeds])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Blank:
    """An analyzer that finds no term in any text."""

    name = "tests/blank"

    def tokens(self, text):
        return []

    passage_terms = query_tokens = tokens


def orders(index, embedder, question):
    searcher = Searcher.open(index, embedder=embedder)
    return {
        route: [
            hit.chunk_id for hit in searcher.rank([Query(question, question)], 10, SearchOptions(route=route))[0].hits
        ]
        for route in ("bm25", "dense", "hybrid")
    }


QUESTIONS = ["babax with dedax", "Where is dedax now?", "then bibox and others"]


def test_with_an_encoder_that_knows_nothing_hybrid_search_is_bm25(tmp_path):
    index_documents(tmp_path, library(), Noise())
    quality = Index.open(tmp_path).manifest.probes.quality["all"]
    assert quality.dense < 0.5 * quality.bm25
    for question in QUESTIONS:
        found = orders(tmp_path, Noise(), question)
        assert found["hybrid"][: len(found["bm25"])] == found["bm25"] != found["dense"][: len(found["bm25"])]


def test_with_an_analyzer_that_knows_nothing_hybrid_search_is_dense_search(tmp_path, monkeypatch):
    monkeypatch.setattr("quarry.indexer.build.plan.analyzer", lambda _name: Blank())
    monkeypatch.setattr("quarry.indexer.opened.analyzer", lambda _name: Blank())
    index_documents(tmp_path, library(), WordEmbedder())
    quality = Index.open(tmp_path).manifest.probes.quality["all"]
    assert quality.bm25 == 0 < quality.dense
    for question in QUESTIONS:
        found = orders(tmp_path, WordEmbedder(), question)
        assert found["hybrid"] == found["dense"] != found["bm25"]


def test_the_explanation_says_how_the_sides_were_weighed(tmp_path):
    index_documents(tmp_path, library(), WordEmbedder())
    answer = Searcher.open(tmp_path, embedder=WordEmbedder()).search(QUESTIONS[0])
    (report,) = [report for report in answer.stages if report.stage == "fusion"]
    assert str(report.reason).startswith("BM25 weighs 0.")
    assert "on its own passages this index scores" in str(report.reason)
    assert answer.degraded == ()
