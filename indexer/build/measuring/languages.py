"""The languages of an index: mean vectors, and how far the advantage of a question's own language may be evened out.

A multilingual encoder puts texts of one language closer together than texts of one topic: passages in the other language lose, and
in a mixed index they are not found. Each language's mean similarity with the question is known from its centroid. A share of
the difference between the means is added to the passages of the other languages. The share is the most, in steps of an eighth, at
which the probes in the question's own language keep their quality, because the means differ by topic as well: in an index of
English code and Chinese articles the whole difference would bury the code.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.stores.base import VectorStore

STEPS = np.linspace(0, 1, 9)  # shares that are tried
TOLERANCE = 0.002  # nDCG@10 that the probes may lose
UNTESTED = 0.5  # the share with too few probes: at it the worst of nine mixed corpora lost 0.002
ENOUGH = 20  # probes that a share is chosen by
_FOUND = 10
_SLICE = 8192


@dataclass(frozen=True, slots=True)
class Rivals:
    """What stands against the probes of one language.

    Attributes:
        own: Similarity of each probe's rest with its question, shape (n,).
        same: Per probe the similarities of passages in its own language, or in none that has a centroid.
        other: The same by other language.
        lead: By other language, how much lower its mean similarity with each question is, at least 0; shape (n,).
    """

    own: NDArray[np.float64]
    same: Sequence[NDArray[np.float64]]
    other: Mapping[str, Sequence[NDArray[np.float64]]]
    lead: Mapping[str, NDArray[np.float64]]


def mean_vector(vectors: VectorStore, chunk_ids: Collection[str]) -> NDArray[np.float32]:
    """Return the mean of the vectors of some passages, shape (dim,); it does not depend on the order in which they are stored."""
    places = {chunk_id: row for row, chunk_id in enumerate(vectors.ids) if chunk_id in chunk_ids}
    rows = np.array([places[chunk_id] for chunk_id in sorted(places)], dtype=np.int64)
    total = np.zeros(vectors.dim, dtype=np.float64)
    for first in range(0, len(rows), _SLICE):
        total += vectors.vectors_of(rows[first : first + _SLICE]).sum(axis=0, dtype=np.float64)
    mean: NDArray[np.float32] = (total / len(rows)).astype(np.float32)
    return mean


def choose_share(rivals: Rivals) -> float:
    """Return the largest share of the leads at which, and below which, the probes lose at most the tolerance."""
    if len(rivals.own) < ENOUGH:
        return UNTESTED
    before, chosen = _quality(rivals, 0.0), 0.0
    for share in STEPS.tolist():
        if _quality(rivals, share) < before - TOLERANCE:
            break
        chosen = share
    return chosen


def _quality(rivals: Rivals, share: float) -> float:
    """Mean nDCG@10 of the probes when that share of the leads is added to the passages of other languages."""
    gains = []
    for row, own in enumerate(rivals.own):
        better = int((rivals.same[row] > own).sum())
        for name, lines in rivals.other.items():
            better += int((lines[row] + share * rivals.lead[name][row] > own).sum())
        gains.append(1 / np.log2(2 + better) if better < _FOUND else 0.0)
    return float(np.mean(gains))
