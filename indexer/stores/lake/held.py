"""Vectors of a small lake in the memory of a reader: storage far away would send all of them again for every question."""

from pathlib import Path

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.lake.tables import Table

HELD_UP_TO = 128 << 20  # bytes of vectors
_BLOCK = 8_192


def held(table: Table, column: str, dim: int) -> ExactStore:
    """Read a table with an id in `column`, and `vector`, into a store that compares all."""
    names: list[str] = []
    parts: list[Vectors] = [np.empty((0, dim), dtype=np.float32)]
    for batch in table.batches([column, "vector"], _BLOCK):
        names += batch[column].to_pylist()
        parts.append(batch["vector"].flatten().to_numpy().reshape(-1, dim))
    return ExactStore(Path(table.place), names, np.concatenate(parts))
