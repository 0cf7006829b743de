"""How much of each query's words each passage of a block holds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from quarry.training.examples.near_duplicates import shingles


def shares_held(queries: Sequence[str], passages: Sequence[str]) -> NDArray[np.float32]:
    """Return the share of each query's n-grams that each passage holds, weighted by their rarity among these passages.

    N-grams (pairs of Han characters, triples of others) need no dictionary and forgive endings; an n-gram that all passages hold
    weighs nothing.

    Returns:
        Shares in [0, 1], shape (queries, passages); 0 for a query without a letter or with nothing but n-grams that all hold.
    """
    asked = [shingles(query) for query in queries]
    owner = np.repeat(np.arange(len(asked)), [len(one) for one in asked])
    known, places = np.unique(np.concatenate(asked), return_inverse=True)
    held = [_among(known, shingles(passage)) for passage in passages]
    frequency = np.bincount(np.concatenate(held), minlength=len(known)) if len(known) else np.zeros(0)
    weights = np.log((len(passages) + 1) / (frequency + 1))[places]
    total = np.bincount(owner, weights, len(queries))
    out = np.zeros((len(queries), len(passages)), np.float32)
    mask = np.zeros(len(known), np.bool_)
    for column, one in enumerate(held):
        mask[one] = True
        out[:, column] = np.bincount(owner, weights * mask[places], len(queries)) / np.where(total > 0, total, 1)
        mask[one] = False
    return out


def _among(known: NDArray[np.uint64], found: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the places in `known`, ascending, of the values that are there."""
    places = np.searchsorted(known, found)
    inside = places < len(known)
    equal: NDArray[np.int64] = places[inside][known[places[inside]] == found[inside]]
    return equal
