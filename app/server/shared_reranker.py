"""One reranker shared by all requests: passages of concurrent searches and of `/rerank` share forward batches."""

from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from quarry.app.server.batching import BatchQueue
from quarry.retriever.base import Reranker, score_together

_PART = 16  # passages queued as one piece, so that a long request lets short ones pass


class SharedReranker:
    """A Reranker behind one bounded queue for the passages of all callers."""

    def __init__(self, reranker: Reranker, queue: BatchQueue) -> None:
        """Take a loaded reranker, and a queue whose batches are measured in passages."""
        self._reranker, self._queue = reranker, queue

    @property
    def name(self) -> str:
        """The model's name."""
        return self._reranker.name

    def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Return one logit per passage, shape (len(passages),); blocks until its turn.

        Raises:
            QueueFullError: If the queue is full.
            QueueClosedError: If the server is stopping.
        """
        parts = [future.result() for future in self.submit(query, passages)]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)

    def submit(self, query: str, passages: Sequence[str]) -> list["Future[NDArray[np.float32]]"]:
        """Queue passages in parts and return futures of their logits, in order. Raises as `score`, with nothing queued."""
        futures: list[Future[NDArray[np.float32]]] = []
        try:
            for first in range(0, len(passages), _PART):
                part = passages[first : first + _PART]
                futures.append(self._queue.submit("rerank", self._together, (query, part), len(part)))
        except Exception:
            for future in futures:
                future.cancel()
            raise
        return futures

    def _together(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[NDArray[np.float32]]:
        return score_together(self._reranker, asked)
