"""An answer as a chat shows it: Markdown in which nothing loads or links, whatever stands in the documents."""

from quarry.app.words import words
from quarry.app.words.answers import heading, line, place, word
from quarry.retriever.answers.answer import GroundedAnswer
from quarry.retriever.answers.citations import Sentence
from quarry.retriever.answers.packing import Packed
from quarry.retriever.answers.plain import defang, visible

_NEAREST = 3  # passages below a refusal
_SHOWN_CHARS = 160  # of each
_NOTE = {"en": "Note", "zh": "说明"}


def written(sentence: Sentence, language: str, *, first: bool) -> str:
    """Return one sentence of a model with its citations and the white space before it."""
    return ("" if first else sentence.gap or " ") + line(sentence, language)


def whole(answer: GroundedAnswer) -> str:
    """Return all of an answer."""
    sentences = answer.sentences if answer.origin == "generated" else ()
    body = "".join(written(each, answer.language, first=place == 0) for place, each in enumerate(sentences))
    return "\n\n".join(part for part in (body, ending(answer)) if part)


def ending(answer: GroundedAnswer) -> str:
    """Return what follows the sentences of a model: quotations or a refusal instead of them, remarks, and sources."""
    parts = [heading(answer)]
    if answer.origin == "extractive":
        quoted = (" ".join(line(sentence, answer.language).split()) for sentence in answer.sentences)
        parts.append("\n".join(f"{number}. {text}" for number, text in enumerate(quoted, start=1)))
    remarks = (defang(words(note, answer.language)) for note in answer.notes)
    parts.append("\n".join(f"> {_NOTE[answer.language]}: {' '.join(remark.split())}" for remark in remarks))
    sources = answer.sources[:_NEAREST] if answer.refused else answer.cited
    if sources:
        title = word("nearest" if answer.refused else "sources", answer.language)
        parts.append("\n".join((f"{title}:", "", *(f"- {_source(each, answer)}" for each in sources))))
    return "\n\n".join(part for part in parts if part)


def _source(source: Packed, answer: GroundedAnswer) -> str:
    where = defang(place(source, answer.language))
    if not answer.refused:
        return where
    text = " ".join(defang(visible(source.text)).split())
    return f"{where}: {text[:_SHOWN_CHARS]}{' ...' if len(text) > _SHOWN_CHARS else ''}"
