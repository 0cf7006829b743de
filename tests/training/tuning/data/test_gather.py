"""What the sources of a run give: examples, and places for negatives."""

import json
from pathlib import Path

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.errors import FeedbackError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.training.tuning.data.gather import gather
from quarry.training.tuning.plan import TuningSources, Unwatched
from tests.fakes import WordEmbedder


@pytest.fixture
def index(tmp_path):
    index_documents(tmp_path / "index", [Document("d", "The desk is open. 服务台开放。", "Hours")], WordEmbedder())
    return Index.open(tmp_path / "index")


def written(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_undrawn_positives_and_the_pool_are_places_for_negatives(index, tmp_path):
    pairs = written(tmp_path / "pairs.jsonl", ({"query": f"问题 {n}", "pos": [f"规定 {n}"]} for n in range(9)))
    pool = written(tmp_path / "pool.jsonl", [{"text": "规定 3"}, {"text": "the desk"}, {"text": "服务台"}])
    sources = TuningSources(feedback=False, pairs=(pairs,), candidate_pool=(pool,), most=4)
    found = gather(index, WordEmbedder(), sources, 0, tmp_path, Unwatched())
    assert len(found.examples) == 4
    assert found.passages == (*(f"规定 {n}" for n in range(9)), "the desk", "服务台")


def test_a_pool_that_is_not_valid_ends_the_run(index, tmp_path):
    pool = written(tmp_path / "pool.jsonl", [{"passage": "the desk"}])
    sources = TuningSources(feedback=False, candidate_pool=(pool,))
    with pytest.raises(FeedbackError, match=r"pool\.jsonl:1: \"text\""):
        gather(index, WordEmbedder(), sources, 0, tmp_path, Unwatched())
