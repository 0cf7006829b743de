"""The loop for the second stage on a tiny real model: learned, judged, recorded, used, kept by updates, taken back."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import ModelError, SettingsError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.models.recorded import recorded_embedder
from quarry.retriever.searcher import Searcher
from quarry.training.examples.rows import write_training_rows
from quarry.training.tuning import tune
from quarry.training.tuning.history import history
from quarry.training.tuning.promotion import roll_back
from quarry.training.tuning.second_stage.spec import SecondStageSpec
from tests.training.tuning.test_embedder import model, rows
from tests.training.tuning.test_embedder import plan as embedder_plan
from tests.training.tuning.test_reranker import NEGATIVES, files, general, no_hub_cache

__all__ = ["general", "model", "no_hub_cache"]

COUNT = 80

LEARNS = SecondStageSpec(epochs=8, learning_rate=0.02, gains=(0.5, 2.0, 4.0), closeness=(0.0,))
STANDS_STILL = LEARNS.model_copy(update={"gains": (0.0,), "epochs": 1})


def plan(general, pairs, spec=LEARNS, **changes):
    settings = {"spec": spec, "negatives": NEGATIVES, "route": "hybrid"}
    return embedder_plan(general, pairs, **{**settings, **changes})


def english(count=COUNT):
    """An index in two languages has a second stage of its own, so these are in one."""
    return [row for row in rows(2 * count + 20) if row.query.isascii()][:count]


def documents(asked=None):
    asked = asked or english()
    found = [Document(f"d{number}", row.pos[0]) for number, row in enumerate(asked)]
    return [
        *found,
        *(
            Document(f"e{number}-{copy}", f"{row.query} {copy}?")
            for number, row in enumerate(asked)
            for copy in range(3)
        ),
    ]


def embedder_of(model):
    source = resolve_model(str(model))
    return load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")


def settings_of(model):
    return BuildOptions(model_folder=str(model), rerank_vectors=True)


def kept(index):
    """What is in an index; a reader that is open has files of its own beside a database."""
    return [path for path in files(index) if not path.name.endswith(("-shm", "-wal"))]


@pytest.fixture
def index(tmp_path, model) -> Path:
    """Beside each answer lie three passages that repeat its question and say nothing: they mislead the first stage."""
    index_documents(tmp_path / "index", documents(), embedder_of(model), settings_of(model))
    return tmp_path / "index"


@pytest.fixture
def pairs(tmp_path) -> Path:
    write_training_rows(tmp_path / "pairs.jsonl", english())
    return tmp_path / "pairs.jsonl"


def rerank_reason(index: Path) -> str:
    answer = Searcher.open(index, device="cpu").search(english()[7].query, 5)
    assert not answer.degraded
    (report,) = [report for report in answer.stages if report.stage == "rerank"]
    return report.reason.code if report.reason else report.status


def test_a_better_second_stage_is_recorded_used_kept_by_updates_and_taken_back(index, model, general, pairs):
    facts = Index.open(index).manifest.embedder
    assert rerank_reason(index) == "rerankers.words_shared"
    report = tune(index, plan(general, pairs, force=True), run="first")
    assert report.promoted and report.verdict.held_out.difference > 0.05
    manifest = Index.open(index).manifest
    assert (manifest.second_stage.run, manifest.second_stage.folder) == ("first", "models/first")
    assert rerank_reason(index) == "ran"
    assert manifest.embedder == facts
    result = CliRunner().invoke(cli, ["models", "history", str(index)])
    assert "second stage" in result.output and "run first" in result.output

    index_documents(index, [*documents(), Document("new", "something else")], embedder_of(model), settings_of(model))
    assert Index.open(index).manifest.second_stage == manifest.second_stage and rerank_reason(index) == "ran"
    assert [step.second_stage and step.second_stage.run for step in history(index)] == [None, "first"]

    roll_back(index, lambda facts: recorded_embedder(index, facts, "cpu"))
    now = Index.open(index).manifest
    assert now.second_stage is None and now.documents == 4 * COUNT + 1
    assert rerank_reason(index) == "rerankers.words_shared"


def test_one_that_changes_nothing_is_refused_and_leaves_no_trace(index, general, pairs):
    before = kept(index)
    report = tune(index, plan(general, pairs, STANDS_STILL), run="still")
    assert not report.promoted and not report.verdict.promote
    assert report.verdict.held_out.difference == 0 and report.verdict.general.difference == 0
    assert kept(index) == before and Index.open(index).manifest.second_stage is None


def test_a_second_one_is_compared_with_the_first_and_taking_it_back_brings_that_back(index, general, pairs):
    tune(index, plan(general, pairs, force=True), run="first")
    first = Index.open(index).manifest.second_stage
    again = tune(index, plan(general, pairs, STANDS_STILL, force=True), run="second")
    assert again.forced and again.verdict.held_out.difference < 0  # the live one is tuned, and this one stands still
    assert Index.open(index).manifest.second_stage.before == first
    roll_back(index, lambda facts: recorded_embedder(index, facts, "cpu"))
    assert Index.open(index).manifest.second_stage == first and rerank_reason(index) == "ran"


def test_a_lost_map_degrades_the_answer_and_names_the_way_back(index, general, pairs):
    tune(index, plan(general, pairs, force=True), run="first")
    (index / "models" / "first" / "second_stage.safetensors").unlink()
    answer = Searcher.open(index, device="cpu").search(english()[7].query, 5)
    assert len(answer.results) == 5 and "quarry models rollback" in str(answer.degraded[0])


def test_what_cannot_be_tuned_is_said_before_anything_is_done(tmp_path, index, general, pairs, model):
    with pytest.raises(SettingsError, match="route dense has no second stage"):
        tune(index, plan(general, pairs, route="dense"), run="dense")
    index_documents(tmp_path / "plain", documents(), embedder_of(model), BuildOptions(rerank_vectors=False))
    with pytest.raises(ModelError, match="holds no token states.*--rerank-vectors"):
        tune(tmp_path / "plain", plan(general, pairs), run="plain")
    both = [Document(f"d{number}", row.pos[0] * 4) for number, row in enumerate(rows(120))]
    index_documents(tmp_path / "both", both, embedder_of(model), settings_of(model))
    assert Searcher.open(tmp_path / "both", device="cpu").pipeline.languages is not None
    with pytest.raises(ModelError, match="is in several languages"):
        tune(tmp_path / "both", plan(general, pairs), run="both")
    assert not (index / "tuning").exists() and not (tmp_path / "plain" / "tuning").exists()


def test_how_many_candidates_a_query_has_changes_the_map(index, general, pairs):
    spec = LEARNS.model_copy(update={"epochs": 1})
    maps = []
    for number, depth in enumerate((50, 50, 8)):
        report = tune(
            index, plan(general, pairs, spec.model_copy(update={"depth": depth}), promote=False), run=f"{number}"
        )
        maps.append((Path(report.model) / "second_stage.safetensors").read_bytes())
    assert maps[0] == maps[1] != maps[2]


def test_the_command_says_what_was_compared(index, general, pairs, monkeypatch):
    monkeypatch.setattr("quarry.demo_corpus.general_path", lambda: general)
    asked = [
        "tune",
        str(index),
        "--what",
        "second-stage",
        "--no-feedback",
        "--pairs",
        str(pairs),
        "--epochs",
        "1",
        "-q",
        "--run",
        "r",
    ]
    result = CliRunner().invoke(cli, asked)
    assert result.exit_code in (0, 4), result.output
    assert "compared with the second stage that answers now" in result.output
