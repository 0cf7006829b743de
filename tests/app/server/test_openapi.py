"""Every operation of the OpenAPI description answers as described, whatever it is sent (schemathesis, over a real socket)."""

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")

import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from quarry.app.server.problems import Problem
from quarry.app.server.settings import ServeOptions
from quarry.app.server.shapes.chat import ChatRequest
from tests.app.server.serving import served, small_index
from tests.fakes import OverlapReranker, WordEmbedder

IN_URLS = [negative_data_rejection]  # a negative path parameter may be a valid id once it stands in a URL
# made-up bytes are no files; and in a form a value of a wrong type is bytes like any other, which the check takes for a wrong request
FILES = [positive_data_acceptance, negative_data_rejection]
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


def ranks_are_distinct(body):
    """Return whether no hit of `shown` has the rank of another, the one rule that JSON Schema cannot express."""
    shown = body.get("shown") if isinstance(body, dict) else None
    return not isinstance(shown, list) or len({hit["rank"] for hit in shown}) == len(shown)


def asks_something(operation, body):
    """Return whether a chat has a question, which JSON Schema cannot express either."""
    if operation.path != "/v1/chat/completions" or not isinstance(body, dict):
        return True
    try:
        return bool(ChatRequest.model_validate(body).question)
    except (Problem, ValueError):
        return False


def check(operation, mode, excluded):
    @settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        assume(
            mode is GenerationMode.NEGATIVE or (ranks_are_distinct(case.body) and asks_something(operation, case.body))
        )
        answer = case.call_and_validate(excluded_checks=excluded)
        assert answer.status_code < 500

    ask()


@pytest.mark.slow
def test_answers_are_as_described(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))  # token ids are refused
    embedder, tried = WordEmbedder(), set()
    index = small_index(tmp_path / "index", embedder)
    with served(ServeOptions(index), embedder, OverlapReranker()) as running:
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            tried.add(operation.definition.raw["operationId"])
            excluded = IN_URLS if "{" in operation.path else FILES if operation.path == "/documents/files" else []
            check(operation, GenerationMode.POSITIVE, excluded)
            if operation.method != "get" or "{" in operation.path:  # elsewhere there is nothing that could be wrong
                check(operation, GenerationMode.NEGATIVE, excluded)
    assert tried == OPERATIONS
