"""Requests and responses of `/v1/chat/completions`, as OpenAI's clients send and read them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from quarry.app.server.problems import Problem
from quarry.app.server.routes.ask import AskAnswer
from quarry.app.server.shapes.models import Usage
from quarry.app.server.shapes.values import Typed
from quarry.indexer.messages import Message
from quarry.retriever.answers.refusals.questions import MOST_TURNS, Turn
from quarry.retriever.asking import MAX_QUERY_CHARS

_MOST_MESSAGES = 2_000


class ChatPart(Typed):
    """A part of a message; parts without text, such as pictures, are ignored."""

    type: Annotated[str, Field(max_length=100)]
    text: str | None = None


class ChatMessage(Typed):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ChatPart] | None = None

    @property
    def said(self) -> str:
        """The text of the message."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.text)
        return self.content or ""


class StreamChoices(Typed):
    """What a stream has besides the answer."""

    include_usage: bool | None = False


class ChatRequest(Typed):
    """Like OpenAI's; other fields, such as `temperature`, are ignored.

    The last message of the user is the question; it may lean on what was said before it.
    """

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=_MOST_MESSAGES)]
    model: str | None = Field(None, description="The index, as `/v1/models` names it, or absent.")
    stream: bool | None = False
    stream_options: StreamChoices | None = None
    n: Literal[1] | None = None

    @property
    def question(self) -> str:
        """The last message of the user.

        Raises:
            Problem: 422 if the user said nothing.
        """
        for message in reversed(self.messages):
            if message.role == "user" and message.said.strip():
                return message.said
        nothing = Message.of(
            "serve.no_question",
            "no message of the role user has text",
            expected="a question",
            do="Send the question last, with the role user",
        )
        raise Problem(422, nothing, code="invalid_request")

    @property
    def before(self) -> tuple[Turn, ...]:
        """What was asked before the question, and what was answered, oldest first."""
        turns: list[Turn] = []
        for message in self.messages:
            said = message.said[:MAX_QUERY_CHARS]
            if message.role == "user" and said.strip():
                turns.append(Turn(said))
            elif message.role == "assistant" and turns:
                turns[-1] = Turn(turns[-1].question, f"{turns[-1].answer} {said}".strip())
        return tuple(turns[:-1][-MOST_TURNS:])


class ChatReply(BaseModel):
    """The answer, in Markdown, with its numbered sources at the end."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """The only answer."""

    index: Literal[0] = 0
    message: ChatReply
    logprobs: None = None
    finish_reason: Literal["stop"] = "stop"


class ChatAnswer(BaseModel):
    """One answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage = Field(description="Estimated: at most this many.")
    quarry: AskAnswer = Field(
        description="The same answer as `/ask` gives it: sentences, citations, sources, evidence, notes."
    )


class ChatDelta(BaseModel):
    """What a chunk adds."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """The only answer's next piece."""

    index: Literal[0] = 0
    delta: ChatDelta
    logprobs: None = None
    finish_reason: Literal["stop"] | None = None


class ChatChunk(BaseModel):
    """One event of a stream; the last one with a choice has `quarry`."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    quarry: AskAnswer | None = None
