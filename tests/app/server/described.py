"""Every operation of the OpenAPI description, asked with what the description allows and forbids (schemathesis, over a real socket)."""

from collections.abc import Iterator
from typing import Any

import schemathesis
from hypothesis import HealthCheck, assume, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from quarry.app.server.problems import Problem
from quarry.app.server.shapes.chat import ChatRequest
from quarry.indexer.errors import SearchError
from quarry.indexer.storage.texts.conditions import condition_of, parse_expression

IN_URLS = [negative_data_rejection]  # a negative path parameter may be a valid id once it stands in a URL
# made-up bytes are no files; and in a form a value of a wrong type is bytes like any other, which the check takes for a wrong request
FILES = [positive_data_acceptance, negative_data_rejection]


def operations(url: str) -> Iterator[tuple[Any, list[GenerationMode]]]:
    """Yield each operation of a running server, with the kinds of requests that make sense for it."""
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json", timeout=60).get_all_operations():
        operation = found.ok()
        if operation.method != "get" or "{" in operation.path:  # elsewhere there is nothing that could be wrong
            yield operation, [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
        else:
            yield operation, [GenerationMode.POSITIVE]


def ask(operation: Any, mode: GenerationMode, cases: int, number: int = 0) -> int:
    """Ask so many times; returns how often it was asked. The same each time without a seed, which is a number from 1.

    Raises:
        AssertionError: If an answer is not as described, or is an error of the server.
    """
    asked = 0
    excluded = IN_URLS if "{" in operation.path else FILES if operation.path == "/documents/files" else []

    healthy = list(HealthCheck)

    @settings(max_examples=cases, deadline=None, database=None, derandomize=not number, suppress_health_check=healthy)
    @given(case=operation.as_strategy(generation_mode=mode))
    def once(case: Any) -> None:
        nonlocal asked
        sound = mode is GenerationMode.NEGATIVE
        assume(sound or (ranks_are_distinct(case.body) and asks_something(operation, case.body)))
        assume(sound or bounds_are_numbers(case.query))
        asked += 1
        answer = case.call_and_validate(excluded_checks=excluded, timeout=60)
        assert answer.status_code < 500

    (seed(number)(once) if number else once)()
    return asked


def bounds_are_numbers(query: Any) -> bool:
    """Return whether what conditions compare with by `<` and `>` is a number or a date, which a pattern does not say."""
    asked = (query or {}).get("filter") or []
    try:
        for one in [asked] if isinstance(asked, str) else asked:
            condition_of(*parse_expression(one))
    except (SearchError, ValueError, TypeError):
        return False
    return True


def ranks_are_distinct(body: Any) -> bool:
    """Return whether no hit of `shown` has the rank of another, the one rule that JSON Schema cannot express."""
    shown = body.get("shown") if isinstance(body, dict) else None
    return not isinstance(shown, list) or len({hit["rank"] for hit in shown}) == len(shown)


def asks_something(operation: Any, body: Any) -> bool:
    """Return whether a chat has a question, which JSON Schema cannot express either."""
    if operation.path != "/v1/chat/completions" or not isinstance(body, dict):
        return True
    try:
        return bool(ChatRequest.model_validate(body).question)
    except (Problem, ValueError):
        return False
