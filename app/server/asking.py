"""Answers questions for `/ask` and chats, a few at a time. The model comes from the server's environment, never from a request."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import BoundedSemaphore

from quarry.app.server.problems import Problem
from quarry.app.server.services import RETRY_AFTER_S, Services, queue_full
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from quarry.retriever.answers.across import ask_several
from quarry.retriever.answers.answer import AskOptions, GroundedAnswer, ask
from quarry.retriever.answers.citations import Sentence
from quarry.retriever.answers.generate import MODEL_VARIABLE, URL_VARIABLE, endpoint_for
from quarry.retriever.llm.stream import StreamOptions
from quarry.retriever.searcher import SearchOptions

AT_A_TIME = 4  # concurrent questions; a model is slow, and searches must not wait for it
_SHARE = 0.4  # of the time limit, for the search and for the model each


@dataclass(frozen=True, slots=True)
class Asker:
    """Answers the questions of one server."""

    settings: AskOptions
    slots: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(AT_A_TIME))

    @classmethod
    def from_environment(cls, time_limit_s: float) -> "Asker":
        """Return one that asks the model configured in the environment, if any.

        Raises:
            SettingsError: If the endpoint is invalid, or has no model.
        """
        url, model = os.environ.get(URL_VARIABLE, ""), os.environ.get(MODEL_VARIABLE, "")
        if url and not model:
            raise SettingsError(
                "serve.no_model_name",
                "{url} is set and {model} is not",
                expected="both",
                do="Set {model} to the model's name",
                url=URL_VARIABLE,
                model=MODEL_VARIABLE,
            )
        seconds = time_limit_s * _SHARE
        endpoint = replace(endpoint_for(url, model, seconds), retries=0) if url else None
        return cls(AskOptions(endpoint=endpoint, limits=StreamOptions(seconds=seconds)))

    def search_options(self, time_limit_s: float) -> SearchOptions:
        """Return how to search so that time is left for the answer."""
        budget_ms = time_limit_s * 1000 * _SHARE / 2
        return SearchOptions(rerank_budget_ms=budget_ms, dense_budget_ms=budget_ms)

    async def answer(
        self,
        services: Services,
        question: str,
        settings: AskOptions,
        listen: Callable[[Sentence], None] | None = None,
    ) -> GroundedAnswer:
        """Answer one question within the time limit.

        Args:
            services: The server.
            question: In Chinese or English.
            settings: How to answer.
            listen: Receives each sentence that a model writes, in another thread.

        Raises:
            Problem: 429 when enough questions are being answered, 504 when the time is up.
            SearchError: If the question cannot be answered as it is.
        """
        limit = services.settings.time_limit_s
        if not self.slots.acquire(blocking=False):
            services.metrics.rejected.inc()
            raise Problem(429, queue_full(AT_A_TIME), retry_after_s=RETRY_AFTER_S)

        def work() -> GroundedAnswer:
            try:
                if services.also:
                    return ask_several(services.several(), question, settings, listen)
                return ask(services.live.searcher, question, settings, listen)
            finally:
                self.slots.release()

        try:
            return await asyncio.wait_for(asyncio.to_thread(work), limit)
        except TimeoutError as err:
            late = Message.of(
                "serve.no_answer_in_time",
                "no answer after {seconds:g} s",
                expected="one within the time limit",
                do="Set generate to false, or try again later",
                seconds=limit,
            )
            raise Problem(504, late, code="time_limit") from err
