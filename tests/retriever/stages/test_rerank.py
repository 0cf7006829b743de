"""Two-stage retrieval: what reranking does to the order, and what a reranker that is broken, slow or stuck does not do."""

import threading
import time

import numpy as np
import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking, StageReport, StageScore
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.stages.rerank import RerankOptions, TwoStage
from tests.fakes import WordEmbedder

TEXTS = {f"d#{row}": f"passage {row}" for row in range(10)}


class First:
    """Ten passages in the order of their number; remembers what it was asked for."""

    def __init__(self, count=10):
        self.count, self.asked = count, []

    def retrieve(self, queries, k, *, allowed=None):
        self.asked.append((k, allowed))
        rows = range(min(k, self.count))
        hits = [
            Hit(f"d#{row}", 1 - row / 100, "fusion", Evidence(fusion=StageScore(row + 1, 1 - row / 100)))
            for row in rows
        ]
        return (
            [Ranking.of(query, hits, k, (StageReport("fusion", "ran"),)) for query in queries]
            if hits
            else [Ranking(q, ()) for q in queries]
        )


class Passages:
    def texts(self, chunk_ids):
        return [TEXTS[chunk_id] for chunk_id in chunk_ids]


class Scorer:
    """Scores a passage by a function of its number and the number of the call."""

    name = "tests/scorer"

    def __init__(self, rule):
        self.rule, self.calls = rule, []

    def score(self, query, passages):
        self.calls.append(list(passages))
        return np.array([self.rule(int(text.split()[1]), len(self.calls)) for text in passages], dtype=np.float32)


def ask(reranker, k=10, first=None, passages=None, **plan):
    (ranking,) = TwoStage(first or First(), reranker, passages or Passages(), RerankOptions(**plan)).retrieve(
        [Query("q", "q")], k
    )
    return ranking


def order(ranking):
    return [int(hit.chunk_id[2:]) for hit in ranking.hits]


def report(ranking):
    (found,) = [entry for entry in ranking.stages if entry.stage == "rerank"]
    return found


def test_the_rerankers_order_wins_and_its_scores_are_kept_beside_those_of_the_first_stage():
    ranking = ask(Scorer(lambda row, _: row), slice_size=4)
    assert order(ranking) == list(range(9, -1, -1))
    best = ranking.hits[0]
    assert (best.stage, best.score) == ("rerank", 9.0)
    assert best.evidence == Evidence(fusion=StageScore(10, 0.91), rerank=StageScore(1, 9.0))
    assert (report(ranking).status, report(ranking).candidates, ranking.degraded) == ("ran", 10, ())


def test_equal_logits_are_ordered_by_id_and_ranked_alike():
    ranking = ask(Scorer(lambda row, _: 5.0))
    assert order(ranking) == list(range(10))
    assert [hit.evidence.rerank.rank for hit in ranking.hits] == list(range(1, 11))


def test_the_first_stage_is_asked_for_depth_candidates_and_only_those_are_scored():
    first, scorer = First(), Scorer(lambda row, _: row)
    ranking = ask(scorer, k=2, first=first, depth=6, slice_size=4)
    assert first.asked == [(6, None)]
    assert [len(call) for call in scorer.calls] == [4, 2]
    assert order(ranking) == [5, 4]


def test_hits_beyond_the_depth_follow_in_their_own_order_without_rerank_evidence():
    ranking = ask(Scorer(lambda row, _: -100.0 - row), k=10, depth=3)
    assert order(ranking) == list(range(10))
    assert [hit.score for hit in ranking.hits] == [-100, -101, -102, *range(-103, -110, -1)]
    assert [hit.evidence.rerank is None for hit in ranking.hits] == [False] * 3 + [True] * 7
    assert report(ranking).status == "ran"


def test_filters_reach_the_first_stage():
    first = First()
    TwoStage(first, Scorer(lambda row, _: row), Passages()).retrieve([Query("q", "q")], 3, allowed={"d#1"})
    assert first.asked == [(50, {"d#1"})]


def test_without_candidates_nothing_is_scored():
    scorer = Scorer(lambda row, _: row)
    ranking = ask(scorer, first=First(0))
    assert (ranking.hits, scorer.calls, str(report(ranking).reason)) == ((), [], "there were no candidates")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error"),
        MemoryError("none left"),
        ModelError("odd weights"),
        OSError("disk"),
        ValueError("shape"),
        KeyError("x"),
    ],
)
def test_an_error_of_any_kind_leaves_the_first_stages_order_and_says_so(error):
    def fail(row, call):
        raise error

    ranking = ask(Scorer(fail))
    assert order(ranking) == list(range(10))
    assert {hit.stage for hit in ranking.hits} == {"fusion"}
    assert report(ranking).status == "failed"
    assert str(error) in str(ranking.degraded[0])
    assert str(ranking.degraded[0]).startswith("rerank: the order of the first stage stands, because ")


def test_a_reranker_that_exits_leaves_the_first_stages_order():
    def leave(row, call):
        raise SystemExit(3)

    ranking = ask(Scorer(leave))
    assert order(ranking) == list(range(10))
    assert "ended without an answer" in str(ranking.degraded[0])


def test_an_error_after_some_slices_keeps_what_was_scored():
    def fail_later(row, call):
        if call == 2:
            raise RuntimeError("second slice")
        return row

    ranking = ask(Scorer(fail_later), slice_size=4)
    assert order(ranking) == [3, 2, 1, 0, 4, 5, 6, 7, 8, 9]
    assert (report(ranking).status, report(ranking).candidates) == ("partial", 4)
    assert "4 of 10 candidates were reranked (the reranker failed: RuntimeError: second slice)" in str(
        ranking.degraded[0]
    )


@pytest.mark.parametrize(
    "scores", [[1.0], np.zeros((10, 1)), ["a"] * 10, None, [float("nan")] * 10, [float("inf")] * 10]
)
def test_what_is_not_one_finite_number_per_passage_is_not_used(scores):
    class Odd:
        name = "tests/odd"

        def score(self, query, passages):
            return scores

    ranking = ask(Odd())
    assert order(ranking) == list(range(10))
    assert report(ranking).status == "failed"


def test_texts_that_cannot_be_read_do_not_lose_the_query():
    class Broken:
        def texts(self, chunk_ids):
            raise KeyError(f"there is no chunk {chunk_ids[0]!r}")

    ranking = ask(Scorer(lambda row, _: row), passages=Broken())
    assert order(ranking) == list(range(10))
    assert "there is no chunk" in str(ranking.degraded[0])


def test_the_budget_cuts_between_slices_and_the_rest_keeps_its_order():
    def slow(row, call):
        time.sleep(0.05)
        return row

    ranking = ask(Scorer(slow), slice_size=2, budget_ms=330)
    scored = report(ranking).candidates
    assert report(ranking).status == "partial"
    assert 2 <= scored < 10
    assert order(ranking) == [*range(scored - 1, -1, -1), *range(scored, 10)]
    assert f"{scored} of 10 candidates" in str(ranking.degraded[0])


def test_a_reranker_that_hangs_costs_the_budget_and_does_not_pile_up():
    release = threading.Event()
    hung = Scorer(lambda row, call: release.wait(30))
    stage = TwoStage(First(), hung, Passages(), RerankOptions(budget_ms=80))
    started = time.perf_counter()
    rankings = [stage.retrieve([Query("q", "q")], 10)[0] for _ in range(6)]
    assert time.perf_counter() - started < 5
    assert [order(ranking) for ranking in rankings] == [list(range(10))] * 6
    assert "took longer than the time budget" in str(rankings[0].degraded[0])
    assert all("still busy" in str(ranking.degraded[0]) for ranking in rankings[2:])
    assert len(hung.calls) == 2
    release.set()


def test_a_searcher_does_not_pile_up_hanging_calls_either(tmp_path):
    release = threading.Event()
    index_documents(tmp_path / "i", [Document("a.md", "renew books", "a")], WordEmbedder())

    class Hangs:
        name, calls = "tests/hangs", 0

        def score(self, query, passages):
            self.calls += 1
            release.wait(30)
            return np.zeros(len(passages), np.float32)

    reranker = Hangs()
    searcher = Searcher.open(tmp_path / "i", embedder=WordEmbedder(), rerank=reranker)
    answers = [searcher.search("renew books", options=SearchOptions(rerank_budget_ms=60)) for _ in range(5)]
    release.set()
    assert reranker.calls == 2
    assert "still busy" in str(answers[-1].degraded[0])
    assert all(answer.results[0].doc_id == "a.md" for answer in answers)


@pytest.mark.parametrize("plan", [{"depth": 0}, {"slice_size": 0}, {"budget_ms": 0.0}])
def test_a_plan_without_sense_is_refused(plan):
    with pytest.raises(ValueError, match="expected depth and slice size of at least 1 and a budget above 0"):
        RerankOptions(**plan)


class Relative:
    """A CandidateReranker: sees hits, and all of them at once."""

    name = "tests/relative"

    def __init__(self, scores):
        self.scores, self.seen = scores, []

    def rerank(self, query, candidates):
        self.seen.append([(hit.chunk_id, hit.score) for hit in candidates])
        if isinstance(self.scores, Exception):
            raise self.scores
        return np.asarray(self.scores(len(candidates)), dtype=np.float32)


def test_a_reranker_of_candidates_sees_ids_and_first_scores_in_one_call():
    reranker = Relative(lambda count: range(count))
    ranking = ask(reranker, k=3, depth=4)
    assert reranker.seen == [[("d#0", 1.0), ("d#1", 0.99), ("d#2", 0.98), ("d#3", 0.97)]]
    assert [hit.chunk_id for hit in ranking.hits] == ["d#3", "d#2", "d#1"]
    assert ranking.hits[0].evidence.rerank == StageScore(1, 3.0)
    assert ranking.stages[-1].status == "ran" and ranking.stages[-1].candidates == 4


def test_a_reranker_of_candidates_may_leave_the_order_and_say_why():
    class Content(Relative):
        def rerank(self, query, candidates):
            return Message.of("tests.content", "content with the order")

    ranking = ask(Content(None), k=3)
    assert [hit.chunk_id for hit in ranking.hits] == ["d#0", "d#1", "d#2"]
    assert ranking.stages[-1].status == "ran" and str(ranking.stages[-1].reason) == "content with the order"
    assert not ranking.degraded


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (ModelError("the states are gone"), "the states are gone"),
        (lambda count: range(count + 1), "11 scores"),
        (lambda count: [float("nan")] * count, "not all of them finite"),
    ],
)
def test_the_first_order_stands_when_a_reranker_of_candidates_fails(scores, reason):
    ranking = ask(Relative(scores), k=10)
    assert [hit.chunk_id for hit in ranking.hits] == [f"d#{row}" for row in range(10)]
    assert ranking.stages[-1].status == "failed" and reason in str(ranking.stages[-1].reason)
