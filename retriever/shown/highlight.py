"""Finds the query's terms in a passage, and the window that shows them best."""

import re
from bisect import bisect_left
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import pairwise

from quarry.indexer.lexical.analyzer import Analyzer

_WORD = re.compile(r"[^\W_]+(?:[-_.+#'][^\W_]+)*[+#]*")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_BREAK = re.compile(r"[。！？；…\n]|[.!?](?=\s)")

Span = tuple[int, int]


def highlight(text: str, terms: Collection[str], analyzer: Analyzer) -> tuple[Span, ...]:
    """Return the character ranges of `text` that carry one of the analyzed `terms`, merged, in order.

    Chinese terms are found as they stand; other words match when the analyzer turns them into one of the terms.
    """
    wanted = set(terms)
    if any(len(term) > 1 for term in wanted):
        wanted = {term for term in wanted if len(term) > 1 or not _HAN.match(term)}  # lone characters only distract
    spans = [
        (match.start(), match.end())
        for term in wanted
        if _HAN.search(term)
        for match in re.finditer(re.escape(term), text)
    ]
    seen: dict[str, bool] = {}
    for match in _WORD.finditer(text):
        word = match.group()
        if _HAN.search(word):
            spans.extend(_latin_parts(text, match.start(), match.end(), wanted, analyzer))
            continue
        if word not in seen:
            seen[word] = not wanted.isdisjoint(_terms(analyzer, word))
        if seen[word]:
            spans.append((match.start(), match.end()))
    return _merged(spans)


@lru_cache(maxsize=50_000)
def _terms(analyzer: Analyzer, word: str) -> tuple[str, ...]:
    """Return the terms of one word. The same words recur in passage after passage, and cutting them is the main cost here."""
    return tuple(analyzer.tokens(word))


def _latin_parts(text: str, start: int, end: int, wanted: set[str], analyzer: Analyzer) -> list[Span]:
    """Latin words glued to Chinese ones, as in `使用GPU加速`."""
    return [
        (start + match.start(), start + match.end())
        for match in re.finditer(r"[A-Za-z0-9][A-Za-z0-9._+#-]*", text[start:end])
        if not wanted.isdisjoint(_terms(analyzer, match.group()))
    ]


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    out: list[Span] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return tuple(out)


def snippet(text: str, spans: Sequence[Span], width: int = 240) -> Span:
    """Return the range of at most about `width` characters that shows most highlighted characters.

    It starts at a sentence where one begins near by, and at the passage's beginning when nothing is highlighted.
    """
    if len(text) <= width:
        return 0, len(text)
    starts = [0, *(match.end() for match in _BREAK.finditer(text))]
    spans = sorted(spans)
    begins = [begin for begin, _ in spans]
    longest = max((end - begin for begin, end in spans), default=0)
    best, best_score = 0, -1
    for start in [*starts, *(max(0, begin - width // 3) for begin in begins)]:
        near = spans[bisect_left(begins, start - longest) : bisect_left(begins, start + width)]
        score = sum(min(end, start + width) - max(begin, start) for begin, end in near if end > start)
        if score > best_score:
            best, best_score = start, score
    while best < len(text) - 1 and text[best].isspace():
        best += 1
    end = min(len(text), best + width)
    if end < len(text) and (space := text.rfind(" ", best + width * 3 // 4, end)) > 0:
        end = space
    return best, end


def pieces(text: str, spans: Sequence[Span]) -> list[tuple[str, bool]]:
    """Cut a text into (piece, is highlighted) for display."""
    edges = sorted({0, len(text), *(edge for span in spans for edge in span if 0 <= edge <= len(text))})
    inside: set[int] = set()
    for start, end in spans:
        inside.update(edge for edge in edges if start <= edge < end)
    return [(text[a:b], a in inside) for a, b in pairwise(edges) if b > a]
