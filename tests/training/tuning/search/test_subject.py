"""All parts of a search in one run, on a tiny real model: learned apart, what helps kept, judged, recorded, taken back at once."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.ui.training.presenter import rollback_words
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import FeedbackError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.models.recorded import recorded_embedder
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages.query_shift import QueryShift
from quarry.training.examples.rows import TrainingRow, write_training_rows
from quarry.training.tuning import tune
from quarry.training.tuning.history import history
from quarry.training.tuning.plan import Unwatched
from quarry.training.tuning.promotion import roll_back
from quarry.training.tuning.search.choosing import Tried
from quarry.training.tuning.search.parts import MAP, MOVES, WEIGHT, SearchParts
from quarry.training.tuning.search.spec import SearchSpec
from quarry.training.tuning.second_stage.spec import SecondStageSpec
from tests.training.tuning.second_stage.test_subject import (
    documents,
    embedder_of,
    english,
    kept,
    plan,
    rerank_reason,
    settings_of,
)
from tests.training.tuning.test_embedder import model
from tests.training.tuning.test_reranker import general, no_hub_cache

__all__ = ["general", "model", "no_hub_cache"]

TOKENS = SecondStageSpec(epochs=6, learning_rate=0.02, gains=(0.0, 2.0, 4.0), closeness=(0.0,), seeds=1)
LEARNS = SearchSpec(strength=4.0, blocks=2, second_stage=TOKENS)


class Codes(Unwatched):
    def __init__(self):
        self.codes = []

    def stage(self, message):
        self.codes.append(message.code)


@pytest.fixture(scope="module")
def built(tmp_path_factory, model):
    """Beside each answer lie three passages that repeat its question and say nothing: they mislead the first stage."""
    root = tmp_path_factory.mktemp("search") / "index"
    index_documents(root, documents(), embedder_of(model), settings_of(model))
    return root


@pytest.fixture
def index(tmp_path, built):
    return shutil.copytree(built, tmp_path / "index")


@pytest.fixture
def pairs(tmp_path):
    write_training_rows(tmp_path / "pairs.jsonl", english())
    return tmp_path / "pairs.jsonl"


def back(index):
    return roll_back(index, lambda facts: recorded_embedder(index, facts, "cpu"))


def test_the_parts_that_help_go_live_together_and_are_taken_back_together(index, model, general, pairs):
    told = Codes()
    report = tune(index, plan(general, pairs, LEARNS, force=True), run="first", observer=told)
    manifest = Index.open(index).manifest
    parts = SearchParts.load(report.model)
    assert report.promoted and parts.tokens is not None and report.verdict.held_out.difference > 0.05
    assert report.verdict.held_out.count == 64  # four fifths are judged, and all of them teach
    assert manifest.second_stage.folder == "models/first" and rerank_reason(index) == "ran"
    assert (manifest.query_shift is None) == (parts.shift is None)
    said = told.codes
    assert said.count("tuning.part_kept") == len(parts.named()) and "tuning.no_map_states" not in said

    index_documents(index, [*documents(), Document("new", "something else")], embedder_of(model), settings_of(model))
    assert Index.open(index).manifest.second_stage == manifest.second_stage
    back(index)
    now = Index.open(index).manifest
    assert (now.second_stage, now.query_shift, now.documents) == (None, None, manifest.documents + 1)
    assert rerank_reason(index) == "rerankers.words_shared"


def test_two_parts_of_one_run_are_one_promotion_and_one_rollback(index, general, pairs, monkeypatch):
    both = SearchParts(QueryShift(np.full(Index.open(index).vectors.dim, 0.1, np.float32), 1.0), _map(index))
    taught(monkeypatch, both)
    tune(index, plan(general, pairs, LEARNS, force=True), run="first")
    live = Index.open(index).manifest
    assert live.query_shift.run == live.second_stage.run == "first"
    assert live.query_shift.digest == live.second_stage.digest
    steps = history(index)
    assert [(step.query_shift is None, step.second_stage is None) for step in steps] == [(True, True), (False, False)]
    assert "questions and second stage" in rollback_words(steps[-1], lambda english, _: english)[0]
    printed = CliRunner().invoke(cli, ["models", "history", str(index)]).output
    assert "how questions move" in printed and "how much BM25 counts" in printed and "the second stage" in printed
    answer = Searcher.open(index, device="cpu").search(english()[7].query, 5)
    assert not answer.degraded and rerank_reason(index) == "ran"
    result = CliRunner().invoke(cli, ["models", "rollback", str(index)])
    assert result.exit_code == 0, result.output
    now = Index.open(index).manifest
    assert (now.query_shift, now.second_stage) == (None, None)


def _map(index):
    late = Searcher.open(index, device="cpu").pipeline.late
    dim = late._first.opened(late._tokens()).projection.dim
    return TokenMap(np.zeros((dim, dim), np.float32), 0.5)


def test_answers_at_random_teach_nothing_and_nothing_is_recorded(index, general, pairs):
    rows = english()
    order = np.random.default_rng(0).permutation(len(rows))
    write_training_rows(
        pairs, [TrainingRow(row.query, rows[other].pos) for row, other in zip(rows, order, strict=True)]
    )
    before = kept(index)
    report = tune(index, plan(general, pairs, LEARNS), run="random")
    assert not report.promoted and not report.verdict.promote and report.verdict.refusals
    assert kept(index) == before


def taught(monkeypatch, parts):
    monkeypatch.setattr(
        "quarry.training.tuning.search.choosing.PartsLearner.learned",
        lambda _self, _questions: SimpleNamespace(parts=parts, tried=()),
    )


def test_where_no_part_helps_nothing_can_be_forced(index, general, pairs, monkeypatch):
    taught(monkeypatch, SearchParts())
    report = tune(index, plan(general, pairs, LEARNS), run="nothing")
    assert report.verdict.refusals[0].code == "tuning.no_part_helps"
    with pytest.raises(FeedbackError, match="nothing to promote"):
        tune(index, plan(general, pairs, LEARNS, force=True), run="forced")


def test_an_index_without_token_states_keeps_its_second_stage_and_says_so(tmp_path, general, pairs, model):
    root = tmp_path / "plain"
    index_documents(root, documents(), embedder_of(model), BuildOptions(model_folder=str(model), rerank_vectors=False))
    told = Codes()
    tune(root, plan(general, pairs, LEARNS, promote=False), run="plain", observer=told)
    assert "tuning.no_map_states" in told.codes
    told = Codes()
    tune(root, plan(general, pairs, LEARNS, route="dense", promote=False), run="dense", observer=told)
    assert "tuning.no_map_route" in told.codes


def test_questions_that_taught_a_search_are_not_held_out_again(index, general, pairs):
    tune(index, plan(general, pairs, LEARNS, force=True), run="first")
    with pytest.raises(FeedbackError, match="leaves nothing for"):
        tune(index, plan(general, pairs, LEARNS), run="again")


def test_a_part_helps_when_its_gain_is_more_than_a_standard_error():
    assert Tried(MAP, np.array([0.1, 0.1, 0.0, 0.1])).helps
    assert not Tried(MAP, np.array([0.1, -0.1, 0.0, 0.05])).helps
    assert not Tried(MAP, np.zeros(5)).helps and not Tried(MAP, np.zeros(0)).helps and not Tried(MAP, np.ones(1)).helps


def test_parts_read_back_with_their_names(tmp_path):
    still = QueryShift(np.zeros(3, np.float32), 1.0)
    assert SearchParts(still).named() == [WEIGHT]
    found = SearchParts.load(SearchParts(QueryShift(np.ones(3, np.float32), -1.0)).save(tmp_path / "a"), 3)
    assert found.named() == [MOVES, WEIGHT] and found.tokens is None
    empty = SearchParts.load(SearchParts().save(tmp_path / "b"))
    assert not empty and empty.named() == []


def test_the_command_names_what_was_learned(index, general, pairs, monkeypatch):
    monkeypatch.setattr("quarry.demo_corpus.general_path", lambda: general)
    asked = ["tune", str(index), "--what", "search", "--no-feedback", "--pairs", str(pairs), "--run", "r"]
    result = CliRunner().invoke(cli, asked)
    assert result.exit_code in (0, 4), result.output
    assert "compared with the search as it is now; learned: " in result.output
    assert "step 5 of 5" in result.output
