"""How sentences, sources and refusals read, in the answer's language: the same words for the terminal, the page and programs."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from quarry.app.words import words
from quarry.retriever.answers.citations import Sentence
from quarry.retriever.answers.packing import Packed
from quarry.retriever.answers.plain import visible

if TYPE_CHECKING:
    from quarry.retriever.answers.answer import GroundedAnswer

_WORDS = {
    "en": {
        "nothing": "no source",
        "missing": "not in the source: {what}",
        "unsupported": "not supported by its source",
        "unchecked": "source in another language: numbers and names agree, the rest is not checked",
        "unknown": "cites {what}, which was not shown",
        "page": "page {page}",
        "also": "the same text in {what}",
        "old": "last changed {day}",
        "sources": "Sources",
        "nearest": "Nearest passages, which do not seem to answer it",
        "extractive": "Quoted from your documents",
        "declined": "The model found no answer in the passages.",
    },
    "zh": {
        "nothing": "没有出处",
        "missing": "出处中没有：{what}",
        "unsupported": "出处不支持这句话",
        "unchecked": "出处是另一种语言：数字和名称一致，其余未核对",
        "unknown": "引用了未提供的 {what}",
        "page": "第 {page} 页",
        "also": "相同文字另见 {what}",
        "old": "上次修改于 {day}",
        "sources": "出处",
        "nearest": "最接近的段落（似乎没有回答这个问题）",
        "extractive": "摘自您的文档",
        "declined": "模型在这些段落中没有找到答案。",
    },
}
_SEPARATOR = {"en": "; ", "zh": "；"}


def word(name: str, language: str) -> str:
    """Return a fixed text in a language."""
    return _WORDS[language][name]


def marks(sentence: Sentence, language: str) -> str:
    """Return what a reader must know about a sentence, empty for one that its sources support."""
    texts = _WORDS[language]
    said = []
    if sentence.support == "unchecked":
        said.append(texts["unchecked"])
    elif sentence.support == "unsupported":
        if not sentence.citations:
            said.append(texts["nothing"])
        if sentence.citations and sentence.missing:
            said.append(texts["missing"].format(what=", ".join(sentence.missing)))
        elif sentence.citations:
            said.append(texts["unsupported"])
    if sentence.unknown:
        said.append(texts["unknown"].format(what=", ".join(f"({number})" for number in sentence.unknown)))
    return _SEPARATOR[language].join(said)


def line(sentence: Sentence, language: str) -> str:
    """Return a sentence with its citations, and its marks in braces."""
    citations = "".join(f"[{number}]" for number in sentence.citations)
    said = marks(sentence, language)
    return " ".join(part for part in (sentence.text, citations, said and f"{{{said}}}") if part)


def place(source: Packed, language: str) -> str:
    """Return where a source stands: title, path, page, and its age when it is old."""
    parts = [" ".join(visible(source.index).split())] if source.index else []
    parts.append(" ".join(visible(source.title).split()))
    parts.append(" ".join(visible(source.path).split()))
    if source.page:
        parts.append(word("page", language).format(page=source.page))
    if source.is_old(datetime.now(UTC).date()):
        parts.append(word("old", language).format(day=source.modified))
    if source.also_in:
        parts.append(word("also", language).format(what=", ".join(source.also_in[:3])))
    return f"[{source.number}] " + ", ".join(dict.fromkeys(parts))


def heading(answer: "GroundedAnswer") -> str:
    """Return the line above an answer that no model wrote, empty above one that a model wrote."""
    if answer.refused:
        weak = answer.evidence.weak
        return words(answer.evidence.message(), answer.language) if weak else word("declined", answer.language)
    if answer.origin == "extractive":
        return word("extractive", answer.language)
    return ""
