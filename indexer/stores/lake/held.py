"""Vectors of a small lake in the memory of a reader: storage far away would send all of them again for every question."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.base import Neighbour
from quarry.indexer.stores.checks import precise_similarities
from quarry.indexer.stores.lake.tables import Table

HELD_UP_TO = 128 << 20  # bytes of vectors
_BLOCK = 8_192
_ROUNDING = 1e-5  # by which a sum of products in single precision may be off


@dataclass(frozen=True)
class HeldVectors:
    """All rows of a table.

    Attributes:
        names: Their ids.
        vectors: Shape (len(names), dim), float32.
    """

    names: list[str]
    vectors: Vectors

    @classmethod
    def read(cls, table: Table, column: str, dim: int) -> Self:
        """Read a table with an id in `column`, and `vector`."""
        names: list[str] = []
        parts: list[Vectors] = [np.empty((0, dim), dtype=np.float32)]
        for batch in table.batches([column, "vector"], _BLOCK):
            names += batch[column].to_pylist()
            parts.append(batch["vector"].flatten().to_numpy().reshape(-1, dim))
        return cls(names, np.concatenate(parts))

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def search(self, query: Vectors, k: int, among: Collection[str] | None) -> list[Neighbour]:
        """Return the k nearest, equal ones in id order.

        Args:
            query: Shape (dim,).
            k: How many at most.
            among: Ids that count; None for all.
        """
        rows: NDArray[np.int64] = np.arange(len(self.names))
        if among is not None:
            rows = np.array(sorted(self._rows[name] for name in among if name in self._rows), dtype=np.int64)
        similar = self.vectors[rows] @ query if among is not None else self.vectors @ query
        if len(rows) > k:
            rows = rows[similar >= np.partition(similar, -k)[-k] - _ROUNDING]
        precise = precise_similarities(query, self.vectors[rows]).tolist()
        found = [Neighbour(self.names[row], value) for row, value in zip(rows.tolist(), precise, strict=True)]
        return sorted(found, key=lambda near: (-near.similarity, near.chunk_id))[:k]
