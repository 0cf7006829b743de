"""Rows of truth values packed into words of 64."""

import numpy as np
from numpy.typing import NDArray

_WORD = 64


def packed(values: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack rows into words, shape (n, words); what is missing of the last word is zero."""
    found = np.packbits(values, axis=1)
    room = np.zeros((len(found), words_of(values.shape[1]) * 8), dtype=np.uint8)
    room[:, : found.shape[1]] = found
    return room.view(np.dtype("<u8"))


def unpacked(words: NDArray[np.uint64], count: int) -> NDArray[np.uint8]:
    """Return the first values of packed rows as 0 and 1, shape (n, count)."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, count=count)


def words_of(dim: int) -> int:
    """Return how many words hold so many values."""
    return -(-dim // _WORD)
