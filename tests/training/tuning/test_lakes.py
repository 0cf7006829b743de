"""What is tuned on a lake: a reranker and how questions move, for every reader at once; a publish keeps it, a rollback takes it back."""

import json
import shutil

import pytest

from quarry.indexer.build.cutting.chunking import ChunkSpec
from quarry.indexer.errors import IndexFormatError, ModelError, SettingsError
from quarry.indexer.lake.adding import add_to_lake
from quarry.indexer.lake.keeping import clean, examine, roll_back
from quarry.indexer.lake.making import Lake, make_lake, settings_for
from quarry.indexer.lake.publishing import publish
from quarry.indexer.opened import Index
from quarry.indexer.readers.base import ReadOptions
from quarry.indexer.stores.lake import view
from quarry.indexer.stores.lake.layout import model_path, read_generation, read_pointer
from quarry.indexer.stores.lake.view import as_index
from quarry.retriever.models.recorded import recorded_embedder
from quarry.retriever.searcher import Searcher
from quarry.training.examples.rows import write_training_rows
from quarry.training.tuning import promotion, tune
from tests.training.tuning.query_shift.test_subject import MOVED, plan
from tests.training.tuning.second_stage.test_subject import embedder_of
from tests.training.tuning.test_embedder import DENSE, model, rows
from tests.training.tuning.test_embedder import plan as embedder_plan
from tests.training.tuning.test_reranker import general, no_hub_cache
from tests.training.tuning.test_reranker import plan as reranker_plan

__all__ = ["general", "model", "no_hub_cache"]

COUNT = 60


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Views go into the test's folder, and follow at once."""
    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(view, "_EVERY_S", 0.0)


@pytest.fixture
def lake(tmp_path, model):
    made = make_lake(tmp_path / "lake", settings_for(embedder_of(model), str(model), ChunkSpec(), ReadOptions()))
    _grow(made, tmp_path / "corpus", [(f"d{number}", row.pos[0]) for number, row in enumerate(rows(COUNT))], model)
    return made


@pytest.fixture
def pairs(tmp_path):
    write_training_rows(tmp_path / "pairs.jsonl", rows(COUNT))
    return tmp_path / "pairs.jsonl"


def _grow(lake: Lake, folder, documents, model):
    folder.mkdir()
    lines = [json.dumps({"_id": doc_id, "text": text}, ensure_ascii=False) for doc_id, text in documents]
    (folder / "corpus.jsonl").write_text("\n".join(lines), "utf-8")
    add_to_lake(lake, [folder], embedder_of(model))
    publish(lake, embedder_of(model))


def dense_reason(searcher):
    answer = searcher.search(rows(9)[8].query, 5, DENSE)
    (report,) = [report for report in answer.stages if report.stage == "dense"]
    return report.reason.code if report.reason else report.status


def live_generation(lake):
    return read_generation(lake.objects, read_pointer(lake.objects)[0].generation)


def test_what_judgements_teach_about_questions_is_live_for_every_reader_and_taken_back(
    lake, model, general, pairs, tmp_path, monkeypatch
):
    place = tmp_path / "lake"
    reader = Searcher.open(place, device="cpu")
    report = tune(place, plan(general, pairs, force=True), run="first")
    assert (report.promoted, report.generation) == (True, "000002")
    assert dense_reason(reader.newest()) in MOVED
    assert live_generation(lake).folder == "generations/000001"  # no table was written

    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "another machine")
    other = Searcher.open(place, device="cpu")
    assert dense_reason(other) in MOVED
    assert (other.index.root / "models" / "first" / "query_shift.safetensors").is_file()

    _grow(lake, tmp_path / "more", [("new", "something else")], model)
    assert Index.open(place).generation == "000003"
    assert dense_reason(Searcher.open(place, device="cpu")) in MOVED
    assert all(finding is None for finding in examine(lake))

    root = as_index(place)
    promotion.roll_back(root, lambda facts: recorded_embedder(root, facts, "cpu"))
    assert Index.open(place).generation == "000004"
    assert dense_reason(Searcher.open(place, device="cpu")) not in MOVED
    assert Index.open(place).chunks.counts()[0] == COUNT + 1


def test_rollback_goes_behind_a_promotion_and_clean_keeps_the_tables_that_it_shares(lake, general, pairs, tmp_path):
    place = tmp_path / "lake"
    tune(place, plan(general, pairs, force=True), run="first")
    lake.objects.write("models/lost/weights.safetensors", b"of a run that was killed")
    found = clean(lake, hours=0, keep=0)
    assert found.generations == ()
    assert found.objects == ("models/lost/weights.safetensors",)
    assert dense_reason(Searcher.open(place, device="cpu")) in MOVED
    assert roll_back(lake).generation == "000001"
    assert dense_reason(Searcher.open(place, device="cpu")) not in MOVED


def test_a_reranker_is_tuned_on_a_lake_and_fetched_by_other_readers(lake, general, pairs, tmp_path, monkeypatch):
    place = tmp_path / "lake"
    report = tune(place, reranker_plan(general, pairs, force=True), run="ranks")
    assert report.promoted
    monkeypatch.setattr(view, "cache_folder", lambda: tmp_path / "another machine")
    answer = Searcher.open(place, rerank="auto", device="cpu").search(rows(9)[8].query, 5)
    (reranked,) = [stage for stage in answer.stages if stage.stage == "rerank"]
    assert reranked.status == "ran", reranked
    stored = sorted(live_generation(lake).models)
    assert "models/ranks/model.safetensors" in stored
    shutil.rmtree(tmp_path / "another machine")
    name = next(name for name in stored if name.endswith("config.json"))
    lake.objects.write(name, b"{}")
    with pytest.raises(IndexFormatError, match=f"{name}, which was tuned on this lake, is missing or damaged"):
        as_index(place)


def test_the_embedding_model_and_the_second_stage_of_a_lake_are_not_tuned_in_place(lake, general, pairs, tmp_path):
    with pytest.raises(SettingsError, match="its embedding model is fixed.*quarry lake init NEW --model TUNED"):
        tune(tmp_path / "lake", embedder_plan(general, pairs))
    from quarry.training.tuning.second_stage.spec import SecondStageSpec

    with pytest.raises(ModelError, match="holds no token states"):
        tune(tmp_path / "lake", embedder_plan(general, pairs, spec=SecondStageSpec(), route="hybrid"))


@pytest.mark.parametrize(
    "name", ["models/../../x", "/etc/passwd", "models/x", "shards/a/b", "models/.a/b", "models//b", "models/a\\..\\b/c"]
)
def test_names_that_lead_out_of_the_models_are_refused(name):
    with pytest.raises(IndexFormatError, match="not a file of a tuned model"):
        model_path(name)


def test_the_second_stage_of_a_lake_with_token_states_is_tuned_and_live(model, general, tmp_path):
    from tests.training.tuning.second_stage import test_subject as second

    embedder = embedder_of(model)
    place = tmp_path / "with states"
    settings = settings_for(embedder, str(model), ChunkSpec(), ReadOptions(), token_states=True)
    _grow(
        make_lake(place, settings), tmp_path / "english", [(one.doc_id, one.text) for one in second.documents()], model
    )
    write_training_rows(tmp_path / "pairs.jsonl", second.english())
    assert second.rerank_reason(place) == "rerankers.words_shared"
    report = tune(place, second.plan(general, tmp_path / "pairs.jsonl", force=True), run="first")
    assert report.promoted
    assert report.verdict.held_out.difference > 0.05
    assert second.rerank_reason(place) == "ran"
