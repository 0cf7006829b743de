"""Rows and texts that stay in their files: read in any order, labels and inferences as negatives, bad lines named."""

import json

import pytest

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.row import NO_INSTRUCTION
from quarry.training.examples.row_files import RowFiles
from quarry.training.examples.rows import write_training_rows
from quarry.training.examples.text_files import TextFiles
from tests.training.tiny_model import topic_rows


def lines(path, *contents):
    path.write_text("\n".join(json.dumps(content, ensure_ascii=False) for content in contents), encoding="utf-8")
    return path


def test_rows_are_read_in_any_order_as_they_are_in_memory(tmp_path):
    rows = topic_rows(50, negatives=2)
    write_training_rows(tmp_path / "rows.jsonl", rows)
    found = RowFiles.open([tmp_path / "rows.jsonl"])
    assert list(found) == rows
    assert [found[place] for place in (49, 0, 17)] == [rows[49], rows[0], rows[17]]
    assert found[10:12] == rows[10:12]
    with pytest.raises(IndexError):
        found[50]


def test_labels_become_positives_and_the_other_labels_negatives(tmp_path):
    path = lines(
        tmp_path / "news.jsonl",
        {"text": "a match", "label": "sport"},
        {"text": "股市上涨", "label": "财经", "prompt": "Which section?"},
        {"text": "a poll", "label": 7, "type": "clustering"},
    )
    first, second, third = RowFiles.open([path])
    assert (first.query, first.pos, first.neg, first.kind) == ("a match", ("sport",), ("财经", "7"), "classification")
    assert second.prompt == "Which section?"
    assert (third.pos, third.neg, third.kind) == (("7",), ("sport", "财经"), "clustering")


def test_an_inference_that_contradicts_is_a_negative_of_its_premise(tmp_path):
    path = lines(
        tmp_path / "nli.jsonl",
        {"premise": "A man eats.", "hypothesis": "He sleeps.", "label": "contradiction"},
        {"premise": "A man eats.", "hypothesis": "Somebody eats.", "label": "entailment"},
        {"premise": "A man eats.", "hypothesis": "He likes it.", "label": 1},
        {"premise": "It rains.", "hypothesis": "It is wet.", "label": 0},
    )
    found = RowFiles.open([path])
    assert [(row.query, row.pos, row.neg, row.kind) for row in found] == [
        ("A man eats.", ("Somebody eats.",), ("He sleeps.",), "nli"),
        ("It rains.", ("It is wet.",), (), "nli"),
    ]
    assert {str(reason): count for reason, count in found.left_out.items()} == {
        "inferences that neither follow nor contradict": 1
    }


def test_each_of_several_files_is_a_data_set_of_its_own(tmp_path):
    lines(tmp_path / "a.jsonl", {"query": "q", "pos": ["p"]}, {"query": "s", "pos": ["t"], "type": "symmetric_sts"})
    (tmp_path / "b.tsv").write_text("query\tpos\nx\ty\n", encoding="utf-8")
    assert [row.kind for row in RowFiles.open([tmp_path])] == ["retrieval:a", "symmetric_sts:a", "retrieval:b"]


def test_an_empty_prompt_is_no_instruction_and_null_is_the_models_own(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", {"query": "q", "pos": ["p"], "prompt": ""}, {"query": "r", "pos": ["p"], "prompt": None}
    )
    first, second = RowFiles.open([path])
    assert (first.prompt, second.prompt) == (NO_INSTRUCTION, "")
    write_training_rows(tmp_path / "again.jsonl", [first, second])
    assert [row.prompt for row in RowFiles.open([tmp_path / "again.jsonl"])] == [NO_INSTRUCTION, ""]


def test_bad_lines_are_left_out_and_named_or_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"query": "q", "pos": ["p"]}\n{"query": "r", "pos": []}\n{"text": "t", "label": ""}\nno\n', encoding="utf-8"
    )
    found = RowFiles.open([path])
    assert len(found) == 1
    assert [str(row).split(": ", 1)[0] for row in found.bad_rows] == [f"{path}:2", f"{path}:3", f"{path}:4"]
    with pytest.raises(FeedbackError, match="has 3 bad lines: .*a.jsonl:2: pos is empty"):
        RowFiles.open([path], strict=True)
    empty = lines(tmp_path / "empty.jsonl", {"query": "q"})
    with pytest.raises(FeedbackError, match="1 bad line"):
        RowFiles.open([empty])


def test_texts_come_from_lines_corpora_and_pairs(tmp_path):
    (tmp_path / "a.txt").write_text("one text\n\n第二段文本\n", encoding="utf-8")
    lines(
        tmp_path / "b.jsonl", {"title": "T", "text": "body"}, {"query": "q", "pos": ["first", "second"]}, {"other": 1}
    )
    found = TextFiles([tmp_path / "a.txt", tmp_path / "b.jsonl"])
    assert [row.query for row in found] == ["one text", "第二段文本", "T\nbody", "first", "second"]
    assert found[3].pos == ("first",)
    assert [str(row).split(": ", 1)[0] for row in found.bad_rows] == [f"{tmp_path / 'b.jsonl'}:3"]
    with pytest.raises(FeedbackError, match="hold no text"):
        TextFiles([lines(tmp_path / "c.jsonl", {"text": ""})])
