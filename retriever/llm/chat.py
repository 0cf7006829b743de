"""Whatever writes answers: an endpoint, or a model that somebody else runs, such as the host of an MCP server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from quarry.retriever.llm.endpoint import ChatMessage, Endpoint, ask_messages
from quarry.retriever.llm.stream import StreamOptions, streamed


class ChatModel(Protocol):
    """A language model that is asked in this process."""

    @property
    def model(self) -> str:
        """Its name."""
        ...

    def write(self, messages: Sequence[ChatMessage]) -> Iterator[str]:
        """Yield the pieces of an answer.

        Raises:
            Unanswered: If there is none.
        """
        ...


Writer: TypeAlias = Endpoint | ChatModel


@dataclass(frozen=True, slots=True)
class Written:
    """A ChatModel whose answer is there already."""

    model: str
    text: str

    def write(self, messages: Sequence[ChatMessage]) -> Iterator[str]:
        """Yield the answer, whatever is asked."""
        del messages
        yield self.text


def pieces(writer: Writer, messages: Sequence[ChatMessage], limits: StreamOptions = StreamOptions()) -> Iterator[str]:
    """Yield the pieces of an answer as they are written. Raises as `streamed`."""
    if isinstance(writer, Endpoint):
        yield from streamed(writer, messages, limits)
    else:
        yield from writer.write(messages)


def whole(writer: Writer, messages: Sequence[ChatMessage]) -> str:
    """Return an answer as one text. Raises as `ask_messages`."""
    return ask_messages(writer, messages) if isinstance(writer, Endpoint) else "".join(writer.write(messages))
