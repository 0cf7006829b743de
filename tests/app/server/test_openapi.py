"""Every operation of the OpenAPI description answers as described, whatever it is sent (schemathesis, over a real socket)."""

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")

from quarry.app.server.settings import ServeOptions
from tests.app.server.described import ask, operations
from tests.app.server.serving import served, small_index
from tests.fakes import OverlapReranker, WordEmbedder

OPERATIONS = {
    "search",
    "why_not",
    "ask",
    "feedback",
    "chat_completions",
    "add_documents",
    "add_files",
    "delete_document",
    "documents",
    "document",
    "original",
    "document_job",
    "embeddings",
    "embed_v2",
    "rerank",
    "rerank_v1",
    "rerank_v2",
    "models",
    "model",
    "roots",
    "remove_documents",
    "remove_documents_delete",
    "health",
    "metrics",
}


@pytest.mark.slow
def test_answers_are_as_described(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))  # token ids are refused
    embedder, tried = WordEmbedder(), set()
    index = small_index(tmp_path / "index", embedder)
    with served(ServeOptions(index), embedder, OverlapReranker()) as running:
        for operation, modes in operations(running.url):
            tried.add(operation.definition.raw["operationId"])
            assert all(ask(operation, mode, 8) > 0 for mode in modes), operation.path
    assert tried == OPERATIONS
