"""How much is computed at once: padded tokens per forward, fewer of them once memory has run out.

Batches by token budget: texts of like length together, so that little is computed for padding. Pure functions.

Giving freed memory back to the operating system.

glibc keeps what is freed. Batches of ever other shapes leave holes of ever other sizes, which the next batch does not fit
into: encoding for an hour grew the process to three times its need. One call costs about 15 ms; a fixed threshold for
`mmap` (MALLOC_MMAP_THRESHOLD_) bounds the growth as well, and costs 7 % of the speed, because every buffer is zeroed anew.
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
        unit: What a row is, for the error message.
        advice: What to do when one row alone is too much.
    """

    def __init__(self, tokens: int, unit: str, advice: str) -> None:
        self.tokens = tokens
        self._forwards = 0
        self._unit = unit
        self._advice = advice

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Cut rows of these lengths into batches, longest first."""
        return list(token_batches(lengths, by_length(lengths), self.tokens))

    def run(
        self, batch: list[int], lengths: Sequence[int], forward: Callable[[list[int]], Result]
    ) -> Iterator[tuple[list[int], Result]]:
        """Run a batch, or its parts when memory does not suffice for the whole.

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
                    raise ModelError(f"memory ran out for one {self._unit} of {size} tokens; {self._advice}")
                self.tokens = min(self.tokens, size // 2)
            middle = len(rows) // 2
            waiting += [rows[middle:], rows[:middle]]

    def _tidy(self, rows: list[int]) -> None:
        self._forwards += len(rows) > 1
        if len(rows) > 1 and self._forwards % _GIVE_BACK_EVERY == 0:
            give_back()


def _unless_memory_runs_out(forward: Callable[[list[int]], Result], rows: list[int]) -> Result | None:
    """Return what `forward` returns, None when memory ran out.

    The error is forgotten before the return: its traceback holds the frames of the failed forward, and these its tensors,
    so that a retry inside `except` would have less memory than the first attempt.
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


_COLLECTING = RLock()  # Python skips a collection while another thread's is under way


def give_back() -> None:
    """Return freed memory to the operating system, where the C library can."""
    if trim := _malloc_trim():
        trim(0)


def collect() -> None:
    """Free what refers to itself in a circle, such as a trainer and its callbacks, and give it back: 0.3 s with torch loaded."""
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
