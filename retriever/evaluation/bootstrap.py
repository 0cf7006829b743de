"""Resamples queries: intervals of a mean and the paired randomization test, vectorized. It knows no measure.

Memory is bounded: resamples are drawn in blocks.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_BLOCK = 1 << 21  # numbers drawn at once, 16 MB
_TOLERANCE = 1e-12  # sums that differ by rounding only count as equal, relative to the sum of absolute values


def mean_intervals(
    values: NDArray[np.float64], *, resamples: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the percentile bootstrap 95 % interval of each column's mean.

    Args:
        values: One row per query, one column per measure, shape (n, m), n at least 1. All columns are resampled
            together.
        resamples: How many, at least 1.
        seed: Same seed, same interval.

    Returns:
        Lower and upper ends, each of shape (m,).

    Raises:
        ValueError: If values has no row, or resamples < 1.
    """
    _check(values.shape[0], resamples)
    rng = np.random.default_rng(seed)
    count = values.shape[0]
    means = np.empty((resamples, values.shape[1]))
    for start, stop in _blocks(resamples, count):
        rows = rng.integers(0, count, size=(stop - start, count))
        for column in range(values.shape[1]):
            means[start:stop, column] = values[:, column][rows].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def randomisation_p(deltas: NDArray[np.float64], *, resamples: int, seed: int) -> float:
    """Return the two-sided p of the paired randomization test: how often random signs give as large a mean difference.

    All 2**n sign patterns are counted when there are no more than `resamples` of them (the test is then exact); else
    random ones are drawn and the observed one counts among them, so p is never 0. Differences of 0 do not change.

    Args:
        deltas: Differences per query, shape (n,), n at least 1.
        resamples: How many patterns at most, at least 1.
        seed: Same seed, same p.

    Raises:
        ValueError: If deltas is empty, or resamples < 1.
    """
    _check(deltas.shape[0], resamples)
    moved = deltas[deltas != 0]
    if not moved.size:
        return 1.0
    limit = abs(moved.sum()) - _TOLERANCE * np.abs(moved).sum()
    if moved.size < 60 and 2**moved.size <= resamples:
        patterns = np.arange(2**moved.size)[:, None] >> np.arange(moved.size) & 1
        return float((np.abs((2.0 * patterns - 1.0) @ moved) >= limit).mean())
    rng = np.random.default_rng(seed)
    reached = 0
    for start, stop in _blocks(resamples, moved.size):
        drawn = np.frombuffer(rng.bytes(((stop - start) * moved.size + 7) // 8), dtype=np.uint8)
        bits = np.unpackbits(drawn, count=(stop - start) * moved.size).reshape(stop - start, moved.size)
        reached += int((np.abs(2.0 * (bits @ moved) - moved.sum()) >= limit).sum())
    return (reached + 1) / (resamples + 1)


def _check(count: int, resamples: int) -> None:
    if count < 1:
        raise ValueError("there are 0 queries; expected at least 1")
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected at least 1")


def _blocks(resamples: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(1, _BLOCK // width)
    for start in range(0, resamples, step):
        yield start, min(start + step, resamples)
