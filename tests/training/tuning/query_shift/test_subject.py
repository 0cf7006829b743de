"""What judgements teach about questions, on a tiny real model: learned, judged block after block, recorded, used, kept, taken back."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.doctor import examine
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import FeedbackError, IndexMismatchError, SettingsError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.answers.refusals.observed import observe
from quarry.retriever.models.recorded import recorded_embedder
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.stages.query_shift import QueryShift
from quarry.training.examples.rows import TrainingRow, write_training_rows
from quarry.training.tuning import tune
from quarry.training.tuning.history import history
from quarry.training.tuning.promotion import roll_back
from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from tests.training.tuning.second_stage.test_subject import embedder_of, settings_of
from tests.training.tuning.test_embedder import DENSE, Told, model, rows
from tests.training.tuning.test_embedder import plan as embedder_plan
from tests.training.tuning.test_reranker import NEGATIVES, files, general, no_hub_cache

__all__ = ["general", "model", "no_hub_cache"]

LEARNS = QueryShiftSpec(strength=4.0)
COUNT = 60
MOVED = ("stages.questions_moved", "stages.moved_and")


def plan(general, pairs, spec=LEARNS, **changes):
    return embedder_plan(general, pairs, **{"spec": spec, "negatives": NEGATIVES, "route": "dense", **changes})


@pytest.fixture
def index(tmp_path, model):
    documents = [Document(f"d{number}", row.pos[0]) for number, row in enumerate(rows(COUNT))]
    index_documents(tmp_path / "index", documents, embedder_of(model), settings_of(model))
    return tmp_path / "index"


@pytest.fixture
def pairs(tmp_path):
    write_training_rows(tmp_path / "pairs.jsonl", rows(COUNT))
    return tmp_path / "pairs.jsonl"


def dense_reason(index):
    answer = Searcher.open(index, device="cpu").search(rows(9)[8].query, 5, DENSE)
    (report,) = [report for report in answer.stages if report.stage == "dense"]
    return report.reason.code if report.reason else report.status


def test_what_was_learned_is_recorded_used_kept_by_updates_and_taken_back(index, model, general, pairs):
    still = Searcher.open(index, device="cpu").search(rows(9)[8].query, 5, DENSE)
    told = Told()
    report = tune(index, plan(general, pairs, force=True), run="first", observer=told)
    manifest = Index.open(index).manifest
    assert report.promoted and (manifest.query_shift.run, manifest.query_shift.folder) == ("first", "models/first")
    assert report.verdict.held_out.count == 48  # four fifths are judged, and all of them teach
    moved = Searcher.open(index, device="cpu").search(rows(9)[8].query, 5, DENSE)
    assert dense_reason(index) in MOVED and not moved.degraded
    assert moved.results[0].evidence.dense.score != pytest.approx(still.results[0].evidence.dense.score)
    printed = CliRunner().invoke(cli, ["models", "history", str(index)]).output
    assert "questions move as judgements taught" in printed and "run first" in printed

    index_documents(index, [Document("new", "something else")], embedder_of(model), settings_of(model))
    assert Index.open(index).manifest.query_shift == manifest.query_shift
    assert [step.query_shift and step.query_shift.run for step in history(index)] == [None, "first"]
    assert any("judgements" in str(one.message) for one in examine(index))

    roll_back(index, lambda facts: recorded_embedder(index, facts, "cpu"))
    assert Index.open(index).manifest.query_shift is None and dense_reason(index) not in MOVED


def test_it_is_refused_where_nothing_is_gained_and_leaves_no_trace(index, general, pairs):
    before = [path for path in files(index) if not path.name.endswith(("-shm", "-wal"))]
    write_training_rows(
        pairs, [TrainingRow(row.query, other.pos) for row, other in zip(rows(COUNT), rows(COUNT)[::-1], strict=True)]
    )
    report = tune(index, plan(general, pairs), run="wrong")
    assert not report.promoted and not report.verdict.promote and report.verdict.refusals
    kept = [path for path in files(index) if not path.name.endswith(("-shm", "-wal"))]
    assert kept == before and Index.open(index).manifest.query_shift is None


def test_questions_that_were_learned_from_are_not_held_out_again(index, general, pairs):
    tune(index, plan(general, pairs, force=True), run="first")
    with pytest.raises(FeedbackError, match="leaves nothing for"):
        tune(index, plan(general, pairs), run="again")


def test_refusals_know_the_question_as_it_was_asked(index, general, pairs):
    question = rows(9)[8].query
    tune(index, plan(general, pairs, force=True), run="first")
    searcher = Searcher.open(index, device="cpu")
    vector = searcher.embedder().embed_queries([question])[0]
    moved = searcher.search(question, 5, DENSE).results
    (own,) = searcher.index.vectors.search(vector[np.newaxis], 5, allowed={hit.chunk_id for hit in moved})
    cosines = {hit.chunk_id: hit.similarity for hit in own}
    assert max(abs(cosines[hit.chunk_id] - hit.evidence.dense.score) for hit in moved) > 0.002
    asked = [
        replace(hit, evidence=replace(hit.evidence, dense=replace(hit.evidence.dense, score=cosines[hit.chunk_id])))
        for hit in moved
    ]
    found = observe(question, moved, searcher.index, vector)
    assert found.closeness == pytest.approx(observe(question, asked, searcher.index, vector).closeness)
    assert found.lead == pytest.approx(observe(question, asked, searcher.index, vector).lead)


def test_a_lost_shift_is_said_and_questions_stand_still(index, general, pairs):
    still = Searcher.open(index, device="cpu").search(rows(9)[8].query, 5, DENSE)
    tune(index, plan(general, pairs, force=True), run="first")
    (index / "models" / "first" / "query_shift.safetensors").unlink()
    answer = Searcher.open(index, device="cpu").search(rows(9)[8].query, 5, DENSE)
    assert [hit.chunk_id for hit in answer.results] == [hit.chunk_id for hit in still.results]
    assert "quarry models rollback" in str(answer.degraded[0])


def test_another_model_drops_it_and_says_so(tmp_path, index, model, general, pairs):
    from tests.training.tiny_model import tiny_model

    tune(index, plan(general, pairs, force=True), run="first")
    other = tiny_model(tmp_path / "other", seed=7)
    index_documents(
        index, [Document("new", "else")], embedder_of(other), BuildOptions(model_folder=str(other), rebuild=True)
    )
    manifest = Index.open(index).manifest
    assert manifest.query_shift is None
    assert "build.query_shift_dropped" in [note.code for note in manifest.notes]


def test_words_do_not_move(index, general, pairs):
    with pytest.raises(SettingsError, match="compares no vectors"):
        tune(index, plan(general, pairs, route="bm25"), run="words")


def test_another_shift_that_went_live_meanwhile_is_not_overwritten(index, general, pairs, monkeypatch):
    from quarry.indexer.lake.relabel import with_query_shift
    from quarry.indexer.messages import Message

    before = Index.open(index).manifest
    tune(index, plan(general, pairs, force=True), run="first")
    with pytest.raises(IndexMismatchError, match="since gone live"):
        with_query_shift(index, None, Message.plain("late"), expected=before)


def test_the_command(index, general, pairs, monkeypatch):
    monkeypatch.setattr("quarry.demo_corpus.general_path", lambda: general)
    asked = ["tune", str(index), "--what", "queries", "--no-feedback", "--pairs", str(pairs), "-q", "--run", "r"]
    result = CliRunner().invoke(cli, asked)
    assert result.exit_code in (0, 4), result.output
    assert (
        "compared with questions as they are answered now" in result.output
        and "the query shift is in" not in result.output
    )


def test_the_hybrid_route_is_judged_with_its_second_stage(index, general, pairs):
    report = tune(index, plan(general, pairs, route="hybrid"), run="both")
    assert report.verdict.held_out.count == 48
    assert SearchOptions().route == "hybrid"


def test_a_move_has_unit_length_and_reads_back(tmp_path):
    shift = QueryShift(np.array([0.5, 0.0, 0.0], dtype=np.float32))
    rows_ = np.eye(3, dtype=np.float32)
    assert np.linalg.norm(shift(rows_), axis=1) == pytest.approx(1.0)
    assert QueryShift.load(shift.save(tmp_path), 3).shift.tolist() == shift.shift.tolist()
