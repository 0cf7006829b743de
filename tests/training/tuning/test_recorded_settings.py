"""An index is searched and tuned with the settings that it was built with: its query format, its examples, its dimension."""

import json

import pytest

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import TrainingError
from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.indexer.models.format import write_profile
from quarry.indexer.models.source import resolve_model
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.retriever.models.recorded import recorded_embedder
from quarry.retriever.searcher import Searcher
from quarry.training.examples.rows import TrainingRow, read_training_rows, write_training_rows
from quarry.training.tuning import tune
from quarry.training.tuning.plan import TuningSources
from tests.training.tiny_model import tiny_model
from tests.training.tuning.test_embedder import DENSE, general, plan, rows

__all__ = ["general"]

ICL = "BAAI/bge-en-icl"
SHOTS = (("how to fix", "notes about it"),)


def built(folder, model, documents, dim=None, **options):
    """Index documents with a model opened with options, and return the embedder."""
    source = resolve_model(str(model))
    embedder = load_embedder(
        source.folder,
        model_id=source.model,
        revision=source.revision,
        device="cpu",
        dim=dim,
        options=EncoderOptions(**options),
    )
    index_documents(folder, documents, embedder, BuildOptions(model_folder=str(model)))
    return embedder


def test_an_index_with_its_own_instruction_and_examples_is_searched_with_them(tmp_path):
    model = tiny_model(tmp_path / "m", "qwen3")
    spec = EmbedderSpec(ICL, "1", 32, 300, "last_token", query_format="<instruct>Old.\n<query>{query}\n<response>")
    write_profile(model, spec)
    documents = [Document(f"d{n}", f"notes {n} about the garden") for n in range(4)]
    embedder = built(tmp_path / "index", model, documents, instruction="Find it.", examples=SHOTS)
    assert embedder.spec.query_format.startswith("<instruct>Find it.\n<query>how to fix\n<response>notes about it")
    index = Index.open(tmp_path / "index")
    again = recorded_embedder(index.root, index.manifest.embedder, "cpu")
    assert again.spec.query_format == embedder.spec.query_format
    (wanted,) = embedder.embed_queries(["garden 2"])
    found = Searcher.open(tmp_path / "index", device="cpu").search("garden 2", k=1, options=DENSE)
    assert not found.degraded
    best = float(max(embedder.embed_documents([document.text for document in documents]) @ wanted))
    assert found.results[0].evidence.dense.score == pytest.approx(best, abs=1e-5)


def test_a_tuned_in_context_model_still_takes_examples(tmp_path):
    model = tiny_model(tmp_path / "m", "qwen3")
    spec = EmbedderSpec(
        f"{ICL}+tuned-12345678", "1", 32, 300, "last_token", query_format="<instruct>A.\n<query>{query}\n<response>"
    )
    write_profile(model, spec)
    embedder = load_embedder(model, device="cpu", options=EncoderOptions(examples=SHOTS))
    assert "how to fix\n<response>notes about it\n\n<instruct>A." in embedder.spec.query_format


def test_tuning_keeps_the_dimension_and_the_instruction_of_the_index(tmp_path, general):
    model = tiny_model(tmp_path / "m")
    documents = [Document(f"d{number}", row.pos[0]) for number, row in enumerate(rows(60))]
    built(tmp_path / "index", model, documents, dim=16, instruction="repair: ")
    write_training_rows(tmp_path / "pairs.jsonl", rows(60))
    report = tune(tmp_path / "index", plan(general, tmp_path / "pairs.jsonl", force=True, merge=(0.5,)), run="a")
    assert report.promoted
    spec = Index.open(tmp_path / "index").manifest.embedder.to_spec()
    assert spec.dim == 16
    assert spec.query_format == "repair: {query}"
    saved = json.loads((tmp_path / "index" / "models" / "a" / "quarry.json").read_text())
    assert saved["query_format"] == "repair: {query}"


def test_scores_of_a_teacher_reach_the_training_rows_as_they_are(tmp_path, general):
    model = tiny_model(tmp_path / "m")
    taught = [
        TrainingRow(row.query, row.pos, (f"{row.query} not", f"{n} other"), (n / 7,), (n / 11, -n / 3))
        for n, row in enumerate(rows(40))
    ]
    write_training_rows(tmp_path / "pairs.jsonl", taught)
    built(tmp_path / "index", model, [Document(f"d{n}", row.pos[0]) for n, row in enumerate(taught)])
    job = plan(
        general, tmp_path / "pairs.jsonl", promote=False, sources=TuningSources(pairs=(tmp_path / "pairs.jsonl",))
    )
    tune(tmp_path / "index", job, run="a")
    by_query = {row.query: row for row in taught}
    found = read_training_rows(tmp_path / "index" / "tuning" / "a" / "data" / "train.jsonl")
    assert len(found) > 15
    for row in found:
        given = by_query[row.query]
        assert row.pos_scores == given.pos_scores
        scores = dict(zip(row.neg, row.neg_scores, strict=True))
        assert {text: scores[text] for text in given.neg} == dict(zip(given.neg, given.neg_scores, strict=True))


def test_tuning_refuses_to_run_in_several_processes(tmp_path, general, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        TrainingError, match="started by torchrun in 2 processes; expected one. Start it without torchrun"
    ):
        tune(tmp_path, plan(general, tmp_path))
