"""The process that reads a Lance table first. Run as `python -m quarry.indexer.stores.lance.trial_worker BYTES`."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from quarry.indexer.errors import SearchError
from quarry.indexer.readers.serving import serve
from quarry.indexer.stores.lance.store import LanceStore

_FEW = 50


def answer(request: dict[str, Any], _content: bytes) -> dict[str, Any]:
    """Open a store and ask it for everything that this version asks of one; `refused` holds the message when it cannot be read."""
    try:
        read_whole(LanceStore.open_here(Path(os.fsdecode(bytes.fromhex(request["folder"]))), verified=True))
    except SearchError as err:
        return {"refused": err.message.as_json()}
    return {}


def read_whole(store: LanceStore) -> None:
    """Read all rows and ids, and search by the indexes and without them.

    Raises:
        IndexFormatError: If something cannot be read.
    """
    ids = store.ids
    store.count_all()
    if not ids:
        return
    queries = store.vectors_of(np.array([0, len(ids) - 1]))
    store.search(queries, _FEW)
    store.search(queries, _FEW, allowed=ids[:_FEW])
    _ = store.details  # statistics of the index


if __name__ == "__main__":
    serve(answer)
