"""One reranker shared by all requests: passages of concurrent searches and of `/rerank` share forward batches."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.app.server.models.batching import BatchQueue
from quarry.retriever.base import Reranker, score_together
from quarry.retriever.rerankers.depth import reranker_at

_PART = 16  # passages queued as one piece, so that a long request lets short ones pass


class SharedReranker:
    """A Reranker behind one bounded queue for the passages of all callers."""

    def __init__(
        self, reranker: Reranker, queue: BatchQueue, depth: tuple[int | None, int | None] = (None, None)
    ) -> None:
        """Take a loaded reranker, and a queue whose batches are measured in passages.

        Only calls of the same `depth` (layers and compression, None for those it was loaded with) share batches.
        """
        self._reranker, self._queue, self._depth = reranker, queue, depth

    def at(self, cutoff_layers: int | None, compress: int | None) -> Self:
        """See `quarry.retriever.rerankers.depth.Adjustable`; it shares the queue."""
        alone = reranker_at(self._reranker, cutoff_layers, compress)
        return type(self)(alone, self._queue, (cutoff_layers, compress))

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
                futures.append(self._queue.submit(("rerank", self._depth), self._together, (query, part), len(part)))
        except Exception:
            for future in futures:
                future.cancel()
            raise
        return futures

    def _together(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[NDArray[np.float32]]:
        return score_together(self._reranker, asked)
