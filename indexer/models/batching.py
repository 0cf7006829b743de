"""How much is computed at once: padded tokens per forward, fewer of them once memory has run out."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from quarry.indexer.errors import ModelError
from quarry.indexer.models.batches import by_length, token_batches
from quarry.indexer.models.heap import give_back

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
