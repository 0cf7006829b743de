"""JSON: rows become documents, other values readable lines; nothing that has text is lost."""

from pathlib import Path

import pytest

from quarry.indexer.readers.base import ReadOptions, Unreadable
from quarry.indexer.readers.text.rows import read_json, read_jsonl

OPTIONS = ReadOptions()


def test_a_list_of_texts_gives_a_document_each():
    content = (
        '[{"id": 5, "title": "题", "content": "one"}, {"text": "two", "metadata": {"a": null, "b": [1], "c": "中"}}]'
    )
    first, second = read_json(Path("a.json"), content.encode(), OPTIONS).extracts
    assert (first.row_id, first.title, first.text, first.beir) == ("5", "题", "one", False)
    assert (second.row_id, second.text) == ("2", "two")
    assert second.meta == {"b": [1], "c": "中", "charset": "utf-8"}


def test_other_json_becomes_lines_with_keys():
    content = '{"name": "库存", "sizes": [1, 2.5], "inner": {"on": true, "none": null}}'
    (extract,) = read_json(Path("a.json"), content.encode(), OPTIONS).extracts
    assert extract.text == "name: 库存\nsizes: 1\nsizes: 2.5\ninner.on: true"
    assert extract.title == "a"


def test_rows_without_a_text_keep_their_values():
    reading = read_jsonl(
        Path("a.jsonl"), '{"question": "谁?", "answer": "我"}\n"words"\n{}\n{"id": 8}\n'.encode(), OPTIONS
    )
    assert [extract.text for extract in reading.extracts] == ["question: 谁?\nanswer: 我", "words"]
    assert [problem.line for problem in reading.problems] == [3, 4]


def test_json_lines_under_the_name_json_are_read():
    assert len(read_json(Path("a.json"), b'{"text": "a"}\n{"text": "b"}\n', OPTIONS).extracts) == 2


def test_a_row_with_a_title_only_is_found_by_it():
    assert read_jsonl(Path("a.jsonl"), b'{"_id": "1", "title": "T", "text": ""}', OPTIONS).extracts[0].text == "T"


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_id_is_replaced_by_the_number(key):
    assert read_jsonl(Path("a.jsonl"), f'{{"_id": "{key}", "text": "x"}}'.encode(), OPTIONS).extracts[0].row_id == "1"


@pytest.mark.parametrize("content", [b"{broken", b"[" * 100_000, b'{"a": ' + b"9" * 5000])
def test_what_is_not_json_is_damaged(content):
    with pytest.raises(Unreadable, match=r"not a readable JSON|nested too deeply") as refusal:
        read_json(Path("a.json"), content, OPTIONS)
    assert refusal.value.reason == "damaged"


def test_lines_without_a_usable_row_are_damaged():
    with pytest.raises(Unreadable, match="no usable row: not JSON"):
        read_jsonl(Path("a.jsonl"), b"{x\n{y\n", OPTIONS)
