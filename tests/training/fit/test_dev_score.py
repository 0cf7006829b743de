"""The dev score is what the served model would get on the same candidates."""

import numpy as np
import pytest

from quarry.indexer.models.encoder import load_embedder
from quarry.retriever.evaluation.measures import ndcg
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet, dev_score
from quarry.training.fit.models.trainable import open_trainable
from quarry.training.fit.spec import TrainSpec
from tests.training.fit.formats import with_formats
from tests.training.tiny_model import tiny_model, topic_rows


def test_it_is_ndcg_of_the_encoders_ranking(tmp_path):
    folder = tiny_model(tmp_path / "m")
    rows = [
        *topic_rows(20),
        TrainingRow("how to fix printer 0?", ("second answer",)),
        TrainingRow("问", ("答",), prompt="找: "),
    ]
    dev = DevSet.of_rows(rows, distractors=["window", "花园"])
    assert len(dev.queries) == 21
    assert sum(dev.qrels["q0"].values()) == 2  # two rows of one query are one query with two answers
    embedder = load_embedder(folder, device="cpu:float32")
    ids = sorted(dev.passages)
    passages = embedder.embed_documents([dev.passages[i] for i in ids])
    values = []
    for query in dev.queries:
        asked = with_formats(embedder, "找: {query}", "{text}") if query.query_id in dev.prompts else embedder
        scores = passages @ asked.embed_queries([query.text])[0]
        values.append(ndcg([ids[i] for i in np.argsort(-scores, kind="stable")], dev.qrels[query.query_id], 10))
    opened = open_trainable(folder, TrainSpec(), device="cpu")
    opened.model.train()  # as in the middle of a run; dropout must not reach the score
    found = dev_score(opened, dev, max_query_tokens=300, max_passage_tokens=300)
    assert 0.05 < found < 0.95
    assert found == pytest.approx(float(np.mean(values)), abs=1e-9)
    assert opened.model.training
