"""Pairs of a question and its answer that the structure of one document shows, in Chinese and English. It filters nothing.

C-Pack's way of making training data without labels (C-MTP, arXiv 2309.07597): a title stands for its text, a heading for its
section, a question for its answer. The passage never begins with the query, which would make the pair trivial.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

from quarry.indexer.records import Document

Pattern = Literal["title", "heading", "question heading", "question and answer", "faq"]
PATTERNS: tuple[str, ...] = get_args(Pattern)

_HEADING = re.compile(r"(#{1,6})[ \t]+(.+?)[ \t]*#*")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_ASKS = re.compile(r"(?:\W{0,3})(?:Q|Question|问题?|提问)\s*\d{0,3}\s*[:：.、)）]+[*_\s]*(?P<text>.*)", re.IGNORECASE)
_ANSWERS = re.compile(r"(?:\W{0,3})(?:A|Answer|答案?|回答)\s*\d{0,3}\s*[:：.、)）]+[*_\s]*(?P<text>.*)", re.IGNORECASE)
_ITEM = re.compile(r"[ \t]*(?:[-*+•·]|\(?\d{1,3}[.)）、]|（\d{1,3}）|[一二三四五六七八九十]{1,3}、)[ \t]*(?P<text>.+)")
_QUESTION = re.compile(r"(?P<question>[^?？。!！]{4,160}[?？])[*_\s]*(?P<rest>.*)")
_WH_EN = re.compile(
    r"(?:how|what|why|when|where|which|who|can|could|should|is|are|do|does|did|will|may|must)\b(?:\s+\S+){2,}",
    re.IGNORECASE,
)
_WH_ZH = re.compile(
    r"(?:我|我们|你|您)?(?:如何|怎么|怎样|为什么|为何|什么|何时|何处|哪|谁|是否|能否|可否|可以|有没有|多少|几)|.*[吗呢么]$"
)


class RawPair(NamedTuple):
    """A pair as it was found.

    Attributes:
        query: Title, heading or question.
        specific: The same with the document's title, for headings that many documents have ("Remarks", "备注").
        passage: What it stands for, without the query.
        pattern: How it was found.
        doc_id: Where.
    """

    query: str
    specific: str
    passage: str
    pattern: Pattern
    doc_id: str


class _Section(NamedTuple):
    heading: str
    lines: list[str]


def raw_pairs(document: Document) -> Iterator[RawPair]:
    """Yield the pairs of one document, in its order; code blocks belong to no pair's query."""
    title = " ".join(document.title.split())
    sections = _sections(document.text.replace("\f", "\n"))
    for place, section in enumerate(sections):
        body = _body(section.lines)
        if (
            body
            and title
            and place <= 1
            and section.heading in ("", title)
            and not _passage_of_title_came(sections, place)
        ):
            yield RawPair(title, title, body, "title", document.doc_id)
        if body and section.heading and section.heading != title:
            pattern: Pattern = "question heading" if is_question(section.heading) else "heading"
            specific = f"{title} {section.heading}" if title else section.heading
            yield RawPair(section.heading, specific, body, pattern, document.doc_id)
        for question, answer, found in _questions(section.lines):
            yield RawPair(question, question, answer, found, document.doc_id)


def is_question(text: str) -> bool:
    """Tell whether a heading or line asks something: by its mark, or by how it begins."""
    plain = text.strip().strip("*_ ")
    return plain.endswith(("?", "？")) or bool(_WH_EN.match(plain)) or bool(_WH_ZH.match(plain))


def _passage_of_title_came(sections: Sequence[_Section], place: int) -> bool:
    return place == 1 and bool(_body(sections[0].lines))


def _sections(text: str) -> list[_Section]:
    """Cut at headings outside of code fences; the first section has no heading."""
    sections, fenced = [_Section("", [])], False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        heading = None if fenced else _HEADING.fullmatch(line.strip())
        if heading:
            sections.append(_Section(" ".join(heading[2].strip("*_ ").split()), []))
        else:
            sections[-1].lines.append(line)
    return sections


def _body(lines: Sequence[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()


def _questions(lines: Sequence[str]) -> Iterator[tuple[str, str, Pattern]]:
    """Yield (question, answer, pattern) of `Q: ... A: ...` and of questions in lists, in bold, or on a line of their own."""
    place = 0
    while place < len(lines):
        asked = _ASKS.fullmatch(lines[place])
        if asked:
            question, answer, place = _until_answer(lines, place, asked["text"])
            if question and answer:
                yield question, answer, "question and answer"
            continue
        found = _asked_in(lines[place])
        place += 1
        if found:
            question, rest = found
            answer, place = _paragraph(lines, place, rest)
            if answer:
                yield question, answer, "faq"


def _until_answer(lines: Sequence[str], place: int, question: str) -> tuple[str, str, int]:
    """Read on to the answer of a marked question, and to its end: the next question, or two empty lines."""
    asked, answer = [question], list[str]()
    place += 1
    while place < len(lines) and not _ASKS.fullmatch(lines[place]):
        answered = _ANSWERS.fullmatch(lines[place])
        if answered and not answer:
            answer.append(answered["text"])
        elif answer:
            if not lines[place].strip() and place + 1 < len(lines) and not lines[place + 1].strip():
                break
            answer.append(lines[place])
        elif lines[place].strip():
            if len(asked) > 2:
                break  # a question has no four lines: this was no marker
            asked.append(lines[place])
        place += 1
    return " ".join(" ".join(asked).strip("*_ ").split()), _body(answer), place


def _asked_in(line: str) -> tuple[str, str] | None:
    """Return question and rest of a line that is a list item, bold, or nothing but a question."""
    item = _ITEM.fullmatch(line)
    text = (item["text"] if item else line).strip()
    bold = text.startswith(("**", "__"))
    found = _QUESTION.fullmatch(text.lstrip("*_ "))
    if not found:
        return None
    question, rest = found["question"].strip("*_ "), found["rest"].strip()
    if not item and not bold and (rest or not is_question(question[:-1])):
        return None  # a question within running text
    return question, rest


def _paragraph(lines: Sequence[str], place: int, rest: str) -> tuple[str, int]:
    """Return the answer after a question and where it ends: the next empty line or question."""
    answer = [rest] if rest else []
    if not answer:
        while place < len(lines) and not lines[place].strip():
            place += 1
    while (
        place < len(lines)
        and lines[place].strip()
        and not _asked_in(lines[place])
        and not _ASKS.fullmatch(lines[place])
    ):
        answer.append(lines[place].strip())
        place += 1
    return _body(answer), place
