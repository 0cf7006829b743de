"""What the routes of a server share, used within the server's limits."""

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

from starlette.requests import Request

from quarry.app.keys import KeyRing
from quarry.app.server.door.callers import OWNER, Caller, Callers, caller_of
from quarry.app.server.door.metrics import Metrics
from quarry.app.server.models.batching import BatchQueue, QueueClosedError, QueueFullError
from quarry.app.server.models.shared_reranker import SharedReranker
from quarry.app.server.problems import Problem
from quarry.app.server.settings import ServeOptions
from quarry.app.server.writing.inbox import Inbox
from quarry.app.server.writing.writer import Writer
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import FeedbackError, IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.lake.view import address_of
from quarry.retriever.base import Reranker
from quarry.retriever.live import LiveSearcher
from quarry.retriever.several import Several, names_of
from quarry.training.feedback.log import FeedbackLog, feedback_path

T = TypeVar("T")
R = TypeVar("R")
RETRY_AFTER_S = 1
_PASSAGES = 64  # per batch: enough to fill a forward pass without making others wait long
log = logging.getLogger("quarry.serve")


@dataclass(frozen=True, slots=True)
class Services:
    """The opened index with everything around it. `inbox` and `writer` are None for a read-only server.

    A route gets these as the sender of its request may see them: `live` shows nothing else.
    On a disk that cannot be written, `feedback` of a read-only server says why no judgment can be stored.

    Attributes:
        queue: Queries and texts to embed, for the one thread that answers them in batches.
        searches: Searches that rerank, each in a thread that mostly waits for the reranker.
        pairs: Passages to rerank, of searches and of `/rerank` together.
        callers: Tells who sends a request.
        caller: Who sent this one.
        also: Other indexes that are searched too.
    """

    settings: ServeOptions
    live: LiveSearcher
    queue: BatchQueue
    searches: BatchQueue
    pairs: BatchQueue
    inbox: Inbox | None
    writer: Writer | None
    feedback: FeedbackLog | Message
    metrics: Metrics
    callers: Callers
    caller: Caller = OWNER
    also: tuple[LiveSearcher, ...] = ()

    @classmethod
    def open(
        cls, settings: ServeOptions, *, embedder: Embedder | None = None, reranker: Reranker | None = None
    ) -> "Services":
        """Open the index and load its models; threads run from here on.

        Args:
            settings: How to serve.
            embedder: A loaded embedder to use instead of the index's own.
            reranker: A loaded reranker to use instead of `settings.rerank`.

        Raises:
            SearchError: If the index or its inbox cannot be used; the message says why.
        """
        if address_of(settings.index) is not None:  # a lake is changed with `quarry lake`
            settings = replace(settings, read_only=True)
        metrics = Metrics()
        pairs = BatchQueue(settings.queue, _PASSAGES, metrics.rerank_batches.observe)
        live = LiveSearcher(
            settings.index,
            embedder=embedder,
            rerank=reranker or settings.rerank,
            device=settings.device,
            shared=lambda alone: SharedReranker(alone, pairs),
        )
        inbox = None if settings.read_only else Inbox.open(settings.index, settings.max_waiting_bytes)
        queue = BatchQueue(settings.queue, settings.batch, metrics.batches.observe)
        searches = BatchQueue(settings.queue, 1, threads=settings.batch)
        writer = Writer(inbox, live) if inbox else None
        metrics.watch(
            "quarry_queue_length", "Requests waiting for the models", lambda: len(queue) + len(searches) + len(pairs)
        )
        if inbox:
            metrics.watch("quarry_waiting_jobs", "Acknowledged jobs not finished", inbox.waiting)
        feedback = _feedback(settings)
        callers = Callers(settings.token, KeyRing(settings.index), settings.default_deny)
        also = tuple(
            LiveSearcher(
                root,
                rerank=reranker or settings.rerank,
                device=settings.device,
                shared=lambda alone: SharedReranker(alone, pairs),
            )
            for root in settings.also
        )
        services = cls(settings, live, queue, searches, pairs, inbox, writer, feedback, metrics, callers, also=also)
        for one in (live, *also):
            one.follow(settings.poll_s)
        if writer:
            writer.start()
        return services

    def close(self) -> None:
        """Stop the threads. Acknowledged jobs that are not indexed yet stay on disk for the next start."""
        for queue in (self.queue, self.pairs, self.searches):  # searches wait for pairs
            queue.close()
        for live in (self.live, *self.also):
            live.close()
        if self.writer is None or self.writer.stop():
            if self.inbox:
                self.inbox.close()
        else:
            log.warning("stopped while indexing documents; the next start resumes")
        if isinstance(self.feedback, FeedbackLog):
            self.feedback.close()

    async def compute(self, key: Hashable, work: Callable[[Sequence[T]], Sequence[R]], item: T) -> R:
        """Compute an item in the models' thread, batched with others of the same key and caller. Raises as `answered`."""
        mine = (self.caller, key)
        (result,) = await self.answered(lambda: [self.queue.submit(mine, work, item)])
        return result

    async def search_apart(self, work: Callable[[], R]) -> R:
        """Run a reranking search concurrently with others. Raises as `answered`."""
        (result,) = await self.answered(lambda: [self.searches.submit(object(), lambda _: [work()], None)])
        return result

    async def answered(self, submit: Callable[[], Sequence["Future[R]"]]) -> list[R]:
        """Submit work to a queue and wait for it; on failure or timeout, work that has not begun is cancelled.

        Raises:
            Problem: 429 when the queue is full, 503 when the server stops, 504 when the time is up.
        """
        limit = self.settings.time_limit_s
        futures: Sequence[Future[R]] = ()
        try:
            futures = submit()
            return await asyncio.wait_for(asyncio.gather(*map(asyncio.wrap_future, futures)), limit)
        except QueueFullError as err:
            self.metrics.rejected.inc()
            raise Problem(429, queue_full(self.settings.queue), retry_after_s=RETRY_AFTER_S) from err
        except QueueClosedError as err:
            stopping = Message.of("serve.stopping", "the server is stopping", expected="a running one", do="Try again")
            raise Problem(503, stopping, retry_after_s=RETRY_AFTER_S) from err
        except TimeoutError as err:
            late = Message.of(
                "serve.time_limit",
                "no answer after {seconds:g} s",
                expected="one within the time limit",
                do="Ask for less (route bm25, no reranking), or try again later",
                seconds=limit,
            )
            raise Problem(504, late) from err
        finally:
            for future in futures:
                future.cancel()

    def seen_by(self, caller: Caller) -> "Services":
        """Return the services as a caller may see them."""
        also = tuple(one.seen_by(caller.principals) for one in self.also)
        return replace(self, live=self.live.seen_by(caller.principals), caller=caller, also=also)

    def several(self) -> Several:
        """Return all indexes as one."""
        lives = {live.root: live for live in (self.live, *self.also)}
        return Several({name: lives[root].searcher for name, root in names_of(list(lives)).items()})

    @property
    def texts(self) -> Path | ChunkTable:
        """What lists of documents are made of: the index folder for who sees everything, else the texts that the caller sees."""
        return self.settings.index if self.caller.principals is None else self.live.searcher.index.chunks

    def check_owner(self) -> None:
        """Check that the caller sees everything.

        Raises:
            Problem: 403 if not.
        """
        if self.caller.principals is not None:
            message = Message.of(
                "serve.key_reads_only",
                "this key may only search and read",
                expected="the server's token, or a key without principals",
                do="Ask whoever runs the server",
            )
            raise Problem(403, message)

    def writing(self) -> tuple[Inbox, Writer]:
        """Return the inbox and the writer.

        Raises:
            Problem: 403 on a read-only server, and for callers that do not see everything.
        """
        self.check_owner()
        if self.inbox is None or self.writer is None:
            message = Message.of(
                "serve.read_only",
                "this server is read-only",
                expected="one that accepts documents",
                do="Start it without --read-only",
            )
            raise Problem(403, message)
        return self.inbox, self.writer

    def judging(self) -> FeedbackLog:
        """Return the log of judgments.

        Raises:
            Problem: 503 where it cannot be written.
        """
        if isinstance(self.feedback, Message):
            raise Problem(503, self.feedback)
        return self.feedback

    def generation(self) -> str:
        """Return the live generation's name."""
        return self.live.searcher.index.generation


def _feedback(settings: ServeOptions) -> FeedbackLog | Message:
    try:
        return FeedbackLog.open(feedback_path(settings.index))
    except FeedbackError as err:
        if not settings.read_only:
            raise
        log.warning("judgments cannot be stored here: %s", err)
        return err.message


def queue_full(waiting: int) -> Message:
    """Return the message of a full queue."""
    return Message.of(
        "serve.queue_full",
        "{waiting:request is|requests are} already waiting",
        expected="fewer",
        do="Try again after the seconds in Retry-After",
        waiting=waiting,
    )


def services_of(request: Request) -> Services:
    """Return the services of the server that received a request, as its sender may see them.

    Raises:
        IndexFormatError: If the server was not started.
    """
    services = getattr(request.app.state, "services", None)
    if services is None:
        raise IndexFormatError(
            "serve.not_started",
            "the server has not opened its index",
            expected="a started server",
            do="Run `quarry serve`",
        )
    return cast(Services, services).seen_by(caller_of(request.scope))
