"""Retrieval and reranking tasks cut from a data set with a corpus."""

import json

import pytest

from quarry.indexer.records import Document
from quarry.retriever.benchmark.tasks.search_data import bm25_candidates, read_search
from quarry.retriever.benchmark.tasks.task_data import TaskChoice
from quarry.retriever.ranking import Query


def word(number):
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:03}") + "x"


@pytest.fixture
def folder(tmp_path):
    documents = [{"_id": f"d{n}", "title": f"T{n}", "text": f"{word(n)} shared 图书馆"} for n in range(200)]
    queries = [{"_id": f"q{n}", "text": word(n)} for n in range(40)]
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    rows = [f"q{n}\td{n}\t1\nq{n}\td{n + 100}\t0\n" for n in range(38)] + ["q38\td38\t0\n", "q39\tgone\t1\n"]
    (tmp_path / "qrels" / "test.tsv").write_text("".join(rows))
    return tmp_path


def test_queries_that_cannot_be_answered_are_left_out(folder):
    data = read_search(TaskChoice(folder, "Retrieval"), None)
    assert (len(data.queries), len(data.documents), data.candidates) == (38, 200, {})
    assert (data.size, data.sampled) == ("38 queries, 200 documents", False)
    assert data.qrels["q0"] == {"d0": 1, "d100": 0}


def test_a_sample_keeps_its_judged_documents_and_competition(folder):
    data = read_search(TaskChoice(folder, "Retrieval"), 5)
    assert (data.size, data.sampled) == ("5 of 38 queries, 100 of 200 documents", True)
    kept = {document.doc_id for document in data.documents}
    assert all(set(data.qrels[query.query_id]) <= kept for query in data.queries)
    assert read_search(TaskChoice(folder, "Retrieval"), 5).digest == data.digest
    assert read_search(TaskChoice(folder, "Retrieval"), 6).digest != data.digest


def test_candidates_are_the_hits_of_bm25_and_the_judged_documents(folder):
    data = read_search(TaskChoice(folder, "Reranking"), None)
    assert data.candidates["q7"] == ["d107", "d7"]  # d7 has the word, d107 is judged not relevant
    assert {document.doc_id for document in data.documents} == {
        doc_id for found in data.candidates.values() for doc_id in found
    }


def test_no_more_than_count_hits_are_candidates():
    corpus = {f"d{n}": Document(f"d{n}", "借书 " * (n + 1)) for n in range(9)}
    found = bm25_candidates([Query("q", "借书")], corpus, {"q": {"d0": 1}}, count=3)
    assert len(found["q"]) in (3, 4)
    assert "d0" in found["q"]
    assert found["q"] == sorted(found["q"])


def test_a_corpus_without_any_answer_is_an_error(folder):
    (folder / "qrels" / "test.tsv").write_text("q0\tgone\t1\n")
    with pytest.raises(ValueError, match="no query has a relevant document in the corpus"):
        read_search(TaskChoice(folder, "Retrieval"), None)
