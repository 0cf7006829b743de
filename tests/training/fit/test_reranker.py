"""Rerankers trained for real on tiny models: they learn, load as rerankers, and read pairs as they will serve them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.folder import check_folder
from quarry.indexer.models.loading import load_tokenizer
from quarry.retriever.rerankers.cross_encoder import load_reranker
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.reranker import finetune_reranker
from quarry.training.fit.rows.batches import plan_batches
from quarry.training.fit.rows.collation import PairCollator
from quarry.training.fit.spec import RerankerSpec
from tests.training.tiny_model import tiny_model, topic_rows

ROWS = topic_rows(96, negatives=2)
SPEC = RerankerSpec(
    epochs=8,
    patience=0,
    eval_steps=48,
    batch_size=8,
    learning_rate=3e-3,
    loss={"hard_negatives": 3},
    max_tokens=64,
    checkpoint_steps=0,
    dropout=0.0,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reranker")
    dev = DevSet.of_rows(topic_rows(24, first=200))
    return finetune_reranker(tiny_model(folder / "base"), ROWS, SPEC, folder / "run", dev=dev, device="cpu")


def test_an_encoder_becomes_a_reranker_that_learns_and_loads(trained):
    from sentence_transformers import CrossEncoder

    assert trained.dev_after > trained.dev_before + 0.2
    reranker = load_reranker(trained.folder, device="cpu:float32")
    passages = ["notes about the printer number 3.", "厨房 5", "budget 9"]
    scores = reranker.score("how to fix printer 3?", passages)
    assert scores.argmax() == 0
    theirs = CrossEncoder(str(trained.folder), device="cpu", local_files_only=True)
    same = theirs.predict([("how to fix printer 3?", text) for text in passages], activation_fn=None)
    logits = np.log(same / (1 - same)) if same.min() >= 0 and same.max() <= 1 else same
    assert logits == pytest.approx(scores, abs=1e-3)
    assert "tests/tiny-bert" in (trained.folder / "README.md").read_text()
    assert json.loads((trained.folder / "training.json").read_text())["what"] == "reranker"


def test_a_reranker_can_be_trained_further(trained, tmp_path):
    spec = SPEC.model_copy(update={"epochs": 1, "objective": "binary", "freeze_embeddings": True})
    again = finetune_reranker(trained.folder, ROWS[:32], spec, tmp_path / "run", device="cpu")
    first, second = (
        load_reranker(path, device="cpu:float32").score(
            "how to fix printer 3?", ["notes about the printer number 3.", "厨房 5"]
        )
        for path in (trained.folder, again.folder)
    )
    assert not np.array_equal(first, second)
    assert np.sign(first[0] - first[1]) == np.sign(second[0] - second[1]) == 1


def test_the_dev_score_shows_each_query_its_own_hard_passages(tmp_path, monkeypatch):
    rows = [TrainingRow(f"query {number}", (f"answer {number}",), (f"near {number}",) * 2) for number in range(3)]
    dev = DevSet.of_rows(rows, distractors=[f"far {number}" for number in range(100)])
    assert [dev.passages[name] for name in dev.hard["q1"]] == ["near 1", "near 1"]
    shown = {}

    def scores(self, query, passages):
        shown[query] = passages
        return np.array([float(text.startswith("near")) for text in passages], dtype="f4")  # as bad as can be

    monkeypatch.setattr("quarry.training.fit.models.reranker_trainee.RerankerTrainee._scores", scores)
    done = finetune_reranker(
        tiny_model(tmp_path / "base"),
        ROWS[:16],
        SPEC.model_copy(update={"epochs": 1}),
        tmp_path / "run",
        dev=dev,
        device="cpu",
    )
    for number in range(3):
        assert {f"answer {number}", f"near {number}"} <= set(shown[f"query {number}"])
        assert 30 == len(shown[f"query {number}"]) == len(set(shown[f"query {number}"]))
    assert done.dev_before < 1


def test_pairs_are_those_of_the_serving_reranker(trained):
    rows = [TrainingRow("打印机 " * 30, ("notes",), ("garden " * 30,)), TrainingRow("how", ("so",), pos_scores=(0.5,))]
    tokenizer = load_tokenizer(trained.folder, check_folder(trained.folder))
    spec = SPEC.model_copy(update={"batch_size": 2})
    batch = PairCollator(rows, spec, tokenizer)(plan_batches(rows, spec).batches[0])
    served = load_reranker(trained.folder, device="cpu:float32")
    seen = {}

    def forward(pairs):
        seen.update({tuple(ids): types for ids, types in pairs})
        return np.zeros(len(pairs), "f4")

    served._scorer = replace(served._scorer, forward=forward)
    served._max_tokens = spec.max_tokens
    served.score(rows[0].query, ["notes", "garden " * 30, "so"])
    served.score("how", ["so", "notes"])
    ids = [
        tuple(row[: int(mask.sum())].tolist())
        for row, mask in zip(batch["pairs"]["input_ids"], batch["pairs"]["attention_mask"], strict=True)
    ]
    assert set(ids) == set(seen)
    assert [len(row) for row in ids] == sorted((len(row) for row in ids), reverse=True)
    table = batch["label"]["table"]
    assert table.shape == (2, 3)
    assert sorted(table[table >= 0].tolist()) == [0, 1, 2, 3, 4]
    assert (table < 0).sum() == 1
    assert np.nanmax(batch["label"]["teacher"].numpy()) == 0.5


def test_what_answers_the_query_is_no_filled_negative():
    rows = [
        TrainingRow("how", ("a",)),
        TrainingRow("how", ("b",)),
        TrainingRow("why", ("a",)),
        TrainingRow("who", ("c",)),
    ]
    collator = PairCollator.__new__(PairCollator)
    collator._rows, collator._spec = rows, SPEC
    collator._answers = {"how": {"a", "b"}, "why": {"a"}, "who": {"c"}}
    draws = plan_batches(rows[1:], SPEC).batches[0]
    lists = {rows[1:][draw.row].query: [] for draw in draws}
    collator._rows = rows[1:]
    for place, draw in enumerate(draws):
        lists[rows[1:][draw.row].query] = collator._candidates(place, draws)[0]
    assert lists["how"] == ["b", "c"]
    assert sorted(lists["why"]) == ["a", "b", "c"]


def test_what_cannot_be_a_reranker_is_refused(tmp_path):
    folder = tiny_model(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    labels = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b", "2": "c"}}
    (folder / "config.json").write_text(json.dumps(config | labels))
    with pytest.raises(ModelError, match="classifies into 3 labels; expected one relevance logit"):
        finetune_reranker(folder, ROWS, SPEC, tmp_path / "run", device="cpu")
    bare = tiny_model(tmp_path / "bare")
    config.pop("pad_token_id")
    (bare / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    with pytest.raises(ModelError, match="has no padding token"):
        finetune_reranker(bare, ROWS, SPEC, tmp_path / "run2", device="cpu")
    with pytest.raises(SettingsError, match="matryoshka do not apply to rerankers"):
        RerankerSpec.of({"matryoshka": {"dims": [8], "weights": [1]}})
    with pytest.raises(SettingsError, match=r"loss.hard_negatives is 0; expected at least 1"):
        RerankerSpec.of({"loss": {"hard_negatives": 0}})
    assert not Path(tmp_path / "run").exists()
