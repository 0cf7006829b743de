"""A bounded queue in front of the models: requests that wait together are computed together.

A thread computes. While it does, requests pile up; the next batch takes all that are alike. So a lone request waits for
nobody, and under load the batches grow by themselves; there is no delay to tune.
"""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class QueueFullError(Exception):
    """The queue is full."""


class QueueClosedError(Exception):
    """The server is stopping."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    key: Hashable
    work: Callable[[Sequence[Any]], Sequence[Any]]
    item: Any
    weight: int
    future: "Future[Any]" = field(default_factory=Future)


class BatchQueue:
    """The queue and its threads."""

    def __init__(
        self, capacity: int, batch: int, observe: Callable[[int], None] = lambda _size: None, threads: int = 1
    ) -> None:
        """Start the threads.

        Args:
            capacity: Maximum number of waiting requests, excluding those being computed.
            batch: Maximum weight of a batch; a heavier request forms its own.
            observe: Receives the number of requests in every batch.
            threads: Number of batches computed concurrently.
        """
        self._capacity, self._batch, self._observe = capacity, batch, observe
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name="quarry-batches", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(
        self, key: Hashable, work: Callable[[Sequence[T]], Sequence[R]], item: T, weight: int = 1
    ) -> "Future[R]":
        """Queue an item. Items with equal keys may be passed to `work` together, which returns one result for each.

        Raises:
            QueueFullError: If the queue is full.
            QueueClosedError: If the queue was closed.
        """
        waiting = _Waiting(key, work, item, weight)
        with self._changed:
            if self._closed:
                raise QueueClosedError
            if len(self._waiting) >= self._capacity:
                self._drop_cancelled()
            if len(self._waiting) >= self._capacity:
                raise QueueFullError(f"{self._capacity} requests are already waiting")
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.future

    def close(self, timeout_s: float = 5.0) -> None:
        """Reject waiting requests and join the threads, for at most `timeout_s`."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for waiting in left:
            if waiting.future.set_running_or_notify_cancel():
                waiting.future.set_exception(QueueClosedError())
        end = monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - monotonic()))

    def _drop_cancelled(self) -> None:
        """Drop requests whose clients have disconnected or whose time is up."""
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.future.cancelled())

    def _run(self) -> None:
        while taken := self._take():
            started = [waiting for waiting in taken if waiting.future.set_running_or_notify_cancel()]
            if started:
                self._observe(len(started))
                _compute(started)

    def _take(self) -> list[_Waiting]:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return []
            key = self._waiting[0].key
            taken: list[_Waiting] = []
            others: deque[_Waiting] = deque()
            room = self._batch
            for waiting in self._waiting:
                if waiting.key == key and (not taken or waiting.weight <= room):
                    taken.append(waiting)
                    room -= waiting.weight
                else:
                    others.append(waiting)
            self._waiting = others
            return taken


def _compute(started: Sequence[_Waiting]) -> None:
    """Compute a batch; if it fails, each item alone, so that one bad request does not fail its neighbors."""
    try:
        results = started[0].work([waiting.item for waiting in started])
    except Exception as err:  # noqa: BLE001 (thread boundary: the error is passed to the caller)
        if len(started) == 1:
            started[0].future.set_exception(err)
            return
        for waiting in started:
            _compute([waiting])
        return
    for waiting, result in zip(started, results, strict=True):
        waiting.future.set_result(result)
