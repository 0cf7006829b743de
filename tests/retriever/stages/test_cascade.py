"""Late interaction, then a cross-encoder on what it put first: how deep, in which time, and what the answer says."""

import time

import numpy as np
import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.records import Document
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking, StageReport, StageScore
from quarry.retriever.rerankers.cross_encoder import load_reranker
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.stages.cascade import Cascade
from quarry.retriever.stages.rerank import RerankOptions, TwoStage
from tests.m3 import make_m3
from tests.retriever.rerankers.tiny_rerankers import make

TEXTS = {f"d#{row:02}": str(row) for row in range(60)}


class First:
    def retrieve(self, queries, k, *, allowed=None):
        hits = [
            Hit(f"d#{row:02}", 1 - row / 100, "fusion", Evidence(fusion=StageScore(row + 1, 1 - row / 100)))
            for row in range(60)
        ]
        return [Ranking.of(query, hits, k, (StageReport("fusion", "ran"),)) for query in queries]


class Passages:
    def texts(self, chunk_ids):
        return [TEXTS[chunk_id] for chunk_id in chunk_ids]


class Reversing:
    """A candidate reranker that turns the order around, declines, or fails."""

    name = "tests/late"

    def __init__(self, outcome=None):
        self.outcome = outcome

    def rerank(self, query, candidates):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome or np.arange(len(candidates), dtype=np.float32)


class Clock:
    """Stands still until somebody works."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr("quarry.retriever.stages.rerank.perf_counter", found)
    return found


class Slow:
    """A cross-encoder that takes some milliseconds per passage, of a clock or really, and prefers small numbers."""

    name = "tests/cross"

    def __init__(self, milliseconds=0.0, clock=None):
        self.milliseconds, self.clock, self.calls = milliseconds, clock, []

    def score(self, query, passages):
        self.calls.append([int(text) for text in passages])
        took = self.milliseconds / 1000 * len(passages)
        if self.clock is None:
            time.sleep(took)
        else:
            self.clock.now += took
        return np.array([-float(text) for text in passages], dtype=np.float32)


def ask(late, cross, k=60, budget_ms=8000.0, depth=50):
    plan = RerankOptions(depth=depth, budget_ms=budget_ms)
    first = TwoStage(First(), late, Passages(), plan)
    (ranking,) = Cascade(first, TwoStage(first, cross, Passages(), plan)).retrieve([Query("q", "q")], k)
    return ranking


def order(ranking):
    return [int(hit.chunk_id[2:]) for hit in ranking.hits]


def reports(ranking):
    return [(report.stage, report.status, report.candidates) for report in ranking.stages]


def test_the_cross_encoder_reads_the_first_twenty_of_late_interactions_order():
    cross = Slow()
    ranking = ask(Reversing(), cross)
    assert [number for call in cross.calls for number in call] == list(range(49, 29, -1))
    assert order(ranking) == [*range(30, 50), *range(29, -1, -1), *range(50, 60)]
    assert reports(ranking) == [("fusion", "ran", 0), ("late", "ran", 50), ("rerank", "ran", 20)]
    assert not ranking.degraded and ranking.stages[-1].reason is None


def test_both_stages_ranks_are_kept_and_what_only_late_interaction_scored_has_no_other():
    ranking = ask(Reversing(), Slow())
    best, below = ranking.hits[0].evidence, ranking.hits[20].evidence
    assert (best.fusion.rank, best.late.rank, best.rerank.rank) == (31, 20, 1)
    assert (below.fusion.rank, below.late.rank, below.rerank) == (30, 21, None)
    assert ranking.hits[-1].evidence.late is None


def test_a_slow_one_reads_as_many_as_fit_at_its_measured_speed_but_ten_at_least(clock):
    cross = Slow(milliseconds=20, clock=clock)
    ranking = ask(Reversing(), cross, budget_ms=380)  # 15 take 300 ms, 20 would take 400
    assert [len(call) for call in cross.calls] == [5, 5, 5]
    report = ranking.stages[-1]
    assert (report.status, report.candidates) == ("ran", 15) and not ranking.degraded
    assert report.reason.code == "stages.as_deep_as_time_allows"
    assert str(report.reason).startswith("the first 15: at 20 ms each, more would not fit into")
    assert report.milliseconds == pytest.approx(300)
    ask(Reversing(), cross, budget_ms=210)
    assert [len(call) for call in cross.calls[3:]] == [5, 5]


def test_one_that_does_not_reach_ten_in_time_says_so():
    ranking = ask(Reversing(), Slow(milliseconds=60), budget_ms=450)
    assert ranking.stages[-1].status == "partial" and ranking.stages[-1].candidates == 5
    assert "5 of 20 candidates were reranked" in str(ranking.degraded[0])
    assert order(ranking)[:5] == [45, 46, 47, 48, 49]  # the others keep late interaction's order below them
    assert order(ranking)[5:8] == [44, 43, 42]


def test_the_time_that_late_interaction_took_is_not_there_twice(clock):
    class Late(Reversing):
        def rerank(self, query, candidates):
            clock.now += 0.2
            return super().rerank(query, candidates)

    cross = Slow(milliseconds=10, clock=clock)
    ranking = ask(Late(), cross, budget_ms=370)  # 170 ms are left: 15 passages, not 20
    assert sum(map(len, cross.calls)) == 15 and ranking.stages[-1].status == "ran"


def test_where_late_interaction_leaves_the_order_the_cross_encoder_reads_all_candidates():
    cross = Slow()
    ranking = ask(Reversing(Message.of("rerankers.words_shared", "left as it is")), cross)
    assert sum(map(len, cross.calls)) == 50 and reports(ranking)[1:] == [("late", "ran", 0), ("rerank", "ran", 50)]
    assert ranking.hits[0].evidence.late is None and ranking.hits[0].evidence.rerank is not None


def test_late_interaction_that_fails_is_said_and_the_cross_encoder_still_answers():
    ranking = ask(Reversing(OSError("disk")), Slow())
    assert reports(ranking)[1:] == [("late", "failed", 0), ("rerank", "ran", 50)]
    (loss,) = ranking.degraded
    assert str(loss).startswith("late: ") and "disk" in str(loss)


def test_fewer_are_reranked_where_fewer_are_asked_for():
    cross = Slow()
    ask(Reversing(), cross, depth=7)
    assert sum(map(len, cross.calls)) == 7


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Thirty documents in an index of a tiny bge-m3, and a tiny cross-encoder."""
    root = tmp_path_factory.mktemp("cascade")
    folder = make_m3(root / "m3")
    embedder = load_embedder(folder, model_id="BAAI/bge-m3", revision=content_digest(folder), device="cpu:float32")
    documents = [Document(f"d{row}", f"Shelf {row} holds books about {'abc' * (row % 5 + 1)}.") for row in range(30)]
    index_documents(root / "i", documents, embedder, BuildOptions(model_folder=str(folder)))
    make(root / "cross", "xlm-roberta")
    return root


def test_a_real_cross_encoder_comes_after_the_models_own_heads(index):
    cross = load_reranker(index / "cross", device="cpu:float32")
    searcher = Searcher.open(index / "i", rerank=cross)
    answer = searcher.search("which shelf holds books", k=25, options=SearchOptions(rerank_depth=30))
    stages = {report.stage: report for report in answer.stages}
    assert (stages["late"].candidates, stages["rerank"].candidates) == (30, 20) and not answer.degraded
    scored = [result for result in answer.results if result.evidence.rerank]
    assert [result.evidence.rerank.rank for result in scored] == list(range(1, 21))
    assert {result.evidence.late.rank for result in scored} == set(range(1, 21))
    logits = cross.score("which shelf holds books", [result.text for result in scored])
    np.testing.assert_allclose([result.evidence.rerank.score for result in scored], logits, atol=1e-4)
    assert searcher.meetings("which shelf holds books", answer.results[0])


def test_explain_shows_the_ranks_of_both(index):
    asked = ["search", str(index / "i"), "which shelf", "-k", "1", "--explain", "--rerank", str(index / "cross")]
    result = CliRunner().invoke(cli, asked)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.output.partition("below the cut:")[0].splitlines() if " | late #" in line]
    assert " | rerank #1 " in line
    assert any(line.startswith("late ") for line in result.output.splitlines())
