"""Pairs that the fields of one row show, by their names, in Chinese and English; rows of JSON lines and of tables alike.

    question, 问题            with answer, 答案            question
    query                     with pos, positive ...       question (the names of `quarry.training.examples.row`)
    question, 问题            with similar_question, 相似问   similar question; so question1 with question2
    sentence1                 with sentence2, paraphrase   paraphrase
    summary, 摘要             with text, 正文              summary
    title, 标题               with text, 正文, or summary  title; the text may hold further pairs, as a document does

A row with a label or score says whether its two sentences are alike; where it says no, there is no pair.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from quarry.indexer.records import Document
from quarry.training.examples.row import POSITIVE_NAMES
from quarry.training.pairs.documents import pairs_of_document
from quarry.training.pairs.found import FoundPair, Kind

_QUESTION = ("query", "question", "anchor", "q", "faq", "问题", "问", "提问", "标准问", "标准问题", "问句")
_ANSWER = (
    "answer",
    "answers",
    "a",
    "response",
    "reply",
    "best_answer",
    "accepted_answer",
    "答案",
    "回答",
    "答",
    "答复",
    "回复",
)
_TITLE = ("title", "headline", "subject", "标题", "题目", "题名", "名称")
_BODY = ("text", "body", "content", "article", "passage", "document", "正文", "内容", "文章", "文本", "全文")
_SUMMARY = ("summary", "abstract", "highlights", "tldr", "摘要", "概要", "总结", "概述", "提要")
_SIMILAR = (
    "similar_question",
    "similar_questions",
    "similar",
    "duplicates",
    "question2",
    "相似问",
    "相似问题",
    "相似问法",
    "扩展问",
)
_FIRST = ("sentence1", "sentence_1", "sentence", "text1", "text_a", "句子1", "句子", "原句")
_SECOND = (
    "sentence2",
    "sentence_2",
    "paraphrase",
    "paraphrases",
    "text2",
    "text_b",
    "句子2",
    "同义句",
    "改写",
    "复述",
    "释义",
)
_LABEL = ("label", "is_duplicate", "标签")
_SCORE = ("score", "similarity", "相似度")  # of two sentences; of a question and its answer it is something else
_OF_ONE, _OF_FIVE = 0.8, 4.0  # from here on sentences are alike, on scales from 0 to 1 and from 0 to 5


def holds_pairs(names: Sequence[str]) -> bool:
    """Tell whether fields of these names can give a pair."""
    probe = {name.strip().lower(): "x" for name in names if name.strip().lower() not in (*_LABEL, *_SCORE)}
    return next(_named(probe, ""), None) is not None or bool(
        _first(probe, _BODY) and (_first(probe, _TITLE) or _first(probe, _SUMMARY))
    )


def pairs_of_row(row: Mapping[str, Any], source: str) -> Iterator[FoundPair]:
    """Yield the pairs of one row; none when its fields are not known, or say that the texts are unlike.

    Args:
        row: Fields by name.
        source: Where it stands.
    """
    fields = {str(name).strip().lower(): value for name, value in row.items() if value is not None}
    yield from _named(fields, source)
    title, body, summary = (_text(fields, names) for names in (_TITLE, _BODY, _SUMMARY))
    if title and body:
        yield from pairs_of_document(Document(source, body, title))
    elif title and summary:
        yield FoundPair(title, title, summary, "title", source)
    if summary and body:
        yield FoundPair(summary, summary, body, "summary", source)


def _named(fields: Mapping[str, Any], source: str) -> Iterator[FoundPair]:
    """Yield the pairs of fields that name each other."""
    if not _alike(fields, _LABEL):
        return
    question = _text(fields, _QUESTION) or _text(fields, ("question1",))
    answers = _texts(fields, _ANSWER) or (_texts(fields, POSITIVE_NAMES) if question else [])
    sides: list[tuple[str, list[str], Kind]] = [
        (question, answers, "question"),
    ]
    if _alike(fields, _SCORE):
        sides += [
            (question, _texts(fields, _SIMILAR), "similar question"),
            (_text(fields, _FIRST) or question, _texts(fields, _SECOND), "paraphrase"),
        ]
    done: set[str] = set()
    for query, passages, kind in sides:
        for passage in passages:
            if query and passage not in done:
                done.add(passage)
                yield FoundPair(query, query, passage, kind, source)


def _alike(fields: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Tell what the label or score of a row says; a row without one says yes."""
    value = fields.get(_first(fields, names))
    if value is None or isinstance(value, bool):
        return value is not False
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value).strip().lower() in (
            "true",
            "yes",
            "entailment",
            "paraphrase",
            "duplicate",
            "是",
            "相似",
            "同义",
        )
    return number >= (_OF_ONE if number <= 1 else _OF_FIVE)


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((name for name in names if name in fields), "")


def _text(fields: Mapping[str, Any], names: Sequence[str]) -> str:
    return next(iter(_texts(fields, names)), "")


def _texts(fields: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    value = fields.get(_first(fields, names))
    entries = value if isinstance(value, list) else [value]
    found = []
    for entry in entries:
        parts = [entry]
        if isinstance(entry, Mapping):  # as DPR and Tevatron write a passage
            parts = [entry.get("title"), entry.get("text")]
        text = "\n".join(part for part in parts if isinstance(part, str) and part.strip()).strip()
        if text:
            found.append(text)
    return found
