"""Pairs that the structure of one document shows, in Chinese and English, those of `examples.patterns` among them.

a section "Summary", "Abstract", "摘要", "TL;DR:"        summary, with the rest of the document
"Similar questions: ...", "相似问：..."                  similar question, with the question above it
"In other words, ...", "换句话说，..."                   paraphrase, with the sentence before it
"""

import re
from collections.abc import Iterator, Mapping
from typing import get_args

from quarry.indexer.records import Document
from quarry.training.examples.patterns import Pattern, raw_pairs
from quarry.training.pairs.found import FoundPair, Kind

_KIND: Mapping[Pattern, Kind] = {
    "title": "title",
    "heading": "heading",
    "question heading": "question",
    "question and answer": "question",
    "faq": "question",
}
_SUMMARY = r"summary|abstract|tl;?dr|executive summary|in brief|摘要|概要|概述|提要|内容提要|总结|小结|要点"
_SUMMARY_HEADING = re.compile(rf"#{{1,6}}[ \t]+(?:{_SUMMARY})[ \t]*#*", re.IGNORECASE)
_SUMMARY_LINE = re.compile(rf"[*_\s]*(?:{_SUMMARY})[*_\s]*[:：][*_\s]*(?P<text>\S.*)", re.IGNORECASE)
_IS_SUMMARY = re.compile(_SUMMARY, re.IGNORECASE)
_HEADING = re.compile(r"#{1,6}[ \t]+\S.*")
_SIMILAR = re.compile(
    r"[-*\s]*(?:similar questions?|also asked(?: as)?|people also ask|other wordings?|相似问(?:题|法)?|类似问题|其他问法|也可以这样问)"
    r"[*_\s]*[:：][*_\s]*(?P<text>.*)",
    re.IGNORECASE,
)
_QUESTION_BEFORE = re.compile(
    r"(?:#{1,6}[ \t]+|\W{0,3}(?:Q|Question|问题?|提问)\s*\d{0,3}\s*[:：.、)）]+|[*_\s]*)(?P<text>.*[?？])[*_\s]*"
)
_BETWEEN = re.compile(r"\s*(?:[;；|]|(?<=[?？])\s*[/、,，]?)\s*")
_REPHRASED = re.compile(
    r"(?P<before>[^.!?。！？\n]{12,300})[.!?。！？]\s*(?:In other words|Put differently|Put another way|That is to say"
    r"|换句话说|换言之|也就是说)"
    r"[,，:：]\s*(?P<after>[^.!?。！？\n]{8,300}[.!?。！？])",
    re.IGNORECASE,
)
assert set(get_args(Pattern)) == set(_KIND)  # noqa: S101 (a new pattern needs a kind)


def pairs_of_document(document: Document) -> Iterator[FoundPair]:
    """Yield the pairs of one document; it filters nothing."""
    text = document.text.replace("\f", "\n")
    for found in raw_pairs(document):
        if not _IS_SUMMARY.fullmatch(found.query):
            yield FoundPair(found.query, found.specific, found.passage, _KIND[found.pattern], found.doc_id)
    lines = text.split("\n")
    yield from _summaries(lines, document)
    yield from _similar(lines, document)
    for found_text in _REPHRASED.finditer(text):
        before, after = (" ".join(found_text[name].split()) for name in ("before", "after"))
        yield FoundPair(before, before, after, "paraphrase", document.doc_id)


def _summaries(lines: list[str], document: Document) -> Iterator[FoundPair]:
    """Yield the summary of the document with everything that is neither it nor a heading above it."""
    for place, line in enumerate(lines):
        inline = _SUMMARY_LINE.fullmatch(line)
        end = place + 1
        if inline:
            summary = [inline["text"]]
            while end < len(lines) and lines[end].strip():
                summary.append(lines[end])
                end += 1
        elif _SUMMARY_HEADING.fullmatch(line.strip()):
            while end < len(lines) and not _HEADING.fullmatch(lines[end].strip()):
                end += 1
            summary = lines[place + 1 : end]
        else:
            continue
        rest = "\n".join(one for one in [*lines[:place], *lines[end:]] if not _HEADING.fullmatch(one.strip())).strip()
        said = " ".join(" ".join(summary).strip("*_ ").split())
        if said and rest:
            yield FoundPair(said, said, rest, "summary", document.doc_id)
        return


def _similar(lines: list[str], document: Document) -> Iterator[FoundPair]:
    """Yield the question above a line of similar questions with each of them; they may stand in a list below the line."""
    question = ""
    for place, line in enumerate(lines):
        found = _SIMILAR.fullmatch(line)
        if not found:
            asked = _QUESTION_BEFORE.fullmatch(line)
            question = asked["text"].strip("*_ ") if asked else question
            continue
        said = [found["text"]] if found["text"].strip("*_ ") else _items(lines[place + 1 :])
        for other in (part.strip("*_ ") for text in said for part in _BETWEEN.split(text)):
            if question and other:
                yield FoundPair(question, question, other, "similar question", document.doc_id)


def _items(lines: list[str]) -> list[str]:
    found: list[str] = []
    for line in lines:
        item = re.fullmatch(r"[ \t]*(?:[-*+•·]|\d{1,3}[.)、])[ \t]*(?P<text>.+)", line)
        if item:
            found.append(item["text"])
        elif line.strip() or found:
            break
    return found
