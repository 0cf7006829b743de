"""Asking an index: routes, explanations, filters, and every way in which a stage can be missing."""

import json
import threading
import time

import pytest

from quarry.indexer.build import build_index, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import EmptyQuery, UnknownFilter
from quarry.indexer.records import Document
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import MAX_QUERY_CHARS, Searcher, SearchOptions
from tests.fakes import OverlapReranker, WordEmbedder
from tests.retriever.library import DOCUMENTS, stages


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", DOCUMENTS, WordEmbedder())
    return tmp_path / "index"


@pytest.fixture
def searcher(index):
    return Searcher.open(index, embedder=WordEmbedder())


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
