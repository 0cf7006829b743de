"""The words and HTML of the answer panel: no Streamlit. Texts of documents and models leave it as inert HTML only."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarry.app.ui.shared.shown_text import Say, inert, label, marked, sentence, told
from quarry.app.words import words as said
from quarry.app.words.answers import heading, marks, word
from quarry.retriever.answers.generate import URL_VARIABLE

if TYPE_CHECKING:
    from quarry.indexer.messages import Message
    from quarry.retriever.answers.answer import GroundedAnswer
    from quarry.retriever.answers.citations import Sentence
    from quarry.retriever.answers.packing import Packed
    from quarry.retriever.shown.highlight import Span

_EXCERPT_CHARS = 220


def sentences_html(sentences: "Sequence[Sentence]", language: str, *, listed: bool) -> str:
    """Return the sentences of an answer with their citations; unsupported ones are marked with the reason.

    Args:
        sentences: In order; fewer while the answer is still being written.
        language: Language of the interface: `en` or `zh`.
        listed: Whether each sentence gets its own line, as quotations do.
    """
    tag = "div" if listed else "span"
    shown = "".join(f"{_gap(one, listed=listed)}<{tag}>{_sentence(one, language)}</{tag}>" for one in sentences)
    return f"<div class='q-answer'>{shown}</div>"


def _gap(sentence: "Sentence", *, listed: bool) -> str:
    return "" if listed else ("\n\n" if sentence.gap.count("\n") > 1 else sentence.gap and sentence.gap[:1])


def _sentence(sentence: "Sentence", language: str) -> str:
    text = inert(sentence.text)
    said = marks(sentence, language)
    if sentence.support == "unsupported":
        text = f"<span class='q-unsure'>{text}</span>"
    numbers = "".join(f"<span class='q-cite'>[{number}]</span>" for number in sentence.citations)
    why = f" <span class='q-doubt'>{inert(said)}</span>" if said else ""
    return f"{text}{numbers}{why}"


def heading_text(answer: "GroundedAnswer", language: str) -> str:
    """Return the line above an answer that no model wrote, in the interface's language; otherwise an empty string."""
    if answer.refused and answer.evidence.weak:
        return said(answer.evidence.message(), "zh" if language == "zh" else "en")
    if answer.refused:
        return word("declined", language)
    return word("extractive", language) if heading(answer) else ""


def notes_html(notes: "Sequence[Message]", say: Say) -> str:
    """Return what was missing or went wrong, empty for a complete answer."""
    return "".join(f"<div class='q-place'>{inert(sentence(told(note, say)))}</div>" for note in notes)


def source_label(source: "Packed", say: Say) -> str:
    """Return the label of the button that opens a source, safe in Markdown; with the day of its last change when it is old."""
    page = say(f", page {source.page}", f"，第 {source.page} 页") if source.page else ""
    age = f" · {source.modified}" if source.is_old(datetime.now(UTC).date()) else ""
    where = f"{label(source.index)} · " if source.index else ""
    return f"{source.number} · {where}{label(source.title)}{page}{age}"


def excerpt_html(source: "Packed", spans: "Sequence[Span]") -> str:
    """Return the beginning of a nearest passage."""
    text = source.text[:_EXCERPT_CHARS]
    more = " …" if len(source.text) > len(text) else ""
    inside = [(a, min(b, len(text))) for a, b in spans if a < len(text)]
    return f"<div class='q-hit'><div class='q-text'>{marked(text, inside)}{more}</div></div>"


def answer_help(say: Say) -> str:
    """Return what the Answer switch does."""
    return say(
        "Shows an answer with numbered sources above the results: written by the language model that the app was started "
        "with (`QUARRY_LLM_ENDPOINT`), or quoted from your documents without one. It says so when the documents do not "
        "answer the question.",
        "在结果上方给出带编号出处的回答：由启动时配置的语言模型（`QUARRY_LLM_ENDPOINT`）撰写；未配置时摘录您的文档。"
        "文档里没有答案时会直接说明。",
    )


def has_model() -> bool:
    """Whether the app was started with a language model."""
    return bool(os.environ.get(URL_VARIABLE))


def rewrite_help(say: Say) -> str:
    """Return what the Rewrite switch does."""
    return say(
        "The language model also searches for simpler questions and for what an answer may look like; the answer says what was "
        "searched for.",
        "语言模型还会检索拆分后的简单问题以及答案可能的样子；回答会说明检索了什么。",
    )


def follow_up_hint(say: Say) -> str:
    """Return what the field for the next question says."""
    return say("Ask a follow-up question", "继续追问")
