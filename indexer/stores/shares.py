"""Work on many rows, shared between processor cores: NumPy gives up the interpreter's lock in what is done there."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")
_MOST = 4  # threads: what is shared is bound by memory, which more do not read faster


def in_shares(work: Callable[[slice], T], count: int, least: int) -> list[T]:
    """Do some work on so many rows, a share in each thread, and return what each share gave, in order.

    Args:
        work: Gets the rows of a share, with start and stop.
        count: The number of rows.
        least: Rows that are worth a thread; starting one takes about 0.1 ms.

    Example:
        >>> import numpy as np
        >>> sum(in_shares(lambda rows: int(np.arange(rows.start, rows.stop).sum()), 1000, least=100))
        499500
    """
    shares = max(1, min(_threads(), count // least))
    bounds = [count * number // shares for number in range(shares + 1)]
    first, *others = (slice(*pair) for pair in pairwise(bounds))
    if not others:
        return [work(first)]
    with ThreadPoolExecutor(len(others)) as pool:
        waiting = [pool.submit(work, share) for share in others]
        return [work(first), *(future.result() for future in waiting)]


@cache
def _threads() -> int:
    """How many threads a search may use: those of the cores, fewer where OMP_NUM_THREADS says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(_MOST, cores, int(asked) if asked.isdecimal() and int(asked) else cores)
