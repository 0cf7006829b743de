"""Requests made up from the OpenAPI description, to every operation of a running server: each is answered as described, none with a 5xx."""

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis.errors import FlakyFailure

from quarry.app.server.settings import ServeOptions
from tests.app.server.described import ask, operations
from tests.app.server.serving import served, small_index
from tests.fakes import OverlapReranker, WordEmbedder

_BATCH = 20  # requests of one run of Hypothesis: what a failure of its own costs


def run(
    folder: Path, cases: int, seed: int = 0, seconds: float = math.inf, out: Path | None = None
) -> Iterator[dict[str, Any]]:
    """Ask so many times in all, in rounds over all operations; yields the counts by operation, with what was not as described.

    Args:
        folder: Where to work.
        cases: In all; some descriptions allow fewer different requests than their share.
        seed: Other requests for another number.
        seconds: Begin no other batch after so long.
        out: A file for the counts, written again after each batch; a later run with it goes on from them.
    """
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)  # token ids are refused
    embedder, until = WordEmbedder(), time.monotonic() + seconds
    rows: dict[str, dict[str, Any]] = json.loads(out.read_text()) if out is not None and out.is_file() else {}
    with served(ServeOptions(small_index(folder / "index", embedder)), embedder, OverlapReranker()) as running:
        kinds = [(operation, mode) for operation, modes in operations(running.url) for mode in modes]
        most, share = -(-cases // len(kinds)), 0
        while (share := share + _BATCH) < most + _BATCH and time.monotonic() < until:
            for operation, mode in kinds:
                name = f"{operation.definition.raw['operationId']}, {mode.value}"
                row = rows.setdefault(name, {"operation": name, "asked": 0, "batches": 0, "broken off": 0, "wrong": ""})
                if row["wrong"] or row["batches"] * _BATCH >= min(share, most) or time.monotonic() > until:
                    continue
                _batch(row, operation, mode, 1 + seed + row["batches"])
                if out is not None:
                    out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    yield from rows.values()


def _batch(row: dict[str, Any], operation: Any, mode: Any, seed: int) -> None:
    """Ask one batch and add to the counts; a batch that fails in Python's own parser, to which Hypothesis is close, is broken off."""
    row["batches"] += 1
    try:
        row["asked"] += ask(operation, mode, _BATCH, seed)
    except FlakyFailure as err:
        if "SystemError" not in str(err):
            row["wrong"] = str(err)[:600]
        row["broken off"] += 1
    except SystemError:
        row["broken off"] += 1
    except ExceptionGroup as several:
        row["wrong"] = str(several.exceptions[0])[:600]
    except AssertionError as err:
        row["wrong"] = str(err)[:600]
