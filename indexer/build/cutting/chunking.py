"""Cutting documents into passages: along headings, paragraphs and sentences, in Chinese and English, with exact offsets.

The text is tokenised once; everything after that works on positions. Boundaries have strengths (paragraph over sentence
over line); a passage ends at the strongest boundary in the second half of its token budget, and at a token where there
is none, so that no passage exceeds the budget whatever the text looks like.

Every step takes time in proportion to the text, whatever it holds: no regular expression here scans a run of characters twice
(`python -m tests.benchmarks.linear`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from unicodedata import combining

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build.cutting.headings import sections_of
from quarry.indexer.build.cutting.table_heads import TableHeads
from quarry.indexer.embedder import TokenSpans
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.records import BETWEEN_HEADINGS, Chunk, Document, passage_id, passage_text

_BOUNDARY = re.compile(
    r"(?P<paragraph>\n[ \t]*\n\s*|\f\s*)"
    r"|(?P<sentence>[。！？；…]+[\"”’』」）)\]】》]*|(?<![.!?])[.!?]++[\"”’')\]]*+(?=\s))"
    r"|(?P<line>\n)"
)
_NOT_AN_END = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|vs|etc|cf|Fig|Figs|Eq|No|Nos|Vol|pp|al|approx|e\.g|i\.e|Inc|Ltd|Co|U\.S|a\.m|p\.m)|(?<![^\W\d_])[A-Z])\.$"
)
_PARAGRAPH, _SENTENCE, _LINE = 3, 2, 1
_TINY_SECTION = 64  # tokens: a section below this is joined with its neighbour when both fit
_LONGEST_TOKEN = 256  # characters: what a tokenizer takes for one token, or for none, and is longer, counts as several
_TOKEN_PART = 64
_MOST_GLUED = 64  # characters that a forced cut moves back at most, to keep what is combined together
_GLUE = "\u200d\ufe0e\ufe0f\u20e3"  # joiners and variation selectors belong to the character before


@dataclass(frozen=True, slots=True)
class ChunkSpec:
    """How long passages are, in tokens of the model in use.

    Attributes:
        max_tokens: Hard cap per passage, at least 16. 320 with an overlap of 64 found most answer characters per token
            read on chunkspans-en (recall 0.881; `python -m tests.benchmarks.chunking`).
        overlap_tokens: Whole sentences repeated from the passage before, up to this many tokens; below half the cap.
    """

    max_tokens: int = 320
    overlap_tokens: int = 64

    def __post_init__(self) -> None:
        if self.max_tokens < 16:
            raise ValueError(f"chunk tokens is {self.max_tokens}; expected at least 16")
        if not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            raise ValueError(
                f"overlap is {self.overlap_tokens} tokens; expected 0 to {self.max_tokens // 2}, half of the passage length"
            )


@dataclass(frozen=True, slots=True)
class _Section:
    start: int
    end: int
    heading: str


def split(document: Document, spec: ChunkSpec, tokens: TokenSpans) -> list[Chunk]:
    """Cut a document into passages.

    Args:
        document: Its headings are ATX lines, its pages end in form feeds (see `quarry.indexer.records.Document`).
        spec: Length and overlap.
        tokens: The tokenizer that lengths are counted in.

    Returns:
        Passages in order, `text == document.text[start:end]`, without white space at their edges; together they cover
        everything that is not white space. A text of white space gives none.
    """
    text = document.text
    starts = _counted(text, tokens.spans(text)[:, 0])
    cutter = _SectionCutter(text, starts, _boundaries(text), spec)
    chunks: list[Chunk] = []
    file_format = document.meta.get("format", "")
    heads = TableHeads(text, file_format)
    sections = [_Section(one.start, one.end, one.heading) for one in sections_of(document)]
    for section in _joined(sections, starts, spec.max_tokens):
        for start, end in cutter.cut(section.start, section.end):
            chunk_id = passage_id(document.doc_id, start, end)
            heading = heads.above(start, section.heading)
            chunks.append(Chunk(chunk_id, document.doc_id, text[start:end], start, end, heading))
    return chunks


def _counted(text: str, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where tokens start, with more starts inside of what is too long for one token.

    Some tokenizers take a word of 100,000 letters for one unknown token, and drop combining marks: a passage would be as long.
    """
    edges = np.concatenate([[0], starts, [len(text)]])
    wide = np.flatnonzero(np.diff(edges) > _LONGEST_TOKEN)
    more = [
        np.arange(begin + _TOKEN_PART, end, _TOKEN_PART)
        for begin, end in ((int(edges[n]), int(edges[n + 1])) for n in wide)
        if not text[begin + _TOKEN_PART : end].isspace()
    ]
    return np.unique(np.concatenate([starts, *more])) if more else starts


def _joined(sections: list[_Section], starts: NDArray[np.int64], cap: int) -> list[_Section]:
    """Join a tiny section, such as a heading alone, with the one after it, or at the end with the one before."""
    out: list[_Section] = []
    for section in sections:
        last = out[-1] if out else None
        fits = last is not None and _count(starts, last.start, section.end) <= cap
        final = section is sections[-1] and _count(starts, section.start, section.end) < _TINY_SECTION
        if last is not None and fits and (final or _count(starts, last.start, last.end) < _TINY_SECTION):
            out[-1] = _Section(last.start, section.end, _common_heading(last.heading, section.heading))
        else:
            out.append(section)
    return out


def _common_heading(one: str, other: str) -> str:
    """The heading of two joined sections: the deeper one when it is below the first, else what they share."""
    if not one or other.startswith(one):
        return other
    shared = [a for a, b in zip(one.split(BETWEEN_HEADINGS), other.split(BETWEEN_HEADINGS), strict=False) if a == b]
    return BETWEEN_HEADINGS.join(shared) or one


def _count(starts: NDArray[np.int64], begin: int, end: int) -> int:
    return int(np.searchsorted(starts, end) - np.searchsorted(starts, begin))


def _boundaries(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions after which a passage may end, increasing, and their strengths."""
    positions: list[int] = []
    strengths: list[int] = []
    for match in _BOUNDARY.finditer(text):
        if match.lastgroup == "paragraph":
            strength = _PARAGRAPH
        elif match.lastgroup == "sentence":
            if match.group()[0] == "." and _NOT_AN_END.search(text, max(0, match.start() - 12), match.start() + 1):
                continue
            strength = _SENTENCE
        else:
            strength = _LINE
        positions.append(match.end())
        strengths.append(strength)
    return np.array(positions, dtype=np.int64), np.array(strengths, dtype=np.int64)


class _SectionCutter:
    """Cuts one range of the text after another into passages."""

    def __init__(
        self,
        text: str,
        starts: NDArray[np.int64],
        boundaries: tuple[NDArray[np.int64], NDArray[np.int64]],
        spec: ChunkSpec,
    ) -> None:
        self._text = text
        self._starts = starts
        self._positions, self._strengths = boundaries
        # a passage tokenised alone can have a few tokens more than its slice of the whole
        self._cap = spec.max_tokens - max(2, spec.max_tokens // 32)
        self._overlap = spec.overlap_tokens

    def cut(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of the passages of `text[begin:end]`, white space trimmed."""
        end = self._trim(begin, end)[1]
        position, fresh = begin, begin  # where the next passage starts, with and without overlap
        reached = -1
        while True:
            start, stop = self._trim(position, end)
            if start >= stop:
                return
            cut = self._end_of_passage(start, stop)
            trimmed = self._trim(start, cut)
            if trimmed[1] <= reached:  # nothing but overlap: start behind it
                position = fresh
                continue
            yield trimmed
            if cut >= stop:
                return
            reached, fresh = trimmed[1], cut
            position = self._start_of_next(start, cut)

    def _trim(self, begin: int, end: int) -> tuple[int, int]:
        while begin < end and self._text[begin].isspace():
            begin += 1
        while end > begin and self._text[end - 1].isspace():
            end -= 1
        return begin, end

    def _end_of_passage(self, start: int, end: int) -> int:
        first, last = (int(n) for n in np.searchsorted(self._starts, [start, end]))
        if last - first <= self._cap:
            return end
        parts = -(-(last - first) // (self._cap - self._overlap))  # parts of like length, not full ones and a scrap
        length = min(self._cap, int((last - first) / parts * 1.15) + self._overlap)
        latest = int(self._starts[first + length])
        middle = int(self._starts[first + length // 2])
        low, high = np.searchsorted(self._positions, [middle, latest], side="right")
        if high > low:
            window = self._strengths[low:high]
            return int(self._positions[low + int(np.flatnonzero(window == window.max())[-1])])
        return self._at_character(start, latest)

    def _at_character(self, start: int, position: int) -> int:
        """Move a forced cut back to white space if near, and never between a character and what is combined with it."""
        for back in range(position, max(start + 1, position - 40), -1):
            if self._text[back - 1].isspace() or self._text[back - 1] in "，、,;：":
                return back
        for back in range(position, max(start, position - _MOST_GLUED), -1):
            if not self._is_glued(back):
                return back
        return position

    def _is_glued(self, position: int) -> bool:
        """Whether the character at a position belongs to the one before."""
        character = self._text[position]
        return combining(character) != 0 or character in _GLUE or self._text[position - 1] == "\u200d"

    def _start_of_next(self, start: int, cut: int) -> int:
        """Step back by whole sentences within the overlap."""
        if not self._overlap:
            return cut
        last = int(np.searchsorted(self._starts, cut))
        earliest = int(self._starts[max(0, last - self._overlap)])
        low, high = np.searchsorted(self._positions, [max(earliest, start + 1), cut], side="left")
        sentences = np.flatnonzero(self._strengths[low:high] >= _SENTENCE)
        return int(self._positions[low + int(sentences[0])]) if len(sentences) else cut


def cut_into_terms(
    document: Document, spec: ChunkSpec, tokens: TokenSpans, analyzer: Analyzer
) -> tuple[list[Chunk], list[list[str]]]:
    """Return the passages of a document and, in the same order, their analyzed terms."""
    chunks = split(document, spec, tokens)
    return chunks, [analyzer.passage_terms(passage_text(document.title, chunk.heading, chunk.text)) for chunk in chunks]
