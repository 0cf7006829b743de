"""Requests made up from the OpenAPI description, to every operation of a running server: each is answered as described, none with a 5xx."""

import os
from pathlib import Path
from typing import Any

from quarry.app.server.settings import ServeOptions
from tests.app.server.described import ask, operations
from tests.app.server.serving import served, small_index
from tests.fakes import OverlapReranker, WordEmbedder

_MODES_OF_ALL = 41  # operations and kinds of requests, about: what the cases are shared out among


def run(folder: Path, cases: int, seed: int = 0) -> list[dict[str, Any]]:
    """Ask at least so many times in all; returns the counts by operation, with what was not as described."""
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)  # token ids are refused
    embedder, rows = WordEmbedder(), list[dict[str, Any]]()
    index = small_index(folder / "index", embedder)
    with served(ServeOptions(index), embedder, OverlapReranker()) as running:
        for operation, modes in operations(running.url):
            name = operation.definition.raw["operationId"]
            for mode in modes:
                row: dict[str, Any] = {"operation": name, "requests": mode.value, "asked": 0, "wrong": ""}
                try:
                    row["asked"] = ask(operation, mode, -(-cases // _MODES_OF_ALL), seed + 1)
                except* AssertionError as several:
                    row["wrong"] = str(several.exceptions[0])[:600]
                rows.append(row)
    return rows
