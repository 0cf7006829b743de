"""What stands around a result: its section, or the passages beside it, within a budget of tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from quarry.indexer.records import BETWEEN_HEADINGS, Chunk
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.retriever.options import Expand
from quarry.retriever.results import Context, Result
from quarry.retriever.sentences import tokens_at_most
from quarry.retriever.shown.highlight import Span

_LONGEST_TOKEN = 50  # characters, white space included: what is longer is not counted to see that it does not fit


def with_contexts(
    results: Sequence[Result],
    chunks: ChunkTable,
    how: Expand,
    budget: int,
    marks: Callable[[str], tuple[Span, ...]] = lambda _text: (),
) -> tuple[Result, ...]:
    """Return results with what stands around them; no text stands in two contexts.

    A `section` is all that stands under the same heading. While the section around it fits as well, that is taken; when not even the
    smallest fits, the passages of it that are nearest to the result are. `neighbors` are the passages before and after, whatever their
    headings. A result that stands in the context of a better one gets no context: `within` is the rank of that one. What overlapping
    passages share is left to the better one, too.

    Args:
        results: Best first.
        chunks: Where their documents are.
        how: `section` or `neighbors`; `none` returns the results as they are.
        budget: Estimated tokens of one context. A result that is longer by itself is its own context.
        marks: Finds the words to highlight.

    Raises:
        ValueError: If the budget is below 1.
    """
    if budget < 1:
        raise ValueError(f"the budget is {budget} tokens; expected at least 1")
    if how == "none":
        return tuple(results)
    documents: dict[str, _Document] = {}
    out = []
    for result in results:
        if result.doc_id not in documents:
            documents[result.doc_id] = _Document.of(result.doc_id, chunks)
        document = documents[result.doc_id]
        at = document.places[result.chunk_id]
        if at in document.taken:
            out.append(replace(result, within=document.taken[at]))
            continue
        low, high, whole = document.grown(at, how, budget)
        start, end = document.left(low, high)
        document.taken |= dict.fromkeys(range(low, high + 1), result.rank)
        text = document.text[start:end]
        out.append(replace(result, context=Context(text, start, end, marks(text), whole)))
    return tuple(out)


def read_large(results: Sequence[Result]) -> tuple[Result, ...]:
    """Return results whose text is their context, without those that stand in the context of a better one."""
    return tuple(
        result
        if result.context is None
        else replace(
            result,
            text=result.context.text,
            start=result.context.start,
            end=result.context.end,
            highlights=result.context.highlights,
        )
        for result in results
        if result.within is None
    )


@dataclass(slots=True, eq=False)
class _Document:
    """A document with its passages in order; `taken` says which stand in a context, and in whose."""

    text: str
    passages: list[Chunk]
    places: dict[str, int]
    taken: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, doc_id: str, chunks: ChunkTable) -> "_Document":
        passages = chunks.passages_of(doc_id)
        places = {passage.chunk_id: place for place, passage in enumerate(passages)}
        return cls(chunks.document(doc_id).text, passages, places)

    def extent(self, low: int, high: int) -> Span:
        """Return the characters from one passage to another."""
        return self.passages[low].start, max(passage.end for passage in self.passages[low : high + 1])

    def left(self, low: int, high: int) -> Span:
        """Return the characters from one passage to another without those that passages of other contexts share with them."""
        start, end = self.extent(low, high)
        first = max(start, self.passages[low - 1].end) if low - 1 in self.taken else start
        last = min(end, self.passages[high + 1].start) if high + 1 in self.taken else end
        text = self.text[first:last]
        if not text.strip():
            return start, end
        return first + len(text) - len(text.lstrip()), first + len(text.rstrip())

    def fits(self, low: int, high: int, budget: int) -> bool:
        """Whether the text from one passage to another has at most so many tokens."""
        start, end = self.extent(low, high)
        return end - start <= budget * _LONGEST_TOKEN and tokens_at_most(self.text[start:end]) <= budget

    def grown(self, at: int, how: Expand, budget: int) -> tuple[int, int, bool]:
        """Return the first and the last passage of a context, and whether it is a whole section."""
        if how == "neighbors":
            low, high = self._nearest(at, 0, len(self.passages) - 1, budget)
            return low, high, False
        found: tuple[int, int] | None = None
        heading = self.passages[at].heading
        while True:
            low, high = self._section(at, heading)
            if not self.fits(low, high, budget):
                break
            found = (low, high)
            if not heading:
                break
            heading = heading.rpartition(BETWEEN_HEADINGS)[0]
        if found is not None:
            return *found, True
        low, high = self._nearest(at, low, high, budget)
        return low, high, False

    def _section(self, at: int, heading: str) -> tuple[int, int]:
        """Return the passages around one that stand under a heading and in no other context."""

        def belongs(place: int) -> bool:
            theirs = self.passages[place].heading
            under = not heading or theirs == heading or theirs.startswith(heading + BETWEEN_HEADINGS)
            return under and place not in self.taken

        low = high = at
        while low > 0 and belongs(low - 1):
            low -= 1
        while high + 1 < len(self.passages) and belongs(high + 1):
            high += 1
        return low, high

    def _nearest(self, at: int, first: int, last: int, budget: int) -> tuple[int, int]:
        """Grow from a passage to both sides in turn, forwards first, while it fits."""
        low = high = at
        grown = True
        while grown:
            grown = False
            for forwards in (True, False):
                added = high + 1 if forwards else low - 1
                if not first <= added <= last or added in self.taken:
                    continue
                if self.fits(min(low, added), max(high, added), budget):
                    low, high, grown = min(low, added), max(high, added), True
        return low, high
