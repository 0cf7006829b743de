"""One thread for small products of numpy: more gain nothing there, and wait, spinning, for cores that others need."""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Use one thread for numpy's products inside; afterwards as many as before.

    After a question was encoded, torch's threads still spin on the cores that further threads would want: on two cores a search took
    122 ms instead of 21 (`python -m tests.benchmarks.retrieval WORK latency`). The number is the process's: of threads that are inside
    at the same time, the first one's counts.

    Example:
        >>> import numpy as np
        >>> with one_thread():
        ...     np.eye(2, dtype=np.float32) @ np.array([1.0, 0.5], dtype=np.float32)
        array([1. , 0.5], dtype=float32)
    """
    limit: AbstractContextManager[object] = _blas().limit(limits=1)
    return limit


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")
