"""Reads the answer of a chat endpoint as it is written: server-sent events, bounded in time and size.

A stream that breaks off raises `Unanswered` after the pieces that did arrive; a reader keeps these and says that the rest is missing.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from json import loads
from typing import Any

from quarry.retriever.llm.endpoint import NO_ANSWER, ChatMessage, Endpoint, Unanswered, opened, with_tries

_BLOCK = 8_192
_LONGEST_LINE = 1 << 18


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How much is read.

    Attributes:
        seconds: Wall time of the whole answer, from the response's headers on; checked at each piece, so that `timeout_s` of the
            endpoint may come on top.
        characters: Longest text of an answer.
        bytes_read: Largest response.
    """

    seconds: float = 180.0
    characters: int = 24_000
    bytes_read: int = 8 << 20


def streamed(
    endpoint: Endpoint, messages: Sequence[ChatMessage], limits: StreamOptions = StreamOptions()
) -> Iterator[str]:
    """Yield the pieces of an answer. Transient failures are retried until the response begins.

    An endpoint that does not stream and sends one JSON document is understood too.

    Raises:
        ModelError: If the endpoint refuses the request.
        Unanswered: If there was no answer, or it broke off: its message says how, and what was yielded stays true.
    """
    response = with_tries(endpoint, lambda: opened(endpoint, messages, stream=True))
    reader = _Reader(endpoint.url, limits)
    with response:
        if "json" in response.headers.get_content_type():
            yield from reader.one_document(response)
        else:
            yield from reader.events(response)


class _Reader:
    """Reads one response."""

    def __init__(self, url: str, limits: StreamOptions) -> None:
        self._url = url
        self._limits = limits
        self._until = time.monotonic() + limits.seconds
        self._characters = 0
        self._unreadable = 0
        self._finished = ""

    def events(self, response: HTTPResponse) -> Iterator[str]:
        for line in self._lines(response):
            name, _, value = line.partition(":")
            if name != "data":
                continue
            value = value.strip()
            if value == "[DONE]":
                self._finished = self._finished or "stop"
                break
            if text := self._piece(value, "delta"):
                yield self._counted(text)
            if self._finished == "length":
                break
        self._check_end()

    def one_document(self, response: HTTPResponse) -> Iterator[str]:
        content = b"".join(self._blocks(response)).decode("utf-8", "replace")
        if text := self._piece(content, "message"):
            yield self._counted(text)
            self._finished = self._finished or "stop"
        self._check_end()

    def _counted(self, text: str) -> str:
        left = self._limits.characters - self._characters
        self._characters += len(text)
        if len(text) > left:
            self._finished = "length"
            text = text[: max(0, left)]
        return text

    def _piece(self, content: str, part: str) -> str:
        """Return the text of one event; unreadable ones are counted, an error that the endpoint reports ends it."""
        try:
            found: Any = loads(content)
        except (ValueError, RecursionError):
            self._unreadable += 1
            return ""
        if isinstance(found, dict) and found.get("error"):
            raise Unanswered("llm.reported_error", "{url}: the endpoint reported an error in its answer", url=self._url)
        try:
            choice = found["choices"][0]
            text = (choice.get(part) or {}).get("content")
            self._finished = str(choice.get("finish_reason") or self._finished)
        except (KeyError, IndexError, TypeError, AttributeError):
            self._unreadable += not (isinstance(found, dict) and (found.get("choices") == [] or "usage" in found))
            return ""
        return text if isinstance(text, str) else ""

    def _check_end(self) -> None:
        if not self._characters:
            if self._unreadable:
                raise Unanswered(
                    "llm.unreadable",
                    "{url}: the answer has no text ({count:piece|pieces} could not be read)",
                    url=self._url,
                    count=self._unreadable,
                )
            raise Unanswered("llm.no_text", "{url}: the answer has no text", url=self._url)
        if self._finished == "length":
            raise Unanswered("llm.cut", "{url}: the answer was cut at the length limit", url=self._url)
        if not self._finished:
            raise Unanswered("llm.broke_off", "{url}: the answer broke off", url=self._url)

    def _lines(self, response: HTTPResponse) -> Iterator[str]:
        waiting = b""
        for block in self._blocks(response):
            *lines, waiting = (waiting + block).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace").rstrip("\r")
            if len(waiting) > _LONGEST_LINE:
                raise Unanswered(
                    "llm.long_line",
                    "{url}: a line of the answer has more than {most:,} bytes",
                    url=self._url,
                    most=_LONGEST_LINE,
                )
        if waiting:
            yield waiting.decode("utf-8", "replace")

    def _blocks(self, response: HTTPResponse) -> Iterator[bytes]:
        """Yield what arrives, each piece at once, until the end or a limit."""
        total = 0
        while True:
            if time.monotonic() > self._until:
                raise Unanswered(
                    "llm.too_slow",
                    "{url}: the answer took longer than {seconds:g} s",
                    url=self._url,
                    seconds=self._limits.seconds,
                )
            try:
                block = response.read1(_BLOCK)
            except (*NO_ANSWER, ValueError) as err:
                raise Unanswered(
                    "llm.connection_lost",
                    "{url}: the answer broke off ({error})",
                    url=self._url,
                    error=str(err) or type(err).__name__,
                ) from err
            if not block:
                return
            total += len(block)
            if total > self._limits.bytes_read:
                raise Unanswered(
                    "llm.too_long",
                    "{url}: the answer has more than {most:,} bytes",
                    url=self._url,
                    most=self._limits.bytes_read,
                )
            yield block
