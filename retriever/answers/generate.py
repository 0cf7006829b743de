"""A model's answer from an OpenAI-compatible endpoint, sentence by sentence, each checked before anyone sees it."""

import re
from collections.abc import Iterable, Iterator, Sequence

from quarry.retriever.answers.citations import Checker, Sentence, SentenceFeed
from quarry.retriever.answers.packing import Packed
from quarry.retriever.answers.prompt import NOT_FOUND, prompt_for
from quarry.retriever.llm.chat import Writer, pieces
from quarry.retriever.llm.endpoint import Endpoint, Unanswered
from quarry.retriever.llm.stream import StreamOptions

URL_VARIABLE = "QUARRY_LLM_ENDPOINT"
MODEL_VARIABLE = "QUARRY_LLM_MODEL"
TEMPERATURE = 0.0
MAX_TOKENS = 800
_OPENING = "<think"
_CLOSING = re.compile(r"</think(?:ing)?>")
_MOST_SENTENCES = 60


class NotFoundError(Exception):
    """The model says that the passages do not answer the question."""


def endpoint_for(url: str, model: str, timeout_s: float = 120.0) -> Endpoint:
    """Return an endpoint configured for answering: no sampling, an answer of a few sentences.

    Raises:
        SettingsError: If the URL is not usable, or would send the key in the clear.
    """
    return Endpoint(url, model, timeout_s=timeout_s, temperature=TEMPERATURE, max_tokens=MAX_TOKENS)


def generated(
    question: str,
    passages: Sequence[Packed],
    endpoint: Writer,
    checker: Checker,
    limits: StreamOptions = StreamOptions(),
) -> Iterator[Sentence]:
    """Yield the sentences of a model's answer as they are complete, checked and harmless.

    Args:
        question: What was asked.
        passages: What it may be answered from.
        endpoint: Which model to ask.
        checker: Made for the same passages.
        limits: How much is read.

    Raises:
        ModelError: If the endpoint refuses the request.
        Unanswered: If there was no answer, or it broke off; what was yielded before stays.
        NotFoundError: If the model says that the passages do not answer.
    """
    count = 0
    for written in _sentences(pieces(endpoint, prompt_for(question, passages).messages, limits)):
        if NOT_FOUND in written:
            if not count:
                raise NotFoundError
            continue
        sentence = checker.sentence(written)
        if sentence is None:
            continue
        yield sentence
        count += 1
        if count == _MOST_SENTENCES:
            return


def _sentences(written: Iterator[str]) -> Iterator[str]:
    """Cut a stream into sentences; what arrived before a break is given out before the break is raised."""
    feed = SentenceFeed()
    try:
        for piece in without_thoughts(written):
            yield from feed.feed(piece)
    except Unanswered:
        yield from feed.close()
        raise
    yield from feed.close()


def without_thoughts(written: Iterable[str]) -> Iterator[str]:
    """Leave out the block of thoughts that reasoning models begin with; an unfinished block gives no answer."""
    held, passing = "", False
    for piece in written:
        if passing:
            yield piece
            continue
        held += piece
        start = held.lstrip()
        if _OPENING.startswith(start[: len(_OPENING)]):
            closed = _CLOSING.search(start)
            if closed is None:
                continue
            held = start[closed.end() :]
        passing = True
        yield held
    if not passing and not held.lstrip().startswith(_OPENING):
        yield held
