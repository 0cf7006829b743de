"""The loop from examples to a promoted model, on a tiny real model: it learns, it is judged, it goes live or it does not."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quarry.app.words import words
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import FeedbackError, IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.models.recorded import recorded_embedder
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.examples.rows import TrainingRow, write_training_rows
from quarry.training.examples.split import SplitSpec
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from quarry.training.fit.spec import TrainSpec
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning import tune
from quarry.training.tuning.gate import GateSpec
from quarry.training.tuning.history import history
from quarry.training.tuning.plan import TuningPlan, TuningSources, Unwatched
from quarry.training.tuning.promotion import roll_back
from quarry.training.tuning.run import tuning_runs
from quarry.training.tuning.steps import step_of
from tests.training.reasons import said
from tests.training.tiny_model import TOPICS, tiny_model

LOOSE = GateSpec(general_drop=1.0, language_drop=1.0)
DENSE = SearchOptions(route="dense", rerank=False)


def rows(count: int) -> list[TrainingRow]:
    """Queries and passages that share a topic and a code word, half of them Chinese."""
    made, rng = [], random.Random(0)
    for number in range(count):
        code = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(12))
        topic = TOPICS[number % len(TOPICS)]
        if ord(topic[0]) > 255:
            made.append(TrainingRow(f"怎么修理{topic} {code}", (f"{topic}的说明 第{code}号",)))
        else:
            made.append(TrainingRow(f"{code} {topic} how", (f"notes about the {topic} {code}.",)))
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def index(tmp_path, model) -> Path:
    source = resolve_model(str(model))
    embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
    documents = [Document(f"d{number}", row.pos[0]) for number, row in enumerate(rows(160))]
    index_documents(tmp_path / "index", documents, embedder, BuildOptions(model_folder=str(model)))
    return tmp_path / "index"


@pytest.fixture(scope="module")
def general(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("general")
    (folder / "qrels").mkdir()
    texts = [row.pos[0] for row in rows(60)]
    lines = [
        json.dumps({"_id": f"g{n}", "title": "", "text": text}, ensure_ascii=False) for n, text in enumerate(texts)
    ]
    (folder / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    asked = [json.dumps({"_id": f"q{n}", "text": text}, ensure_ascii=False) for n, text in enumerate(texts)]
    (folder / "queries.jsonl").write_text("\n".join(asked), encoding="utf-8")
    judged = "".join(f"q{n}\tg{n}\t1\n" for n in range(len(texts)))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8")
    return folder


@pytest.fixture
def pairs(tmp_path) -> Path:
    write_training_rows(tmp_path / "pairs.jsonl", rows(160))
    return tmp_path / "pairs.jsonl"


def plan(general, pairs, rule=LOOSE, **changes) -> TuningPlan:
    settings = {
        "general": general,
        "sources": TuningSources(pairs=(pairs,)),
        "split": SplitSpec(dev=0.15, test=0.3),
        "negatives": NegativeSpec(number=2, ranks=(0, 40), consistent_within=None),
        "spec": TrainSpec(epochs=4, batch_size=16, learning_rate=5e-3, eval_steps=6, checkpoint_steps=6, patience=0),
        "merge": (1.0, 0.5),
        "route": "dense",
        "rule": rule,
        "device": "cpu",
    }
    return TuningPlan(**{**settings, **changes})


class Told(Unwatched):
    def __init__(self):
        self.sentences, self.steps = [], []

    def stage(self, message):
        self.sentences.append(str(message))
        self.steps += [step] if (step := step_of("embedder", message)) else []


def test_a_better_model_goes_live_and_can_be_taken_back(index, general, pairs):
    told = Told()
    asked = load_rows = rows(160)[7]
    report = tune(index, plan(general, pairs), run="first", observer=told)
    assert report.promoted and not report.forced
    assert report.verdict.held_out.verdict == "better"
    assert report.generation == "000002" == Generations(index).pointer().generation
    manifest = Index.open(index).manifest
    assert manifest.embedder.folder == "models/first"
    assert manifest.lineage.run == "first"
    assert manifest.lineage.calibration["low"] <= manifest.lineage.calibration["high"] + 1
    assert manifest.lineage.verdict.code == "tuning.verdict"
    assert str(manifest.lineage.verdict) == str(report.verdict.message())
    assert Searcher.open(index).search(load_rows.query, 5, DENSE).degraded == ()
    held = load_dataset(index / "tuning" / "first" / "data" / "held-out")
    trained_on = (index / "tuning" / "first" / "data" / "train.jsonl").read_text(encoding="utf-8")
    assert len(held.queries) == report.verdict.held_out.count
    assert not any(json.dumps(query.text, ensure_ascii=False) in trained_on for query in held.queries)
    kept = json.loads((index / "tuning" / "first" / "report.json").read_text(encoding="utf-8"))
    assert kept["words"]["en"] == str(report.verdict.message())
    assert words(Message.from_json(kept["messages"][0]), "zh") == "可以上线"
    assert any("mining negatives" in sentence for sentence in told.sentences)
    assert told.steps == [(number, 7) for number in range(1, 8)]
    assert any(sentence.startswith("about ") for sentence in told.sentences)
    assert report.model == index / "models" / "first"
    assert [step.revision == "" for step in history(index)] == [False, False]
    assert roll_back(index, lambda facts: recorded_embedder(index, facts, "cpu")) == "000001"
    assert Searcher.open(index).search(asked.query, 5, DENSE).generation == "000001"


def test_a_refused_model_leaves_the_index_as_it_was(index, general, pairs):
    """Nothing is learnt at this rate, so nothing is shown to be better."""
    before = sorted(path.relative_to(index) for path in index.rglob("*") if path.is_file())
    spec = TrainSpec(epochs=1, batch_size=16, learning_rate=1e-7)
    report = tune(index, plan(general, pairs, spec=spec, merge=(1.0,)), run="refused")
    assert not report.promoted
    assert "no gain is shown" in str(report.verdict.message())
    assert Generations(index).finished() == ["000001"]
    after = sorted(path.relative_to(index) for path in index.rglob("*") if path.is_file())
    assert [path for path in after if path.parts[0] != "tuning"] == before
    assert [run.name for run in tuning_runs(index)] == ["refused"]
    assert report.model == index / "tuning" / "refused" / "finetune" / "model"
    assert (report.model / "config.json").is_file()


def test_force_is_recorded_and_no_promote_is_kept(index, general, pairs):
    spec = TrainSpec(epochs=1, batch_size=16, learning_rate=1e-7)
    same = {"spec": spec, "merge": (1.0,)}
    assert not tune(index, plan(general, pairs, **same, force=True, promote=False), run="r").promoted
    forced = tune(index, plan(general, pairs, **same, force=True), run="r")  # goes on with what the run has made
    assert forced.promoted and forced.forced
    assert Index.open(index).manifest.lineage.forced
    assert str(Generations(index).pointer().history[-1].reason) == "promoted against the verdict"


def test_an_interrupted_run_goes_on_with_the_same_data(index, general, pairs):
    class Impatient(Unwatched):
        def stage(self, message):
            if message.code == "tuning.merging":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(index, plan(general, pairs), run="again", observer=Impatient())
    data = (index / "tuning" / "again" / "data" / "train.jsonl").read_bytes()
    pairs.write_text("", encoding="utf-8")  # what the run has read is its own
    assert tune(index, plan(general, pairs), run="again").promoted
    assert (index / "tuning" / "again" / "data" / "train.jsonl").read_bytes() == data
    with pytest.raises(FeedbackError, match="run again was started with other settings"):
        tune(index, plan(general, pairs, merge=(0.5,)), run="again")


def test_the_feedback_log_alone_is_enough(index, general):
    documents = {document.text: document.doc_id for document in Index.open(index).chunks.documents()}
    with FeedbackLog.open(feedback_path(index)) as log:
        for number, row in enumerate(rows(160)):
            doc_id = documents[row.pos[0]]
            chunk_id = f"{doc_id}#0-{len(row.pos[0])}"
            for day, voter in enumerate(("a", "b")):
                at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=number)
                log.append(FeedbackEvent(row.query, "answer", voter, "000001", chunk_id, doc_id, at=at))
    told = Told()
    report = tune(index, plan(general, None, sources=TuningSources()), observer=told)
    assert "160 examples from the feedback log" in told.sentences
    assert report.promoted


def test_judged_queries_of_a_data_set_are_kept_out_of_training(index, general, pairs, tmp_path):
    judged = tmp_path / "judged"
    (judged / "qrels").mkdir(parents=True)
    asked = rows(160)[:40]
    lines = [json.dumps({"_id": f"q{n}", "text": row.query}, ensure_ascii=False) for n, row in enumerate(asked)]
    (judged / "queries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    qrels = "".join(f"q{n}\td{n}\t1\n" for n in range(40))
    (judged / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels, encoding="utf-8")
    report = tune(index, plan(general, pairs, evaluate=judged), run="judged")
    assert said(report.examples)["left out because they ask like a judged query"] == 40
    assert report.verdict.held_out.count == 40


def test_pairs_whose_passages_are_not_indexed_are_judged_on_their_own(general, pairs, model, tmp_path):
    source = resolve_model(str(model))
    embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
    elsewhere = [Document(f"d{n}", f"a leaflet about tea, number {n} 茶叶") for n in range(20)]
    index_documents(tmp_path / "tea", elsewhere, embedder, BuildOptions(model_folder=str(model)))
    told = Told()
    report = tune(tmp_path / "tea", plan(general, pairs), run="own", observer=told)
    counts = said(report.examples)
    assert counts["passages of the files that they are asked of, instead of the index"] == 160
    assert report.verdict.held_out.count == counts["held out for the verdict"] >= 40
    assert report.verdict.held_out.verdict == "better"
    assert report.promoted
    asked = next(place for place, one in enumerate(told.sentences) if "of 160 passages of the files instead" in one)
    assert asked < next(place for place, one in enumerate(told.sentences) if "mining negatives" in one)


def test_queries_that_nothing_answers_end_a_run_before_mining(index, general, pairs, tmp_path):
    judged = tmp_path / "judged"
    (judged / "qrels").mkdir(parents=True)
    (judged / "queries.jsonl").write_text('{"_id": "q", "text": "who"}\n', encoding="utf-8")
    (judged / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tnobody\t1\n", encoding="utf-8")
    told = Told()
    with pytest.raises(FeedbackError, match="none of the 1 judged queries of .*judged has a relevant document"):
        tune(index, plan(general, pairs, evaluate=judged), observer=told)
    assert told.steps == [(1, 7)]


def test_what_cannot_be_tuned(index, general, pairs, tmp_path):
    with pytest.raises(FeedbackError, match="there are 0 examples"):
        tune(index, plan(general, None, sources=TuningSources()), run="empty")
    with pytest.raises(FeedbackError, match=r"the run's name is '\.\./x'"):
        tune(index, plan(general, pairs), run="../x")
    index_documents(tmp_path / "words", [Document("a", "text")], None)
    with pytest.raises(IndexFormatError, match="has no vectors, so there is no model to tune"):
        tune(tmp_path / "words", plan(general, pairs))
