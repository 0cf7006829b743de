"""Asking an index: routes, explanations, filters, and every way in which a stage can be missing."""

import json
import shutil
import threading
import time

import numpy as np
import pytest

from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import EmptyQuery, IndexMismatchError, UnknownFilter
from quarry.indexer.lake.relabel import with_reranker
from quarry.indexer.messages import Message
from quarry.indexer.models.digest import content_digest
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.facts import RerankerFacts
from quarry.retriever.models.recorded import served_reranker
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import MAX_QUERY_CHARS, Searcher, SearchOptions
from tests.fakes import OverlapReranker, WordEmbedder

DOCUMENTS = [
    Document(
        "loans.md", "# Loans\n\nBorrow ten books for thirty days. Renew books twice online.", "Loans", {"lang": "en"}
    ),
    Document(
        "printer.md", "# 3D printer\n\nThe PR-200 takes PLA filament. Clean the nozzle.", "3D printer", {"lang": "en"}
    ),
    Document("借书.md", "# 借书\n\n每位读者可以借十本书，借期三十天，可以在网上续借两次。", "借书", {"lang": "zh"}),
    Document("hours.md", "Page one.\n\f\nThe library opens at nine and closes at eight.", "Hours", {"lang": "en"}),
]


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder())
    return tmp_path / "index"


@pytest.fixture
def searcher(index):
    return Searcher.open(index, embedder=WordEmbedder())


def stages(answer) -> dict[str, str]:
    return {report.stage: report.status for report in answer.stages}


def test_an_answer_carries_text_source_offsets_and_evidence(searcher):
    answer = searcher.search("renew the books", k=2)
    first = answer.results[0]
    document = DOCUMENTS[0]
    assert (first.rank, first.doc_id, first.title, first.stage) == (1, "loans.md", "Loans", "fusion")
    assert document.text[first.start : first.end] == first.text
    assert {first.text[a:b].lower() for a, b in first.highlights} == {"books", "renew"}
    assert first.evidence.bm25.rank == first.evidence.fusion.rank == 1
    assert first.evidence.dense.rank in (1, 2)
    assert set(first.evidence.terms) == {"renew", "book"}
    assert stages(answer) == {"dense": "ran", "bm25": "ran", "fusion": "ran", "rerank": "off"}
    assert answer.degraded == ()
    assert answer.generation == "000001"
    json.dumps(answer.to_dict())


def test_chinese_is_found_and_highlighted(searcher):
    first = searcher.search("怎么续借图书？", k=1).results[0]
    assert first.doc_id == "借书.md"
    assert "续借" in {first.text[a:b] for a, b in first.highlights}


@pytest.mark.parametrize(("route", "stage"), [("dense", "dense"), ("bm25", "bm25"), ("hybrid", "fusion")])
def test_routes(searcher, route, stage):
    answer = searcher.search("clean the nozzle of the printer", k=3, options=SearchOptions(route=route))
    assert answer.results[0].doc_id == "printer.md"
    assert {result.stage for result in answer.results} == {stage}
    scores = [result.score for result in answer.results]
    assert scores == sorted(scores, reverse=True)


def test_bm25_gives_nothing_rather_than_zero_scores(searcher):
    assert searcher.search("zzz unknown words", options=SearchOptions(route="bm25")).results == ()


def test_pages_are_told(searcher):
    assert searcher.search("when does the library open", k=1).results[0].page == 1  # where the passage begins
    assert searcher.index.chunks.page_at("hours.md", 20) == 2
    assert searcher.search("renew books", k=1).results[0].page is None


def test_a_filter_is_applied_before_the_cut(searcher):
    for route in ("dense", "bm25", "hybrid"):
        answer = searcher.search("借十本书 books", k=3, options=SearchOptions(route=route, filters={"lang": ["en"]}))
        assert {result.meta["lang"] for result in answer.results} == {"en"}
    assert (
        len(searcher.search("books", k=3, options=SearchOptions(route="dense", filters={"lang": ["en"]})).results) == 3
    )
    assert searcher.search("books", options=SearchOptions(filters={"lang": ["fr"]})).results == ()


def test_the_reranker_decides_the_order_and_leaves_its_evidence(index):
    reranker = OverlapReranker()
    searcher = Searcher.open(index, embedder=WordEmbedder(), rerank=reranker)
    answer = searcher.search("renew books twice online", k=4)
    assert stages(answer)["rerank"] == "ran"
    assert answer.results[0].evidence.rerank.rank == 1
    assert answer.results[0].score == answer.results[0].evidence.rerank.score
    assert reranker.passages_scored > 0
    off = searcher.search("renew books twice online", options=SearchOptions(rerank=False))
    assert stages(off)["rerank"] == "off"


class Failing:
    name = "tests/failing"

    def score(self, query, passages):
        raise RuntimeError("CUDA error: out of luck")


class Hanging:
    name = "tests/hanging"

    def __init__(self):
        self.release = threading.Event()

    def score(self, query, passages):
        self.release.wait(30)
        return np.zeros(len(passages), np.float32)


def test_a_failing_reranker_leaves_the_fused_order_and_says_so(index):
    plain = Searcher.open(index, embedder=WordEmbedder()).search("renew books")
    answer = Searcher.open(index, embedder=WordEmbedder(), rerank=Failing()).search("renew books")
    assert [r.chunk_id for r in answer.results] == [r.chunk_id for r in plain.results]
    assert [str(loss) for loss in answer.degraded] == [
        "rerank: the order of the first stage stands, because the reranker failed: RuntimeError: CUDA error: out of luck"
    ]


def test_a_hanging_reranker_costs_its_budget_only(index):
    hanging = Hanging()
    searcher = Searcher.open(index, embedder=WordEmbedder(), rerank=hanging)
    answer = searcher.search("renew books", options=SearchOptions(rerank_budget_ms=100))
    assert answer.results[0].doc_id == "loans.md"
    assert "longer than the time budget" in str(answer.degraded[0])
    hanging.release.set()


def test_scores_that_are_no_numbers_are_not_used(index):
    class Broken:
        name = "tests/broken"

        def score(self, query, passages):
            return np.full(len(passages), np.nan, np.float32)

    answer = Searcher.open(index, embedder=WordEmbedder(), rerank=Broken()).search("renew books")
    assert answer.results[0].doc_id == "loans.md"
    assert "not all of them finite" in str(answer.degraded[0])


def test_without_its_model_the_index_answers_by_bm25_and_says_so(index):
    answer = Searcher.open(index).search("怎么续借")  # tests/words is no model that can be found
    assert answer.results[0].doc_id == "借书.md"
    assert stages(answer)["dense"] == "missing"
    assert "tests/words" in str(answer.degraded[0])
    assert str(answer.degraded[0]).startswith("dense: BM25 answered alone, because ")
    dense = Searcher.open(index).search("怎么续借", options=SearchOptions(route="dense"))
    assert dense.results[0].stage == "bm25"


def test_without_vectors_the_index_answers_by_bm25_and_names_the_command(tmp_path):
    index_documents(tmp_path / "i", DOCUMENTS, None)
    answer = Searcher.open(tmp_path / "i").search("renew books")
    assert answer.results[0].doc_id == "loans.md"
    assert "--model auto --rebuild" in str(answer.degraded[0])


def test_an_encoder_that_fails_or_hangs_at_query_time_loses_no_query(index):
    class FailsAtQueries(WordEmbedder):
        def embed_queries(self, texts):
            raise MemoryError("no memory")

    answer = Searcher.open(index, embedder=FailsAtQueries()).search("renew books")
    assert answer.results[0].doc_id == "loans.md"
    (loss,) = map(str, answer.degraded)
    assert loss.startswith(
        "dense: BM25 answered alone, because dense search failed: there is not enough memory (no memory)"
    )

    release = threading.Event()

    class Hangs(WordEmbedder):
        def embed_queries(self, texts):
            release.wait(30)
            return super().embed_queries(texts)

    slow = Searcher.open(index, embedder=Hangs()).search("renew books", options=SearchOptions(dense_budget_ms=100))
    release.set()
    assert slow.results[0].doc_id == "loans.md"
    assert "time budget" in str(slow.degraded[0])


def test_without_the_gpu_that_was_asked_for_the_cpu_answers_and_says_so():
    import torch

    from quarry.retriever.models.recorded import usable_device

    if torch.cuda.is_available():
        assert usable_device("cuda") == ("cuda", None)
    else:
        device, notice = usable_device("cuda")
        assert (device, str(notice)) == ("cpu", "device cuda is not available; the CPU is used")
    assert usable_device("auto") == ("auto", None)


def test_another_embedder_is_refused(index):
    with pytest.raises(IndexMismatchError, match="this embedder differs: revision '1' against '2'"):
        Searcher.open(index, embedder=WordEmbedder(revision="2"))


@pytest.mark.parametrize("text", ["", "   ", "\0\n"])
def test_an_empty_query_is_refused(searcher, text):
    with pytest.raises(ValueError, match="is empty; expected a question or some keywords"):
        searcher.search(text)


def test_k_of_zero_is_refused_and_a_large_k_is_fine(searcher):
    with pytest.raises(ValueError, match="k is 0; expected at least 1"):
        searcher.search("books", k=0)
    assert len(searcher.search("books", k=10_000).results) == 4


def test_a_query_of_100000_characters_is_cut_with_a_notice(searcher):
    answer = searcher.search("renew books 续借 " * 7000)
    assert [str(notice) for notice in answer.notices] == [
        f"the query has 104,999 characters and was cut to its first {MAX_QUERY_CHARS:,}"
    ]
    assert {result.doc_id for result in answer.results} >= {"loans.md", "借书.md"}


def test_odd_characters_in_a_query_do_no_harm(searcher):
    assert (
        searcher.search("renew\ud800 books\0 \x1b[31m", options=SearchOptions(route="bm25")).results[0].doc_id
        == "loans.md"
    )


def test_a_batch_answers_as_one_by_one(searcher):
    queries = [Query("1", "renew books"), Query("2", "怎么续借"), Query("3", "clean the nozzle")]
    together = searcher.search_many(queries, 3)
    alone = [searcher.search(query.text, 3) for query in queries]
    assert [[r.chunk_id for r in a.results] for a in together] == [[r.chunk_id for r in a.results] for a in alone]
    assert searcher.search_many([], 3) == []


def test_a_run_of_documents_takes_the_best_passage_and_keeps_empty_queries(searcher):
    _, run = document_run(searcher, [Query("1", "renew books"), Query("2", "  ")], 2, SearchOptions())
    assert run["1"][0][0] == "loans.md"
    assert len(run["1"]) == 2
    assert run["2"] == []


def test_threads_can_share_a_searcher(searcher):
    expected = [r.chunk_id for r in searcher.search("renew books").results]
    found, threads = [], []
    for _ in range(8):
        thread = threading.Thread(
            target=lambda: found.extend([r.chunk_id for r in searcher.search("renew books").results] for _ in range(10))
        )
        threads.append(thread)
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80


def test_a_searcher_keeps_its_generation_and_a_new_one_sees_the_next(index, searcher):
    index_documents(index, [Document("new.md", "renew renew renew", "New")], WordEmbedder(), BuildOptions(keep=1))
    assert "new.md" not in {r.doc_id for r in searcher.search("renew").results}
    assert "new.md" in {r.doc_id for r in Searcher.open(index, embedder=WordEmbedder()).search("renew").results}


def test_five_lines_of_library_use(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Ticket\n\nThe ticket costs four euros.")
    build_index(tmp_path / "index", [tmp_path / "docs"], WordEmbedder())
    assert (
        Searcher.open(tmp_path / "index", embedder=WordEmbedder()).search("price of a ticket").results[0].source
        == "docs/a.md"
    )


@pytest.fixture
def recorded(index):
    """The index with a tiny real cross-encoder that it records as its own."""
    from tests.retriever.rerankers.tiny_rerankers import make

    folder = make(index / "models" / "first", "xlm-roberta")
    facts = RerankerFacts(
        model="tests/own",
        digest=content_digest(folder.resolve()),
        folder="models/first",
        base="b",
        parent="000001",
        run="first",
        verdict="better",
        forced=False,
        promoted="2026-01-01T00:00:00+00:00",
    )
    with_reranker(
        index,
        facts,
        Message.of("tuning.reranker_promoted", "promoted the reranker"),
        expected=Index.open(index).manifest,
    )
    return folder


def rerank_stage(index, wanted):
    answer = Searcher.open(index, embedder=WordEmbedder(), rerank=wanted, device="cpu").search("renew books")
    return next(report for report in answer.stages if report.stage == "rerank"), answer


def test_auto_is_the_reranker_that_the_index_records(index, recorded):
    report, answer = rerank_stage(index, "auto")
    assert report.status == "ran"
    assert answer.degraded == ()
    assert served_reranker(index, Index.open(index).manifest.reranker).folder == recorded.resolve()
    assert rerank_stage(index, "none")[0].status == "off"


def test_a_recorded_reranker_that_was_changed_or_lost_is_said_and_the_fused_order_stands(index, recorded):
    (recorded / "added.json").write_text("{}")
    report, answer = rerank_stage(index, "auto")
    assert report.status == "missing"
    assert "the reranker tests/own that this index records was changed in" in str(answer.degraded[0])
    assert f"quarry models rollback {index}" in str(answer.degraded[0])
    assert [r.chunk_id for r in answer.results] == [r.chunk_id for r in rerank_stage(index, "none")[1].results]
    shutil.rmtree(recorded)
    assert "is missing in" in str(rerank_stage(index, "auto")[1].degraded[0])


def test_the_time_of_an_answer_is_that_of_the_whole_with_texts_and_highlights(searcher, monkeypatch):
    read = type(searcher.index.chunks).chunks

    def slow(table, chunk_ids):
        time.sleep(0.3)
        return read(table, chunk_ids)

    monkeypatch.setattr(type(searcher.index.chunks), "chunks", slow)
    assert searcher.search("renew books").milliseconds >= 300


def test_a_long_query_keeps_its_id_so_that_a_run_has_one_entry_for_it(searcher):
    name = "q" * 300
    _, run = document_run(searcher, [Query(name, "renew books " * 1000)], 2, SearchOptions())
    assert list(run) == [name]
    assert run[name][0][0] == "loans.md"


def test_a_query_of_control_characters_only_is_empty_in_a_run(searcher):
    _, run = document_run(searcher, [Query("1", "\0"), Query("2", "renew books")], 2, SearchOptions())
    assert run["1"] == []
    assert run["2"][0][0] == "loans.md"


@pytest.mark.parametrize(("route", "named"), [("hybrid", ["dense", "bm25"]), ("dense", ["dense"]), ("bm25", ["bm25"])])
def test_a_filter_that_matches_nothing_is_the_reason_in_the_stages_and_in_json(searcher, route, named):
    answer = searcher.search("books", options=SearchOptions(route=route, filters={"lang": ["fr", "de"]}))
    assert [report.stage for report in answer.stages] == named
    assert {str(report.reason) for report in answer.stages} == {"no document matches the filter lang=fr|de"}
    assert [stage["reason"] for stage in answer.to_dict()["stages"]] == [
        "no document matches the filter lang=fr|de"
    ] * len(named)


def test_what_a_user_asks_wrongly_has_a_type(searcher):
    with pytest.raises(UnknownFilter, match="no document has the metadata colour; expected one of doc_id, lang, title"):
        searcher.search("books", options=SearchOptions(filters={"colour": ["red"]}))
    with pytest.raises(EmptyQuery, match="^the query is empty; expected a question or some keywords"):
        searcher.search(" ")
    with pytest.raises(EmptyQuery, match="the query q7 is empty"):
        searcher.search_many([Query("q7", "\0")])
