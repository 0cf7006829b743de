"""Checks that all stores share, and the queries that approximate ones are tuned with."""

from collections.abc import Collection, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.messages import Message
from quarry.indexer.stores.base import Neighbour

TARGET_RECALL = 0.95  # recall@10 against exact search, below which an index that searches approximately says so


def check_addition(ids: Sequence[str], vectors: Vectors, dim: int, known: Collection[str]) -> None:
    """Check an addition before anything is changed.

    Raises:
        ValueError: On a wrong shape, a non-finite value, or an id that is stored already or given twice.
    """
    if vectors.ndim != 2 or vectors.shape != (len(ids), dim):
        raise ValueError(f"vectors have shape {vectors.shape}; expected ({len(ids)}, {dim})")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise ValueError(f"the vector of {ids[row]!r} is not finite; nothing was added")
    seen: set[str] = set()
    for chunk_id in ids:
        if chunk_id in seen or chunk_id in known:
            raise ValueError(
                f"the id {chunk_id!r} is there already; expected new ids. Nothing was added: remove it first"
            )
        seen.add(chunk_id)


def check_search(queries: Vectors, k: int, dim: int) -> None:
    """Check the arguments of a search.

    Raises:
        ValueError: If k < 1, queries is not (n, dim), or a value is not finite.
    """
    if k < 1:
        raise ValueError(f"k is {k}; expected at least 1")
    if queries.ndim != 2 or queries.shape[1] != dim:
        raise ValueError(f"queries have shape {queries.shape}; expected (n, {dim})")
    if not np.isfinite(queries).all():
        row = int(np.flatnonzero(~np.isfinite(queries).all(axis=1))[0])
        raise ValueError(
            f"query {row} holds a value that is not finite; expected unit vectors. See the embedding model"
        )


def rounding(dim: int, similarity: float) -> float:
    """Return how far apart two float32 computations of one similarity of unit vectors can be, at most.

    Each is off by up to dim / 2**24 (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
    """
    return dim * 2.0**-23 * max(1.0, abs(float(similarity)))


def precise_similarities(query: Vectors, vectors: Vectors) -> NDArray[np.float32]:
    """Return similarities that depend on nothing but the two vectors: products and sums in double precision.

    Args:
        query: Shape (dim,).
        vectors: Shape (n, dim).

    Returns:
        Shape (n,).
    """
    out: NDArray[np.float32] = (vectors.astype(np.float64) * query).sum(axis=1).astype(np.float32)
    return out


def vectors_message(count: int, dim: int) -> Message:
    """Say how many vectors there are, and how long they are."""
    return Message.of("stores.vectors", "{count:vector|vectors} of length {dim}", count=count, dim=dim)


def shape_message(kind: np.dtype[Any], shape: tuple[int, ...]) -> Message:
    """Say of what type and shape an array is."""
    return Message.of("stores.shape", "{kind} of shape {shape}", kind=str(kind), shape=str(shape))


def recall_missed() -> Message:
    """Say that tuning did not reach `TARGET_RECALL`."""
    return Message.of(
        "stores.recall_missed",
        "recall@10 of {target} was not reached",
        do="Use --store exact for full recall",
        target=TARGET_RECALL,
    )


def ids_of(found: Sequence[Sequence[Neighbour]]) -> list[set[str]]:
    """Return the ids that were found for each query."""
    return [{hit.chunk_id for hit in hits} for hits in found]


def recall(truth: Sequence[Set[str]], found: Sequence[Sequence[Neighbour]]) -> float:
    """Return the mean share of the nearest that were found, 0 to 1.

    Args:
        truth: The ids nearest to each query, at least one query and one id.
        found: What was found for each.
    """
    return sum(len(right & ids) / len(right) for right, ids in zip(truth, ids_of(found), strict=True)) / len(truth)


def tuning_queries(vectors: Vectors, count: int) -> Vectors:
    """Make queries for tuning an approximate index: midpoints of two stored vectors, as real queries lie between passages.

    Returns:
        Unit rows, shape (min(count, len(vectors)), dim); the same for the same vectors.
    """
    rng = np.random.default_rng(0)
    rows = rng.choice(len(vectors), size=(min(count, len(vectors)), 2))
    between = np.asarray(vectors[rows[:, 0]]) + np.asarray(vectors[rows[:, 1]])
    unit: Vectors = between / np.maximum(np.linalg.norm(between, axis=1, keepdims=True), 1e-9)
    return unit.astype(np.float32)
