"""How long a run takes is told from what there is to read and the pace of its model."""

import time

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.training.examples.row import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.spec import LossSpec, TrainSpec
from quarry.training.tuning.embedder.estimate import TRAINING, Work, estimate, seconds_per_character, work_of
from tests.fakes import WordEmbedder


class SlowEmbedder(WordEmbedder):
    """Takes a millisecond for each character."""

    def embed_documents(self, texts, **named):
        time.sleep(sum(map(len, texts)) / 1000)
        return super().embed_documents(texts, **named)


def test_work_counts_what_is_read_and_no_more(tmp_path):
    index_documents(tmp_path / "index", [Document(f"d{n}", "x" * 10 + f"{n:03}") for n in range(50)], None)
    rows = [TrainingRow("q" * 20, ("p" * 100,), ("n" * 1000, "m" * 10, "not drawn"))]
    dev = DevSet.of_rows([TrainingRow("dev", ("right" * 4,))], ["other"])
    spec = TrainSpec(epochs=2, max_query_tokens=8, max_passage_tokens=50, loss=LossSpec(hard_negatives=2))
    work = work_of(Index.open(tmp_path / "index"), rows, dev, [], spec)
    assert work.training == TRAINING * 2 * (20 + 100 + 200 + 10)
    assert (work.choosing, work.encoding, work.judging) == (25, 650, 0)
    chinese = work_of(Index.open(tmp_path / "index"), [TrainingRow("问", ("段" * 400,))], dev, [], spec)
    assert chinese.training == TRAINING * 2 * (1 + 75)


def test_the_pace_is_measured():
    assert seconds_per_character(WordEmbedder(), ["", " "]) == 0
    assert seconds_per_character(SlowEmbedder(), ["a" * 30, "b" * 20]) == pytest.approx(0.001, rel=0.5)


def test_times_are_told_in_seconds_and_minutes():
    told = str(estimate(Work(training=600, choosing=10, encoding=30, judging=0), 1.0, shares=2))
    assert told == "about 11 min from here: training 10 min, encoding the passages 30 s, choosing and judging 20 s"
