"""Words of a question that no passage of the index has, and words of a document that they may have meant."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex

_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{4,}")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]{2,}")
_ALIKE = 0.75  # difflib's ratio, from which words may be the same
_SHORT = 2  # characters of a Chinese word that must be replaced by a word, not by any two characters
_MOST = 3  # words of the document that are tried for one of the question


def corrected(question: str, texts: Iterable[str], index: LexicalIndex, analyzer: Analyzer) -> Iterator[str]:
    """Yield the question with unknown words replaced by words of a document, the most alike first.

    A Latin word is replaced by one that difflib finds alike; a Chinese word by as many characters of which one differs.

    Args:
        question: What was asked.
        texts: The document's passages.
        index: Knows which terms the index has.
        analyzer: The index's.
    """
    content = "\n".join(texts)
    for word, others in [*_latin(question, content, index, analyzer), *_chinese(question, content, index, analyzer)]:
        for other in others:
            yield question.replace(word, other)


def _known(word: str, index: LexicalIndex, analyzer: Analyzer) -> bool:
    terms = analyzer.tokens(word)
    return not terms or any(index.idf(term) is not None for term in terms)


def _latin(question: str, content: str, index: LexicalIndex, analyzer: Analyzer) -> Iterator[tuple[str, list[str]]]:
    unknown = [word for word in dict.fromkeys(_WORD.findall(question)) if not _known(word, index, analyzer)]
    words = {word.casefold(): word for word in _WORD.findall(content)} if unknown else {}
    for word in unknown:
        found = get_close_matches(word.casefold(), list(words), n=_MOST, cutoff=_ALIKE)
        if found:
            yield word, [words[other] for other in found]


def _chinese(question: str, content: str, index: LexicalIndex, analyzer: Analyzer) -> Iterator[tuple[str, list[str]]]:
    words = [word for run in _HAN.findall(question) for word in analyzer.tokens(run) if len(word) > 1 and word in run]
    unknown = [word for word in dict.fromkeys(words) if index.idf(word) is None]
    runs = _HAN.findall(content) if unknown else []
    theirs = {word for run in runs for word in analyzer.tokens(run)}
    for word in unknown:
        found = Counter(piece for run in runs for piece in _pieces(run, len(word)) if _one_differs(word, piece))
        alike = [piece for piece, _ in found.most_common() if len(word) > _SHORT or piece in theirs]
        if alike:
            yield word, alike[:_MOST]


def _pieces(run: str, length: int) -> Iterator[str]:
    return (run[start : start + length] for start in range(len(run) - length + 1))


def _one_differs(word: str, other: str) -> bool:
    return sum(a != b for a, b in zip(word, other, strict=True)) == 1
