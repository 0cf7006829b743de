"""Candidate pools: FlagEmbedding's lines and BEIR's, in both languages, and every bad line named with its number."""

import gzip

import pytest

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.files import read_pool


def test_passages_are_read_as_they_are_embedded(tmp_path):
    path = tmp_path / "pool.jsonl.gz"
    rows = '{"text": "到服务台续借。"}\n\n{"_id": "d2", "title": "Hours", "text": "Open until eight."}\n{"text": " "}\n'
    path.write_bytes(gzip.compress(rows.encode()))
    assert read_pool(path) == ("到服务台续借。", "Hours\nOpen until eight.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"holds no passage; expected JSON lines \{\"text\": text\}.*Choose another file"),
        ('{"text": "a"}\n{"text": 7}\n["b"]\n', r'jsonl:2: "text" .*, .*jsonl:3: a JSON list; expected an object'),
        ('{"text": "a", "title": 7}\n', r'jsonl:1: "text" \(or "title"\) is missing or no text'),
        ("到服务台\n", r"jsonl:1: not JSON"),
    ],
)
def test_bad_pools_are_refused(tmp_path, content, message):
    path = tmp_path / "pool.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FeedbackError, match=message):
        read_pool(path)


def test_a_missing_pool_is_refused(tmp_path):
    with pytest.raises(FeedbackError, match="cannot be read"):
        read_pool(tmp_path / "pool.jsonl")
