"""The general filter: a pair comes out clean, or with the reason for which it is left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from quarry.indexer.language import language_of, length_in_words
from quarry.indexer.messages import Message
from quarry.training.examples.example import text_key
from quarry.training.examples.near_duplicates import jaccard, shingles
from quarry.training.pairs import reasons
from quarry.training.pairs.filters.spam import is_attack, is_spam
from quarry.training.pairs.found import SYMMETRIC, FoundPair, Kind
from quarry.training.pairs.texts import is_broken, is_writing, one_line, plain

_SAME = 0.9  # similarity of the two texts from which a pair teaches nothing
_QUERY_LETTERS = 0.2  # a title may be "力 (1)"
_SENTENCE_ENDS = "。！？.!?\n"
_FEWEST_PASSAGE: Mapping[Kind, int] = {
    "question": 2,
    "paraphrase": 3,
    "similar question": 2,
}  # words; of others as options say
_MOST_QUERY: Mapping[Kind, int] = {"paraphrase": 256, "similar question": 128, "summary": 256, "question": 128}
_ONE_WORD = re.compile(r"[A-Za-z\u00c0-\u024f][\w.+#-]{2,}")
_GENERIC_WORDS = """
introduction overview background contents index notes remarks example examples usage preface appendix references conclusion conclusions
description details faq general information misc other summary abstract parameters returns syntax requirements
简介 概述 引言 前言 目录 备注 注意 说明 示例 例子 参考 参考文献 结论 附录 参数 返回值 语法 要求 背景 其他 总结 摘要
"""
_GENERIC = frozenset(_GENERIC_WORDS.split())


@dataclass(frozen=True, slots=True)
class CleaningOptions:
    """What a pair must be.

    Attributes:
        passage_words: Fewest words of the passage of a title, heading or summary; a Chinese character is a word.
        passage_chars: Longer passages are cut at the end of a sentence before it.
        query_words: Most words of a title or heading; questions, sentences and summaries may be longer.
    """

    passage_words: int = 8
    passage_chars: int = 1_200
    query_words: int = 64


def clean(pair: FoundPair, options: CleaningOptions = CleaningOptions()) -> FoundPair | Message:
    """Return a pair without markup and with a passage that does not begin with its query, or why it cannot be used.

    Example:
        >>> clean(FoundPair("Opening hours", "Opening hours", "<p>@@##$$%% 12345 67890 !!!!</p>", "title", "a.md")).code
        'pairs.not_writing'
    """
    if is_attack(pair.query) or is_attack(pair.passage):
        return reasons.ATTACK
    query, specific, passage = one_line(pair.query), one_line(pair.specific), plain(pair.passage)
    if text_key(query) in _GENERIC:
        query = specific
    if not query or not passage:
        return reasons.EMPTY
    if pair.kind not in SYMMETRIC and text_key(query) != text_key(passage):
        passage = _fitted(passage, query, options.passage_chars)
    cleaned = FoundPair(query, specific, passage, pair.kind, pair.source)
    return _fault(cleaned, options) or cleaned


def _fitted(passage: str, query: str, longest: int) -> str:
    """Take the query off the passage's beginning, and cut what is too long at the end of a sentence."""
    text = passage
    if text.startswith(query):
        text = text[len(query) :].lstrip(" \n:：.。*_-")
    if len(text) <= longest:
        return text
    end = max(text.rfind(mark, longest // 2, longest) for mark in _SENTENCE_ENDS)
    return text[: end + 1 if end > 0 else longest].rstrip()


def _fault(pair: FoundPair, options: CleaningOptions) -> Message | None:
    query, passage = pair.query, pair.passage
    if is_broken(query) or is_broken(passage):
        return reasons.BROKEN
    if not (is_writing(query, _QUERY_LETTERS) and is_writing(passage)):
        return reasons.NOT_WRITING
    if language_of(query) == "other" or language_of(passage) == "other":
        return reasons.OTHER_SCRIPT
    if is_spam(query, passage):
        return reasons.SPAM
    words, fewest = length_in_words(query), _FEWEST_PASSAGE.get(pair.kind, options.passage_words)
    if words < 2 and not (_ONE_WORD.fullmatch(query) and text_key(query) not in _GENERIC):
        return reasons.SHORT
    if length_in_words(passage) < fewest:
        return reasons.SHORT
    if words > _MOST_QUERY.get(pair.kind, options.query_words):
        return reasons.LONG
    if len(passage) <= 2 * len(query) and jaccard(shingles(query), shingles(passage)) >= _SAME:
        return reasons.SAME
    return None
