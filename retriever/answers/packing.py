"""Packs the hits of a search into numbered passages within a token budget: what a model sees and a citation points to.

Neighbours of one document are joined, the same text is given once, and best stays first. A passage is cut between
sentences, and says so; inside a sentence only when its best hit begins with one that is longer than the whole budget.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, Protocol, TypeAlias

from quarry.indexer.records import Document
from quarry.retriever.results import Result
from quarry.retriever.sentences import sentence_spans, tokens_at_most
from quarry.retriever.shown.highlight import Span

Cut: TypeAlias = Literal["", "between sentences", "inside a sentence"]
STANDARD_BUDGET = 2_000  # tokens: fits beside question and answer into the 4,096 of small local models
SMALLEST_BUDGET = 256
OLD_DAYS = 730  # from which on a citation shows the day
SHOWN_CHARS = 80  # of a title or path that a model is shown
_OVERHEAD = 24  # tokens around a passage: its number and fence
_SMALLEST_PART = 32  # tokens: a shorter rest, such as a heading alone, helps nobody
_GAP = 8  # characters of white space that chunking leaves out between neighbours


class Texts(Protocol):
    """Where the passages' documents are; `quarry.indexer.storage.texts.chunk_table.ChunkTable` is one."""

    def document(self, doc_id: str) -> Document:
        """Return a whole document. Raises KeyError naming a missing id."""
        ...


@dataclass(frozen=True, slots=True)
class Packed:
    """One numbered passage.

    Attributes:
        number: From 1, best first; what a citation names.
        doc_id: Its document.
        title: The document's title; its id when it has none.
        path: Where the document came from (file path relative to what was indexed, or its id).
        text: Exactly `document.text[start:end]`.
        chunk_ids: The passages of the index that it was made of, best first.
        score: The best of their scores; comparable only within one search.
        page: Page number from 1, None for formats without pages.
        start: First character in the document's text.
        end: One past the last.
        cut: Where it was cut to fit the budget; empty when it was not.
        also_in: Ids of other documents with the same text, in order of rank.
        modified: Day of its file's last change, ISO; empty when unknown.
        index: Which of several indexes it is from; empty for one.
    """

    number: int
    doc_id: str
    title: str
    path: str
    text: str
    chunk_ids: tuple[str, ...]
    score: float
    page: int | None = None
    start: int = 0
    end: int = 0
    cut: Cut = ""
    also_in: tuple[str, ...] = ()
    modified: str = ""
    index: str = ""

    def is_old(self, today: date) -> bool:
        """Whether its file was last changed more than two years before a day.

        Example:
            >>> packed = Packed(1, "a", "A", "a.md", "text", ("a#0-4",), 1.0, modified="2020-01-31")
            >>> packed.is_old(date(2022, 1, 30)), packed.is_old(date(2022, 1, 31))
            (False, True)
        """
        try:
            return (today - date.fromisoformat(self.modified[:10])).days > OLD_DAYS
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Packing:
    """The passages that fit.

    Attributes:
        passages: Best first.
        left_out: How many hits did not fit; those that are part of a passage or repeat one are not among them.
        tokens: Estimated tokens of the passages with what stands around them, at most the budget.
    """

    passages: tuple[Packed, ...]
    left_out: int
    tokens: int


@dataclass(slots=True, eq=False)
class _Piece:
    best: Result
    start: int
    end: int
    text: str
    page: int | None
    chunk_ids: list[str]
    cut: Cut = ""
    also_in: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, result: Result) -> "_Piece":
        return cls(result, result.start, result.end, result.text, result.page, [result.chunk_id])

    @property
    def around(self) -> int:
        """Tokens beside the text."""
        return _OVERHEAD + sum(tokens_at_most(part[:SHOWN_CHARS]) for part in (self.best.title, self.best.source))

    @property
    def tokens(self) -> int:
        return tokens_at_most(self.text) + self.around


def pack(results: Sequence[Result], texts: Texts, budget: int = STANDARD_BUDGET) -> Packing:
    """Choose and join hits until the budget is spent.

    Args:
        results: Hits of one search, best first.
        texts: Where their documents are.
        budget: Tokens for all passages together, at least 256.

    Raises:
        ValueError: If the budget is smaller.
    """
    if budget < SMALLEST_BUDGET:
        raise ValueError(f"the budget is {budget} tokens; expected at least {SMALLEST_BUDGET}")
    pieces: list[_Piece] = []
    known: dict[str, _Piece] = {}
    left_out = 0
    for result in results:
        key = " ".join(result.text.split()).casefold()
        if not key:
            continue
        if key in known:
            _note_twin(known[key], result)
            continue
        piece = _fitted(result, pieces, texts, budget - sum(piece.tokens for piece in pieces))
        if piece is None:
            left_out += 1
        else:
            known = {name: piece if owner not in pieces else owner for name, owner in known.items()} | {key: piece}
    return Packing(tuple(_numbered(pieces)), left_out, sum(piece.tokens for piece in pieces))


def _note_twin(piece: _Piece, result: Result) -> None:
    if result.doc_id != piece.best.doc_id and result.doc_id not in piece.also_in:
        piece.also_in.append(result.doc_id)


def _fitted(result: Result, pieces: list[_Piece], texts: Texts, left: int) -> _Piece | None:
    """Put a hit into `pieces`, joined with its neighbours there; returns where it went, None when it does not fit."""
    beside = [piece for piece in pieces if _touch(piece, result, texts)]
    if not beside:
        piece = _cut(_Piece.of(result), left, first=not pieces)
        if piece is not None:
            pieces.append(piece)
        return piece
    joined = _joined(beside, result, texts)
    if joined.tokens - sum(piece.tokens for piece in beside) > left:
        return None
    pieces[pieces.index(beside[0])] = joined
    for piece in beside[1:]:
        pieces.remove(piece)
    return joined


def _touch(piece: _Piece, result: Result, texts: Texts) -> bool:
    if piece.best.doc_id != result.doc_id:
        return False
    between = (min(piece.end, result.end), max(piece.start, result.start))
    if between[1] <= between[0]:
        return True
    return between[1] - between[0] <= _GAP and not texts.document(result.doc_id).text[slice(*between)].strip()


def _joined(beside: Sequence[_Piece], result: Result, texts: Texts) -> _Piece:
    start, end = min(result.start, *(p.start for p in beside)), max(result.end, *(p.end for p in beside))
    return _Piece(
        best=beside[0].best,
        start=start,
        end=end,
        text=texts.document(result.doc_id).text[start:end],
        page=min((page for page in (result.page, *(p.page for p in beside)) if page is not None), default=None),
        chunk_ids=[*(name for piece in beside for name in piece.chunk_ids), result.chunk_id],
        cut=next((piece.cut for piece in beside if piece.cut and piece.end == end), ""),
        also_in=list(dict.fromkeys(name for piece in beside for name in piece.also_in)),
    )


def _cut(piece: _Piece, left: int, *, first: bool) -> _Piece | None:
    """Return the piece when it fits, else its sentences around the one that the query matches best, else None."""
    if piece.tokens <= left:
        return piece
    room = left - piece.around
    sentences = sentence_spans(piece.text)
    best = _best_sentence(sentences, piece.best.highlights)
    start, end = sentences[best]
    if tokens_at_most(piece.text[start:end]) <= room:
        part = _part(piece, _window(piece.text, sentences, best, room), "between sentences")
        return part if first or tokens_at_most(part.text) >= _SMALLEST_PART else None
    if not first:
        return None
    while tokens_at_most(piece.text[start:end]) > room:
        end = start + (end - start) * 9 // 10
    return _part(piece, (start, end), "inside a sentence")


def _part(piece: _Piece, window: Span, cut: Cut) -> _Piece:
    start, end = window
    page = piece.page and piece.page + piece.text.count("\f", 0, start)
    return _Piece(piece.best, piece.start + start, piece.start + end, piece.text[start:end], page, piece.chunk_ids, cut)


def _best_sentence(sentences: Sequence[Span], highlights: Sequence[Span]) -> int:
    """Return the number of the one with most highlighted characters, the first of equals."""
    marked = [sum(max(0, min(b, end) - max(a, start)) for a, b in highlights) for start, end in sentences]
    return marked.index(max(marked))


def _window(text: str, sentences: Sequence[Span], best: int, room: int) -> Span:
    """Return the range of whole sentences that fits, grown around one, forwards first."""
    low = high = best
    grown = True
    while grown:
        grown = False
        for a, b in ((low, high + 1), (low - 1, high)):
            if a < 0 or b == len(sentences) or tokens_at_most(text[sentences[a][0] : sentences[b][1]]) > room:
                continue
            low, high, grown = a, b, True
            break
    return sentences[low][0], sentences[high][1]


def _numbered(pieces: Iterable[_Piece]) -> Iterable[Packed]:
    for number, piece in enumerate(pieces, start=1):
        best = piece.best
        yield Packed(
            number=number,
            doc_id=best.doc_id,
            title=best.title,
            path=best.source,
            text=piece.text,
            chunk_ids=tuple(piece.chunk_ids),
            score=best.score,
            page=piece.page,
            start=piece.start,
            end=piece.end,
            cut=piece.cut,
            also_in=tuple(piece.also_in),
            modified=str(best.meta.get("modified", ""))[:10],
        )
