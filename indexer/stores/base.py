"""What a vector store is. Distances become similarities inside the adapters and nowhere else."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors


class Neighbour(NamedTuple):
    """A stored chunk near a query."""

    chunk_id: str
    similarity: float  # cosine, in [-1, 1]; higher is better


class Predicate(Collection[str]):
    """Ids that meet a condition, known by the condition: a filter of a lake, whose ids are read only where they have to be.

    Stores that know the condition search under it. For others it is a collection like any other, which asks for each id.
    """

    @abstractmethod
    def among(self, ids: Iterable[str]) -> frozenset[str]:
        """Return those of some ids that are in it."""

    @abstractmethod
    def both(self, other: "Predicate") -> "Predicate":
        """Return what is in this and in another one of the same store."""

    @abstractmethod
    def without(self, ids: Set[str]) -> "Predicate":
        """Return the same without some ids."""


def among(allowed: Collection[str] | None, ids: Iterable[str]) -> frozenset[str]:
    """Return those of some ids that are allowed; None allows all.

    Example:
        >>> from quarry.indexer.stores.base import among
        >>> sorted(among({"a", "c"}, ["a", "b"])), sorted(among(None, ["a", "b"]))
        (['a'], ['a', 'b'])
    """
    if isinstance(allowed, Predicate):
        return allowed.among(ids)
    return frozenset(ids if allowed is None else (one for one in ids if one in allowed))


class VectorStore(Protocol):
    """Vectors by chunk id, for searching: one store, or those of several segments together."""

    def __len__(self) -> int: ...

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """All stored chunk ids, in insertion order."""
        ...

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest, JSON-able: kind, index type, tuned search parameter, measured recall."""
        ...

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks for each query.

        Args:
            queries: Unit-length rows, shape (n_queries, dim).
            k: How many neighbours per query; fewer only when fewer are stored (or allowed).
            allowed: When given, only these chunks may come out (a pre-filter: `k` is still honoured): their ids, or a predicate.

        Returns:
            One list per query, best first, equal similarities in id order. Never padded.

        Raises:
            ValueError: If k < 1, queries is not (n, dim), or a value is not finite.
            IndexFormatError: If a file that is read only now is damaged.
        """
        ...

    def holds(self, chunk_id: str) -> bool:
        """Whether an id is stored."""
        ...

    def similarities(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        """Return similarities that depend on nothing but the two vectors, not on where in the store they stand.

        Args:
            query: Shape (dim,).
            ids: Stored chunk ids.

        Raises:
            KeyError: If one is not stored.
        """
        ...

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return stored vectors by row number, in the order of `ids`; shape (len(rows), dim)."""
        ...


class WritableStore(VectorStore, Protocol):
    """Vectors by chunk id, on disk in one folder."""

    @classmethod
    def create(cls, folder: Path, dim: int) -> Self:
        """Make an empty store in a new or empty folder."""
        ...

    @classmethod
    def open(cls, folder: Path, *, verified: bool = False) -> Self:
        """Open what the last finished `flush` wrote; what came after it is not there.

        Args:
            folder: The folder given to `create`.
            verified: The caller has compared the digests of all files already (an index's manifest does). Otherwise
                they are compared here, for stores of up to 256 MiB; sizes always are.

        Raises:
            IndexFormatError: If the folder is not such a store, or a file is missing or damaged; the file is named.
        """
        ...

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add all or nothing. Raises ValueError on a duplicate id, a wrong shape or a non-finite value."""
        ...

    def remove(self, ids: Collection[str]) -> int:
        """Remove these; return how many were there."""
        ...

    def flush(self) -> None:
        """Write everything to the folder, fsynced and as one step: a crash leaves what was flushed before.

        Approximate stores train and tune themselves here.
        """
        ...
