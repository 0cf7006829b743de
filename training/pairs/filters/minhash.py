"""A short signature of a text's n-grams: texts that share many of them share one of its bands (MinHash, Broder, 1997).

A text's n-grams are those of `quarry.training.examples.near_duplicates`. Eight bands of four minima each: two texts of similarity 0.8
share a band with a probability of 0.985, of 0.75 with 0.95, of 0.3 with 0.06; of sixteen bands, 0.8 with 0.9998. What shares a band is a
candidate and nothing more.

Half of the bands can have a minimum of a second text too, so that a passage asked about in many ways has bands that few of them share.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.training.examples.near_duplicates import Shingles

BANDS, MOST_BANDS, _MINIMA = 8, 16, 4
Bands: TypeAlias = NDArray[np.uint32]
"""Shape (count,), one number per band."""

_DRAW = np.random.default_rng(2309_07597)
_DRAWN = [_DRAW.integers(low, 2**63, BANDS * _MINIMA, dtype=np.uint64) for low in (1, 0) * (MOST_BANDS // BANDS)]
_MULTIPLY = np.concatenate(_DRAWN[0::2]) * np.uint64(2) + np.uint64(1)
_ADD = np.concatenate(_DRAWN[1::2])
_MIX = np.uint64(0x9E3779B97F4A7C15)


def bands(items: Shingles, beside: Shingles | None = None, count: int = BANDS) -> Bands:
    """Return the bands of a text's n-grams, every second one with those of another text; of a text without any all are 0.

    Args:
        items: The text's n-grams.
        beside: Those of another text.
        count: How many bands, at most `MOST_BANDS`.
    """
    if not len(items):
        return np.zeros(count, np.uint32)
    minima = _minima(items, count * _MINIMA).reshape(count, _MINIMA)
    mixed = np.arange(count, dtype=np.uint64)
    for column in range(_MINIMA):
        mixed = (mixed ^ minima[:, column]) * _MIX
        mixed ^= mixed >> np.uint64(29)
    if beside is not None and len(beside):
        mixed[1::2] = (mixed[1::2] ^ _minima(beside, count // 2)) * _MIX
        mixed ^= mixed >> np.uint64(29)
    return (mixed >> np.uint64(32)).astype(np.uint32)


def _minima(items: Shingles, count: int) -> NDArray[np.uint64]:
    minima: NDArray[np.uint64] = (items[None, :] * _MULTIPLY[:count, None] + _ADD[:count, None]).min(axis=1)
    return minima
