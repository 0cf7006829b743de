"""An answer in the making: sentences that a model writes, or those of the documents."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from quarry.indexer.errors import ModelError
from quarry.indexer.language import language_of
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.messages import Message
from quarry.indexer.records import BETWEEN_HEADINGS
from quarry.retriever.answers.citations import Checker, Sentence
from quarry.retriever.answers.extract import extract
from quarry.retriever.answers.generate import NotFoundError, generated
from quarry.retriever.answers.packing import Packed
from quarry.retriever.answers.plain import defang, urls
from quarry.retriever.llm.chat import Writer
from quarry.retriever.llm.endpoint import Unanswered
from quarry.retriever.llm.stream import StreamOptions

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder

Origin: TypeAlias = Literal["generated", "extractive", "refused"]
Listener: TypeAlias = Callable[[Sentence], None]
_SENTENCES = 3  # of an extractive answer
_HEADINGS = re.compile(r"(?m)(?:^#{1,6}[ \t]+\S.*\n+)+(?=[^\s#])")
_HEADING = re.compile(r"(?m)^(?P<level>#{1,6})[ \t]+(?P<name>\S.*?)[ \t#]*$")


@dataclass(slots=True)
class Draft:
    """An answer in the making."""

    origin: Origin = "refused"
    sentences: list[Sentence] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)
    model: str = ""


class Drafter:
    """The two ways to answer from passages."""

    def __init__(self, analyzer: Analyzer, question: str, passages: Sequence[Packed], listen: Listener) -> None:
        self._question = question
        self._passages = passages
        self._analyzer = analyzer
        self._listen = listen

    def generate(self, endpoint: Writer, limits: StreamOptions, draft: Draft) -> None:
        """Let a model answer. When it says that it cannot, the answer is a refusal; when it fails, nothing is decided."""
        draft.model, draft.origin = endpoint.model, "generated"
        checker = Checker(self._passages, self._analyzer)
        try:
            for sentence in generated(self._question, self._passages, endpoint, checker, limits):
                draft.sentences.append(sentence)
                self._listen(sentence)
        except NotFoundError:
            draft.origin = "refused"
            draft.notes.append(
                Message.of(
                    "answers.not_found", "the model {model} found no answer in the passages", model=endpoint.model
                )
            )
        except (ModelError, Unanswered) as err:
            draft.notes.append(_broken_off(err.message) if draft.sentences else _replaced(err.message))
        else:
            if not draft.sentences:
                draft.notes.append(
                    Message.of(
                        "answers.nothing_readable",
                        "the model {model} wrote nothing readable; sentences of the documents answer instead",
                        model=endpoint.model,
                    )
                )
            elif all(sentence.support == "unsupported" for sentence in draft.sentences):
                draft.notes.append(
                    Message.of(
                        "answers.unsupported",
                        "no sentence of the model is supported by the passages",
                        do="Do not rely on this answer",
                    )
                )

    def extract(self, embedder: "Embedder | None", draft: Draft) -> None:
        """Answer with the documents' own sentences."""
        by_number = {passage.number: passage for passage in self._passages}
        for found in extract(self._question, self._passages, self._analyzer, embedder, _SENTENCES):
            text = defang(_with_headings(found.text), urls(by_number[found.number].text)).strip()
            sentence = Sentence(text, (found.number,), "supported", overlap=1.0, cited_by="quarry", gap="\n")
            draft.sentences.append(sentence)
        draft.origin = "extractive" if draft.sentences else "refused"


def _with_headings(text: str) -> str:
    """Return an extract with the headings above it in front of it, as one sentence."""
    colon = "：" if language_of(text) == "zh" else ": "

    def path(found: re.Match[str]) -> str:
        names: list[str] = []
        last, before = 7, len(found[0])
        for heading in reversed(list(_HEADING.finditer(found[0]))):
            if len(heading["level"]) >= last:  # not above the one below it: a comment in code, say
                break
            last, before = len(heading["level"]), heading.start()
            names.insert(0, heading["name"])
        return found[0][:before] + BETWEEN_HEADINGS.join(names) + colon

    return _HEADINGS.sub(path, text)


def _broken_off(why: Message) -> Message:
    return Message.of("answers.incomplete", "the answer is not complete: {why}", why=why)


def _replaced(why: Message) -> Message:
    return Message.of("answers.replaced", "sentences of the documents answer instead of the model: {why}", why=why)
