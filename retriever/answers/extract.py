"""Finds the sentences that answer a question best, without a language model; each is an exact range of a numbered passage.

A sentence is scored by its cosine with the question, where there is an embedder, and by the share of the question's idf mass
that it has; idf is that of the candidates themselves. An answer is not filled up: after the best one, a sentence has to have a word
of the question, or to be nearer to it in meaning than halfway between the farthest candidate and the nearest; and where meaning is
compared, it has to score 0.7 of the best one at least. What cannot stand alone is joined with its neighbour: a heading with the
sentence below it, a question with its answer, a short sentence with the one beside it, lines of code with the sentence that
introduces them, the rows of a table with each other.

Cosines with two languages are on two scales, and words of one are not in the other. So where the best passage is in the other language
than the question, only passages in its language are read.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.language import language_of, length_in_words
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.retriever.sentences import sentence_spans
from quarry.retriever.shown.highlight import Span

if TYPE_CHECKING:
    from quarry.indexer.embedder import Embedder
    from quarry.retriever.answers.packing import Packed

PASSAGES = 8  # looked into, best first
SENTENCES = 64  # encoded at most: about half a second on one core
_SHORT = 4  # words: below it a sentence says too little alone
_LONGEST = 600  # characters of what is joined
_SAME = 0.8  # share of a sentence's terms that a better one has: above it the sentence is left out
_MEANING = 0.7  # weight of the cosine against the words; chosen by hand, not tuned yet
_ENOUGH = 0.7  # of the best score; chosen on cmrc2018-zh and chunkspans-en (docs/results/answers.md)
_HALFWAY = 0.5  # between the cosine of the farthest candidate and that of the nearest
_RANK = 0.1  # what the best passage's sentences get more than the last one's
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)")
_RULE = re.compile(r"[\s|:+=_*~`-]*")  # a table's ruler, a horizontal line, a fence: nothing to read


@dataclass(frozen=True, slots=True)
class Extracted:
    """A sentence, or a few that belong together.

    Attributes:
        text: Exactly the passage's `text[start:end]`.
        number: The passage's number.
        start: First character in the passage's text.
        end: One past the last.
        score: Higher is better; comparable only within one extraction.
    """

    text: str
    number: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: "Packed"
    start: int
    end: int
    place: int  # of the passage, from 0
    terms: frozenset[str]

    @property
    def text(self) -> str:
        return self.passage.text[self.start : self.end]


def extract(
    question: str,
    passages: "Sequence[Packed]",
    analyzer: Analyzer,
    embedder: "Embedder | None",
    most: int = 3,
) -> tuple[Extracted, ...]:
    """Choose the best sentences for a question.

    Args:
        question: What was asked.
        passages: Numbered passages, best first; the first eight are looked into.
        analyzer: The index's.
        embedder: The index's; None scores by words alone.
        most: How many sentences at most.

    Returns:
        Best first; empty when there is nothing to read in the passages.

    Raises:
        ValueError: If `most` is below 1.
    """
    if most < 1:
        raise ValueError(f"most is {most}; expected at least 1 sentence to be asked for")
    if embedder is not None:
        passages = _on_one_scale(question, passages)
    found = [
        _Candidate(passage, start, end, place, frozenset(analyzer.tokens(passage.text[start:end])))
        for place, passage in enumerate(passages[:PASSAGES])
        for start, end in units(passage.text)
    ]
    if not found:
        return ()
    overlap = _overlaps(set(analyzer.query_tokens(question)), found)
    closeness = np.zeros(len(found))
    if embedder is not None:
        first = np.argsort(-(overlap + _by_place(found)), kind="stable")[:SENTENCES]
        found, overlap = [found[row] for row in first], overlap[first]
        closeness = _closeness(question, found, embedder)
        scores = (1 - _MEANING) * overlap + _MEANING * closeness
    else:
        scores = overlap
    scores = scores + _RANK * _by_place(found)
    apt = (overlap > 0) | (closeness > _HALFWAY)
    if embedder is not None:
        apt &= scores >= _ENOUGH * scores.max()
    return _best(found, scores, apt, most)


def _on_one_scale(question: str, passages: "Sequence[Packed]") -> "Sequence[Packed]":
    """Return the passages in the language of the best one where that is not the question's, else all."""
    theirs = language_of(passages[0].text) if passages else language_of(question)
    if theirs == language_of(question):
        return passages
    return [passage for passage in passages if language_of(passage.text) == theirs]


def units(text: str) -> list[Span]:
    """Return the ranges of a text that can stand alone, in order: sentences, with what they need beside them."""
    out: list[Span] = []
    before = ""  # the sentence before, as long as it can be joined
    in_code = False
    for start, end in sentence_spans(text):
        piece = text[start:end]
        fences = sum(bool(_FENCE.match(line)) for line in piece.splitlines())
        code, in_code = in_code or fences > 0, in_code ^ bool(fences % 2)
        if _RULE.fullmatch(piece) and not code:
            continue
        fits = bool(out) and end - out[-1][0] <= _LONGEST
        if fits and (code or _belong(before, piece, text[out[-1][1] : start])):
            out[-1] = (out[-1][0], end)
            before = "" if code or _is_short(piece) else piece  # one that was short has found its neighbour
        else:
            out.append((start, end))
            before = piece
    return out[:-1] if len(out) > 1 and _is_heading(text[slice(*out[-1])]) else out


def _belong(one: str, other: str, between: str) -> bool:
    """Whether two neighbouring sentences are read together; `between` is what stands between them."""
    if not one or _is_heading(other):
        return _is_heading(one)
    if _is_row(one) or _is_row(other):
        return _is_row(one) and _is_row(other)
    if _is_heading(one) or one.endswith(("?", "？", ":", "：")):
        return True
    apart = between.count("\n") > 1
    return not apart and (_is_short(one) or _is_short(other))


def _is_short(sentence: str) -> bool:
    return length_in_words(sentence) < _SHORT and not _is_heading(sentence) and not _is_row(sentence)


def _is_heading(line: str) -> bool:
    return line.lstrip().startswith("#")


def _is_row(line: str) -> bool:
    return line.count("|") >= 2 or line.count("\t") >= 2


def _overlaps(wanted: Collection[str], found: Sequence[_Candidate]) -> NDArray[np.float64]:
    """The share of the question's idf mass that each candidate has, in [0, 1]; terms that none has do not count."""
    count = len(found)
    having = {term: sum(term in candidate.terms for candidate in found) for term in wanted}
    idf = {term: log(1 + (count - df + 0.5) / (df + 0.5)) for term, df in having.items() if df}
    mass = sum(idf.values()) or 1.0
    return np.array([sum(weight for term, weight in idf.items() if term in one.terms) / mass for one in found])


def _by_place(found: Sequence[_Candidate]) -> NDArray[np.float64]:
    """1 for sentences of the best passage, less for later ones."""
    return np.array([1 / (1 + candidate.place) for candidate in found])


def _closeness(question: str, found: Sequence[_Candidate], embedder: "Embedder") -> NDArray[np.float64]:
    """Cosines with the question, scaled so that the best candidate has 1 and the last 0."""
    vectors = embedder.embed_documents([_with_title(candidate) for candidate in found])
    cosines = np.asarray(vectors @ embedder.embed_queries([question])[0], dtype=np.float64)
    low, high = float(cosines.min()), float(cosines.max())
    return (cosines - low) / (high - low) if high > low else np.ones(len(found))


def _with_title(candidate: _Candidate) -> str:
    title = candidate.passage.title
    return f"{title}\n{candidate.text}" if title and title != candidate.passage.doc_id else candidate.text


def _best(
    found: Sequence[_Candidate], scores: NDArray[np.float64], apt: NDArray[np.bool_], most: int
) -> tuple[Extracted, ...]:
    """Return the best one and the best of the apt ones, without what repeats a better one; ties in the order of the passages."""
    chosen: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        if len(chosen) == most:
            break
        if chosen and not apt[row]:
            continue
        if not any(_adds_nothing(found[row].terms, found[other].terms) for other in chosen):
            chosen.append(int(row))
    return tuple(
        Extracted(found[row].text, found[row].passage.number, found[row].start, found[row].end, float(scores[row]))
        for row in chosen
    )


def _adds_nothing(one: frozenset[str], better: frozenset[str]) -> bool:
    return one <= better or len(one & better) > _SAME * len(one)
