"""Batching: how much is computed at once, and how its memory is returned.

A batch holds texts of similar length, up to a budget of padded tokens, so that little is computed for padding. When memory
runs out, the budget shrinks.

glibc keeps freed memory. Batches of varying shape fragment the heap: encoding for an hour grew the process to three times its
need. `give_back` costs about 15 ms. A fixed threshold for `mmap` (MALLOC_MMAP_THRESHOLD_) bounds the growth as well, but costs
7 % of the speed, because every buffer is zeroed anew.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from ctypes import CDLL
from functools import cache
from threading import RLock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import ModelError

_GIVE_BACK_EVERY = 8  # forwards of several rows; one alone, as for a query, leaves little behind

Result = TypeVar("Result")


class TokenBudget:
    """Padded tokens per forward. When memory runs out, a batch is halved, and all later ones are smaller.

    Args:
        tokens: Padded tokens per forward, at least 1.
        too_long: Makes the error for one row that is too much alone; its argument is the row's number of tokens.
    """

    def __init__(self, tokens: int, too_long: Callable[[int], ModelError]) -> None:
        self.tokens = tokens
        self._forwards = 0
        self._too_long = too_long

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Group rows of these lengths into batches, longest first."""
        return list(token_batches(lengths, by_length(lengths), self.tokens))

    def run(
        self, batch: list[int], lengths: Sequence[int], forward: Callable[[list[int]], Result]
    ) -> Iterator[tuple[list[int], Result]]:
        """Run a batch, in parts when memory runs out.

        Args:
            batch: Row numbers.
            lengths: Tokens of each row.
            forward: Computes some rows; it may be called again with a part of the same rows.

        Yields:
            Row numbers and what `forward` returned for them; together exactly `batch`, in order.

        Raises:
            ModelError: If memory runs out for one row alone.
        """
        waiting = [batch]
        while waiting:
            rows = waiting.pop()
            size = len(rows) * max(1, *(lengths[row] for row in rows))
            if len(rows) == 1 or size <= self.tokens:
                result = _unless_memory_runs_out(forward, rows)
                if result is not None:
                    self._tidy(rows)
                    yield rows, result
                    continue
                if len(rows) == 1:
                    raise self._too_long(size)
                self.tokens = min(self.tokens, size // 2)
            middle = len(rows) // 2
            waiting += [rows[middle:], rows[:middle]]

    def _tidy(self, rows: list[int]) -> None:
        self._forwards += len(rows) > 1
        if len(rows) > 1 and self._forwards % _GIVE_BACK_EVERY == 0:
            give_back()


def _unless_memory_runs_out(forward: Callable[[list[int]], Result], rows: list[int]) -> Result | None:
    """Return what `forward` returns, None when memory ran out.

    The error is dropped before the return: its traceback holds the frames of the failed forward, and those its tensors, so a
    retry inside `except` would have less memory than the first attempt.
    """
    import torch

    try:
        return forward(rows)
    except RuntimeError as err:
        if not is_out_of_memory(err):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def is_out_of_memory(err: RuntimeError) -> bool:
    """Whether torch ran out of memory, on a GPU or on the CPU."""
    import torch

    return isinstance(err, torch.OutOfMemoryError) or "out of memory" in str(err) or "can't allocate memory" in str(err)


def by_length(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Return row numbers, longest first (ties in order), so that the slowest batch, and the one that may fail, runs first."""
    return np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")


def token_batches(lengths: Sequence[int], order: Sequence[int] | NDArray[np.int64], budget: int) -> Iterator[list[int]]:
    """Group rows, in order, into batches of at most `budget` padded tokens (rows x longest row).

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


_COLLECTING = RLock()  # Python skips a collection while another thread runs one


def give_back() -> None:
    """Return freed memory to the operating system, where the C library supports it."""
    if trim := _malloc_trim():
        trim(0)


def collect() -> None:
    """Free reference cycles, such as a trainer and its callbacks, and return their memory; takes 0.3 s with torch loaded."""
    with _COLLECTING:
        gc.collect()
    give_back()


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc
        return None
    return found
