"""What the routes of one server share, and the ways to use it with the server's limits."""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar, cast

from starlette.requests import Request

from app.server.batching import BatchQueue, QueueClosedError, QueueFullError
from app.server.inbox import Inbox
from app.server.live import LiveIndex
from app.server.metrics import Metrics
from app.server.problems import Problem
from app.server.settings import ServeSettings
from app.server.writer import Writer
from indexer.embedder import Embedder
from indexer.errors import IndexFormatError
from retriever.base import Reranker
from training.feedback import FeedbackLog, feedback_path

T = TypeVar("T")
R = TypeVar("R")
RETRY_AFTER_S = 1
log = logging.getLogger("quarry.serve")


@dataclass(frozen=True, slots=True)
class Services:
    """The opened index with everything around it. `inbox` and `writer` are None for a read-only server."""

    settings: ServeSettings
    live: LiveIndex
    queue: BatchQueue
    inbox: Inbox | None
    writer: Writer | None
    feedback: FeedbackLog
    metrics: Metrics

    @classmethod
    def open(
        cls, settings: ServeSettings, *, embedder: Embedder | None = None, reranker: Reranker | None = None
    ) -> "Services":
        """Open the index and load its models; threads run from here on.

        Args:
            settings: How to serve.
            embedder: A loaded one to use instead of the index's own.
            reranker: A loaded one to use instead of `settings.rerank`.

        Raises:
            SearchError: If the index or its inbox cannot be used; the message says why.
        """
        live = LiveIndex(settings.index, embedder=embedder, rerank=reranker or settings.rerank, device=settings.device)
        inbox = None if settings.read_only else Inbox.open(settings.index, settings.max_waiting_bytes)
        metrics = Metrics()
        queue = BatchQueue(settings.queue, settings.batch, metrics.batches.observe)
        writer = Writer(inbox, live) if inbox else None
        metrics.watch("quarry_queue_length", "Requests that wait for the models", lambda: len(queue))
        if inbox:
            metrics.watch("quarry_waiting_jobs", "Acknowledged jobs that are not finished", inbox.waiting)
        services = cls(settings, live, queue, inbox, writer, FeedbackLog.open(feedback_path(settings.index)), metrics)
        live.follow(settings.poll_s)
        if writer:
            writer.start()
        return services

    def close(self) -> None:
        """Stop the threads. What was acknowledged and is not indexed yet waits on disk for the next start."""
        self.queue.close()
        self.live.close()
        if self.writer is None or self.writer.stop():
            if self.inbox:
                self.inbox.close()
        else:
            log.warning("stopped while documents are being indexed; the next start goes on with them")
        self.feedback.close()

    async def compute(self, key: Hashable, work: Callable[[Sequence[T]], Sequence[R]], item: T) -> R:
        """Have an item computed by the models' thread, together with others of the same key.

        Raises:
            Problem: 429 when the queue is full, 503 when the server stops, 504 when the time is up.
        """
        limit = self.settings.time_limit_s
        try:
            future: Future[R] = self.queue.submit(key, work, item)
            return await asyncio.wait_for(asyncio.wrap_future(future), limit)
        except QueueFullError as err:
            self.metrics.rejected.inc()
            raise Problem(
                429,
                "queue_full",
                f"{self.settings.queue} requests wait already",
                "fewer",
                "Try again after the seconds in Retry-After",
                retry_after_s=RETRY_AFTER_S,
            ) from err
        except QueueClosedError as err:
            raise Problem(
                503, "stopping", "the server is stopping", "a running one", "Try again", retry_after_s=RETRY_AFTER_S
            ) from err
        except TimeoutError as err:
            raise Problem(
                504,
                "time_limit",
                f"no answer after {limit:g} s",
                "one within this time",
                "Ask for less (route bm25, no reranking), or try again later",
            ) from err

    def writing(self) -> tuple[Inbox, Writer]:
        """Return what takes documents.

        Raises:
            Problem: 403 on a read-only server.
        """
        if self.inbox is None or self.writer is None:
            raise Problem(
                403, "read_only", "this server is read-only", "one that takes documents", "Start it without --read-only"
            )
        return self.inbox, self.writer

    def generation(self) -> str:
        """Return the generation that answers."""
        return self.live.searcher.index.generation


def services_of(request: Request) -> Services:
    """Return the services of the server that a request came to.

    Raises:
        IndexFormatError: If the server was not started.
    """
    services = getattr(request.app.state, "services", None)
    if services is None:
        raise IndexFormatError("the server has not opened its index; expected it to be started. Run `quarry serve`")
    return cast(Services, services)
