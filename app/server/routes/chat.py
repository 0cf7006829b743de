"""`/v1/chat/completions` like OpenAI's: programs that chat with a model chat with the index, which answers with citations."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from time import time
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from quarry.app.server.asking import Asker
from quarry.app.server.chat_text import ending, whole, written
from quarry.app.server.models.served_models import check_model
from quarry.app.server.problems import Problem, problem_of
from quarry.app.server.routes.ask import shown
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes.chat import (
    ChatAnswer,
    ChatChoice,
    ChatChunk,
    ChatDelta,
    ChatReply,
    ChatRequest,
    ChunkChoice,
)
from quarry.app.server.shapes.models import Usage
from quarry.indexer.errors import SearchError
from quarry.retriever.answers.answer import GroundedAnswer
from quarry.retriever.answers.citations import Sentence
from quarry.retriever.answers.prompt import AnswerLanguage, answer_language
from quarry.retriever.sentences import tokens_at_most

router = APIRouter(tags=["models"])
Shared = Annotated[Services, Depends(services_of)]
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


@dataclass(frozen=True, slots=True)
class _Reply:
    """What all parts of one reply have in common."""

    model: str
    question: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time()))

    def whole(self, answer: GroundedAnswer) -> ChatAnswer:
        text = whole(answer)
        return ChatAnswer(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[ChatChoice(message=ChatReply(content=text))],
            usage=self.usage(text),
            quarry=shown(answer),
        )

    def usage(self, text: str) -> Usage:
        asked, said = tokens_at_most(self.question), tokens_at_most(text)
        return Usage(prompt_tokens=asked, completion_tokens=said, total_tokens=asked + said)

    def piece(self, text: str, *, first: bool = False) -> str:
        delta = ChatDelta(role="assistant" if first else None, content=text)
        return self._event(choices=[ChunkChoice(delta=delta)])

    def end(self, answer: GroundedAnswer) -> str:
        return self._event(choices=[ChunkChoice(delta=ChatDelta(), finish_reason="stop")], quarry=shown(answer))

    def used(self, text: str) -> str:
        return self._event(choices=[], usage=self.usage(text))

    def _event(self, **fields: object) -> str:
        chunk = ChatChunk.model_validate({"id": self.id, "created": self.created, "model": self.model, **fields})
        return f"data: {chunk.model_dump_json(exclude_none=True)}\n\n"


@router.post("/v1/chat/completions", operation_id="chat_completions", response_model=ChatAnswer, responses=_STREAM)
async def completions(asked: ChatRequest, services: Shared, request: Request) -> ChatAnswer | StreamingResponse:
    """Answer the last question of a chat from the documents, with checked citations; `stream` sends it as it is written."""
    asker: Asker = request.app.state.asker
    reply = _Reply(check_model(asked.model, "answers", services), asked.question)
    options = asker.search_options(services.settings.time_limit_s)
    settings = replace(asker.settings, options=options, before=asked.before)
    if not asked.stream:
        return reply.whole(await asker.answer(services, reply.question, settings))
    stream = _Stream(reply)
    stream.start(lambda listen: asyncio.create_task(asker.answer(services, reply.question, settings, listen)))
    first = await stream.first()  # an error before it has a status of its own
    usage = asked.stream_options is not None and bool(asked.stream_options.include_usage)
    return StreamingResponse(stream.events(first, usage=usage), media_type="text/event-stream")


class _Stream:
    """One answer, sentence by sentence."""

    def __init__(self, reply: _Reply) -> None:
        self._reply = reply
        self._sentences: asyncio.Queue[Sentence | None] = asyncio.Queue()  # None: the answer is complete
        self._language: AnswerLanguage = answer_language(reply.question)
        self._text = ""

    def start(self, begin: Callable[[Callable[[Sentence], None]], "asyncio.Task[GroundedAnswer]"]) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        self._task = begin(lambda sentence: _put(loop, self._sentences, sentence))
        self._task.add_done_callback(lambda _: self._sentences.put_nowait(None))

    async def first(self) -> Sentence | None:
        """Return the first sentence, None for an answer that no model wrote. Raises what went wrong before it."""
        sentence = await self._sentences.get()
        if sentence is None:
            self._task.result()
        return sentence

    async def events(self, sentence: Sentence | None, *, usage: bool) -> AsyncIterator[str]:
        """Yield server-sent events; an error after the first sentence is one of them."""
        yield self._reply.piece("", first=True)
        while sentence is not None:
            yield self._said(written(sentence, self._language, first=not self._text))
            sentence = await self._sentences.get()
        try:
            answer = await self._task
        except (Problem, SearchError) as err:
            problem = err if isinstance(err, Problem) else problem_of(err)
            yield f"data: {problem.body.model_dump_json()}\n\n"
        else:
            if rest := ending(answer):
                yield self._said(f"\n\n{rest}" if self._text else rest)
            yield self._reply.end(answer)
            if usage:
                yield self._reply.used(self._text)
        yield "data: [DONE]\n\n"

    def _said(self, text: str) -> str:
        self._text += text
        return self._reply.piece(text)


def _put(loop: asyncio.AbstractEventLoop, queue: "asyncio.Queue[Sentence | None]", sentence: Sentence) -> None:
    """Hand a sentence over from the thread that answers."""
    loop.call_soon_threadsafe(queue.put_nowait, sentence)
