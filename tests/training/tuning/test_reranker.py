"""The loop for rerankers on tiny real cross-encoders: learnt from pairs, judged by the reranked route, recorded, taken back."""

import errno
import json
import shutil
from pathlib import Path

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import FeedbackError, IndexMismatchError, ModelError, TrainingError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.retriever.models.recorded import recorded_embedder
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.training.examples.rows import write_training_rows
from quarry.training.fit.spec import RerankerSpec, TrainSpec
from quarry.training.negatives.spec import NegativeSpec
from quarry.training.tuning import tune
from quarry.training.tuning.gate import GateSpec
from quarry.training.tuning.history import history
from quarry.training.tuning.plan import TuningPlan, Unwatched
from quarry.training.tuning.promotion import roll_back
from quarry.training.tuning.reranker.base import FROM_ENCODER, base_reranker
from tests.training.tuning.test_embedder import LOOSE, Told, model, rows
from tests.training.tuning.test_embedder import plan as embedder_plan

__all__ = ["model"]

LEARNS = RerankerSpec(
    epochs=3,
    batch_size=8,
    learning_rate=3e-3,
    eval_steps=1000,
    checkpoint_steps=20,
    patience=0,
    max_tokens=96,
    dropout=0.0,
    loss={"hard_negatives": 3},
    precision="float32",
)
STANDS_STILL = LEARNS.model_copy(update={"epochs": 1, "learning_rate": 1e-7})
NEGATIVES = NegativeSpec(number=3, ranks=(0, 8), relative=None, consistent_within=None)
QUERIES = 130


def plan(general, pairs, spec=LEARNS, **changes) -> TuningPlan:
    settings = {"spec": spec, "reranker": FROM_ENCODER, "rerank_depth": 6, "negatives": NEGATIVES}
    return embedder_plan(general, pairs, **{**settings, **changes})


@pytest.fixture
def index(tmp_path, model) -> Path:
    """Beside each answer lie three passages that repeat its question and say nothing: they mislead the first stage."""
    asked = rows(QUERIES)
    documents = [Document(f"d{number}", row.pos[0]) for number, row in enumerate(asked)]
    documents += [
        Document(f"e{number}-{copy}", f"{row.query} {copy}?") for number, row in enumerate(asked) for copy in range(3)
    ]
    source = resolve_model(str(model))
    embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
    index_documents(tmp_path / "index", documents, embedder, BuildOptions(model_folder=str(model)))
    return tmp_path / "index"


@pytest.fixture
def pairs(tmp_path) -> Path:
    write_training_rows(tmp_path / "pairs.jsonl", rows(QUERIES))
    return tmp_path / "pairs.jsonl"


@pytest.fixture(scope="module")
def general(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("general")
    (folder / "qrels").mkdir()
    texts = [row.pos[0] for row in rows(24)]
    for name, key, made in (("corpus", "g", texts), ("queries", "q", texts)):
        lines = [json.dumps({"_id": f"{key}{n}", "text": text}, ensure_ascii=False) for n, text in enumerate(made)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    judged = "".join(f"q{n}\tg{n}\t1\n" for n in range(len(texts)))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged, encoding="utf-8")
    return folder


def loads(index):
    return lambda facts: recorded_embedder(index, facts, "cpu")


def files(index: Path) -> list[Path]:
    return sorted(path.relative_to(index) for path in index.rglob("*") if path.is_file() and "tuning" not in path.parts)


def stage(index: Path) -> str:
    answer = Searcher.open(index, rerank="auto", device="cpu").search(
        rows(QUERIES)[7].query, 5, SearchOptions(route="dense")
    )
    return next(report.status for report in answer.stages if report.stage == "rerank")


@pytest.fixture(autouse=True)
def no_hub_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))


def test_a_better_reranker_is_recorded_used_and_taken_back(index, general, pairs):
    told = Told()
    report = tune(index, plan(general, pairs), run="first", observer=told)
    assert report.verdict.promote, str(report.verdict.message())
    assert (report.promoted, report.forced, report.against) == (True, False, "the first stage")
    assert report.generation == "000002" == Generations(index).pointer().generation
    facts = Index.open(index).manifest.reranker
    assert (facts.folder, facts.run, facts.before) == ("models/first", "first", None)
    assert facts.base == "tests/tiny-bert"
    assert facts.model.startswith("tests/tiny-bert+tuned-")
    assert str(facts.verdict) == f"Against the first stage: {report.verdict.message()}"
    assert Index.open(index).manifest.lineage is None
    assert stage(index) == "ran"
    assert any("with a new head" in sentence for sentence in told.sentences)
    assert any("a new head learns little from" in sentence for sentence in told.sentences)
    assert [step.run for step in history(index)] == ["", "first"]
    embedder = Index.open(index).manifest.embedder
    index_documents(
        index,
        [Document("late", "第三篇文档 printer")],
        loads(index)(embedder),
        BuildOptions(model_folder=embedder.folder),
    )
    assert stage(index) == "ran"

    with pytest.raises(IndexMismatchError, match="run first is done: its model answers since"):
        tune(index, plan(general, pairs), run="first")
    again = tune(index, plan(general, pairs, STANDS_STILL, reranker="auto"), run="second")  # from the recorded one
    assert (again.promoted, again.against) == (False, facts.model)
    assert "no gain is shown" in str(again.verdict.message())
    assert Index.open(index).manifest.reranker == facts

    assert roll_back(index, loads(index)) == Generations(index).pointer().generation
    assert Index.open(index).manifest.reranker is None
    assert stage(index) == "off"
    assert Index.open(index).manifest.documents == 4 * QUERIES + 1


def test_an_interrupted_run_goes_on_a_refused_one_changes_nothing_and_force_is_recorded(index, general, pairs):
    class Impatient(Unwatched):
        def stage(self, message):
            if message.code == "tuning.general_rerankers":
                raise KeyboardInterrupt

    before = files(index)
    with pytest.raises(KeyboardInterrupt):
        tune(index, plan(general, pairs, STANDS_STILL), run="again", observer=Impatient())
    assert files(index) == before
    kept = {path.name for path in (index / "tuning" / "again" / "trials").iterdir()}
    assert any(name.startswith("held-out-dense+rerank-6-000001-") for name in kept)
    pairs.write_text("", encoding="utf-8")  # what the run has read is its own
    refused = tune(index, plan(general, pairs, STANDS_STILL), run="again")
    assert {path.name for path in (index / "tuning" / "again" / "trials").iterdir()} == kept
    assert (refused.promoted, refused.verdict.promote) == (False, False)
    assert files(index) == before
    assert Generations(index).finished() == ["000001"]
    with pytest.raises(FeedbackError, match="run again was started with other settings"):
        tune(index, plan(general, pairs, STANDS_STILL, rerank_depth=5), run="again")

    forced = tune(index, plan(general, pairs, STANDS_STILL, force=True), run="again")
    assert (forced.promoted, forced.forced) == (True, True)
    assert Index.open(index).manifest.reranker.forced
    assert str(Generations(index).pointer().history[-1].reason) == "promoted the reranker against the verdict"


def test_without_a_reranker_the_error_says_what_to_do(index, general, pairs, model):
    with pytest.raises(ModelError, match="there is no reranker to tune: .*--reranker from-encoder to make one"):
        tune(index, plan(general, pairs, reranker="auto"), run="none")
    assert not (index / "tuning").exists()
    manifest = Index.open(index).manifest
    assert base_reranker(index, manifest, str(model)).ranks is False
    (index / "decoder").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        shutil.copy(model / name, index / "decoder" / name)
    config = (model / "config.json").read_text(encoding="utf-8").replace("BertModel", "Qwen3ForCausalLM")
    (index / "decoder" / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ModelError, match="is a decoder that answers in words"):
        base_reranker(index, manifest, str(index / "decoder"))


@pytest.mark.parametrize("make", [plan, embedder_plan], ids=["reranker", "embedder"])
def test_a_full_disk_is_a_sentence_for_embedder_and_reranker(index, general, pairs, make):
    class Full(Unwatched):
        def stage(self, message):
            if message.code == "tuning.training":
                raise OSError(errno.ENOSPC, "No space left on device")

    before = files(index)
    with pytest.raises(TrainingError, match="the disk is full .* in run full; expected room .* --run full"):
        tune(index, make(general, pairs), run="full", observer=Full())
    assert files(index) == before


def test_the_plan_knows_what_it_tunes():
    assert TuningPlan(Path("g"), spec=RerankerSpec()).what == "reranker"
    assert TuningPlan(Path("g"), spec=TrainSpec(), rule=LOOSE).facts()["what"] == "embedder"
    assert GateSpec() == TuningPlan(Path("g")).rule
    with pytest.raises(ValueError, match="rerank_depth is 0"):
        TuningPlan(Path("g"), rerank_depth=0)
