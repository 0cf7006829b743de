"""Feedback as FlagEmbedding rows and BEIR files, and such rows read back with every bad line named."""

import json
from datetime import UTC, datetime

import pytest

from quarry.indexer.errors import FeedbackError
from quarry.retriever.data.trec import read_qrels
from quarry.training.examples.rows import (
    TrainingRow,
    read_training_rows,
    training_rows,
    write_beir,
    write_training_rows,
)
from quarry.training.feedback.judgements import Judgement, query_id

TEXTS = {"d#1": "借书 rules", "d#2": "opening hours", "d#3": "借书 rules", "d#4": "  "}


def judged(query, chunk, grade):
    return Judgement(query, chunk, "d", grade, 1, datetime.now(UTC), "000001")


def test_judgements_become_one_row_per_query():
    rows, report = training_rows(
        [
            judged("q", "d#1", 2),
            judged("Q", "d#2", 0),
            judged("q", "d#3", 0),
            judged("r", "d#1", 0),
            judged("s", "d#2", 1),
        ],
        TEXTS.get,
    )
    assert rows == [TrainingRow("q", ("借书 rules",), ("opening hours",)), TrainingRow("s", ("opening hours",))]
    assert (report.rows, report.without_negatives, report.without_positives, report.missing) == (2, 1, 1, 0)


def test_passages_that_are_gone_are_counted():
    rows, report = training_rows([judged("q", "gone#1", 2), judged("q", "", 2), judged("q", "d#4", 1)], TEXTS.get)
    assert (rows, report.missing, report.rows) == ([], 3, 0)


def test_rows_survive_the_way_to_a_file_and_back(tmp_path):
    rows = [
        TrainingRow("怎么续借", ("a\u2028b", "line\nbreak"), ("n",), (1.0, 0.5), (0.25,), "Given a question", "normal"),
        TrainingRow("q", ("p",)),
    ]
    write_training_rows(tmp_path / "rows.jsonl", rows)
    assert read_training_rows(tmp_path / "rows.jsonl") == rows
    first = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").split("\n")[0]
    assert "怎么续借" in first
    assert set(json.loads(first)) == {"query", "pos", "neg", "pos_scores", "neg_scores", "prompt", "type"}
    assert json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8").split("\n")[1]) == {
        "query": "q",
        "pos": ["p"],
        "neg": [],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"query": "q", "pos": "text", "neg": []}',
            "pos is one text; expected a list of texts, or it would be read letter by letter",
        ),
        ('{"query": "q", "pos": ["p"], "neg": "text"}', "neg is one text; expected a list"),
        ('{"query": "q", "pos": ["p"]}', "neg is missing; expected a list of texts"),
        ('{"query": "q", "pos": [], "neg": []}', "pos is empty; expected at least one"),
        ('{"query": "q", "pos": [1], "neg": []}', "pos holds 1; expected texts"),
        ('{"query": "q", "pos": ["p", null], "neg": []}', "pos holds None; expected texts"),
        ('{"query": "q", "pos": ["p"], "neg": [" "]}', "neg holds ' '; expected texts"),
        ('{"query": " ", "pos": ["p"], "neg": []}', "query is ' '; expected text"),
        ('{"pos": ["p"], "neg": []}', "query is missing; expected text"),
        ('{"query": "q", "pos": ["p"], "neg": [], "pos_scores": [1, 2]}', "pos_scores has 2 numbers for 1 text"),
        ('{"query": "q", "pos": ["p"], "neg": [], "pos_scores": ["1"]}', "expected a list of numbers"),
        ('{"query": "q", "pos": ["p"], "neg": [], "pos_scores": [NaN]}', "expected a list of numbers"),
        ('{"query": "q", "pos": ["p"], "neg": [], "prompt": 1}', "prompt or type is not text"),
        ("[1]", "a JSON list; expected an object"),
        ("{", "not JSON"),
    ],
)
def test_a_bad_line_is_named_with_its_reason(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"query": "q", "pos": ["p"], "neg": [], "id": 7}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(FeedbackError) as caught:
        read_training_rows(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)


def test_a_missing_file_is_a_feedback_error(tmp_path):
    with pytest.raises(FeedbackError, match="cannot be read"):
        read_training_rows(tmp_path / "none.jsonl")


def test_grades_become_a_beir_folder(tmp_path):
    grades = {"怎么续借": {"借书.md": 2, "b": 0}, "q": {"a\tb": 1}}
    report = write_beir(tmp_path / "set", grades)
    assert (report.rows, report.unwritable) == (1, 1)
    assert read_qrels(tmp_path / "set" / "qrels" / "test.tsv").qrels == {query_id("怎么续借"): {"借书.md": 2, "b": 0}}
    lines = (tmp_path / "set" / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"_id": query_id("怎么续借"), "text": "怎么续借"}]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(FeedbackError, match="could not be written"):
        write_beir(tmp_path / "file", {"q": {"d": 1}})
    with pytest.raises(FeedbackError, match="could not be written"):
        write_training_rows(tmp_path / "none" / "rows.jsonl", [TrainingRow("q", ("p",))])
