"""Batches by token budget: texts of like length together, so that little is computed for padding. Pure functions."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def by_length(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Return row numbers, longest first, equal lengths in their order: what is slowest, and could fail, comes first."""
    return np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")


def token_batches(lengths: Sequence[int], order: Sequence[int] | NDArray[np.int64], budget: int) -> Iterator[list[int]]:
    """Cut an order of rows into batches of at most `budget` padded tokens (rows x longest row).

    Args:
        lengths: Tokens of each row.
        order: Row numbers.
        budget: Padded tokens per batch; a longer row makes a batch of its own.

    Yields:
        Row numbers of one batch, never empty; together exactly `order`.
    """
    batch: list[int] = []
    longest = 0
    for row in order:
        longest_now = max(longest, lengths[row])
        if batch and longest_now * (len(batch) + 1) > budget:
            yield batch
            batch, longest_now = [], lengths[row]
        batch.append(int(row))
        longest = longest_now
    if batch:
        yield batch


def padding_ratio(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Return real tokens per padded token, in (0, 1]; 1 means that nothing is computed for padding."""
    padded = sum(max(lengths[row] for row in batch) * len(batch) for batch in batches)
    real = sum(lengths[row] for batch in batches for row in batch)
    return real / padded if padded else 1.0
