"""BM25 over segments: the scores of one index of all passages that are there.

Document frequencies, the number of passages and their mean length are sums over the segments, without removed passages. A term's
score in a passage is Lucene's, idf * tf / (tf + k1 * (1 - b + b * length / mean)), in float32, summed from the weightiest term down.

Common terms are not always read to the end: when even all that are left cannot lift a passage without any other term into the first
k, only the passages that can still come into them are looked up (MaxScore: Turtle and Flood, IPM 1995). The first k are the same.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from math import log
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.bm25 import HAN_SIGN, K1, MAX_REPEAT, MAX_SIGNS, MAX_TERMS, B
from quarry.indexer.lexical.packed import Postings
from quarry.indexer.lexical.segment import Live

Mask: TypeAlias = NDArray[np.bool_]

_SLACK = np.float32(1 - 1e-5)  # of a limit, so that rounding leaves nobody out
_LOOKUP = 8  # looking up a passage in a term's postings costs about as much as reading so many of them


class RowHit(NamedTuple):
    """A passage that shares terms with the query: BM25 score > 0, matched terms by contribution, strongest first."""

    part: int
    row: int
    score: float
    terms: tuple[str, ...]


class _Term(NamedTuple):
    """A term of a query: its weight, idf times how often it counts, and its postings in each part, None where it is not."""

    token: str
    df: int
    weight: np.float32
    postings: list[Postings | None]


class Bm25Search:
    """Searches segments.

    Args:
        parts: Segments with what is left of each.
        names: The ids of some rows of a part, to put passages with the same score in the order of their ids; None puts them in the
            order of parts and rows.

    Example:
        >>> from quarry.indexer.lexical.writer import counted
        >>> one, other = counted([["red", "valve"], ["valve"]]), counted([["red", "red", "pump"]])
        >>> search = Bm25Search([Live(one), Live(other)])
        >>> [(hit.part, hit.row, round(hit.score, 2), hit.terms) for hit in search.search(["red", "pump"], 2)]
        [(1, 0, 0.55, ('pump', 'red')), (0, 0, 0.19, ('red',))]
    """

    def __init__(
        self, parts: Sequence[Live], names: Callable[[int, Sequence[int]], Sequence[str]] | None = None
    ) -> None:
        self._parts, self._names = list(parts), names
        self.passages = sum(part.passages for part in self._parts)
        words = sum(part.words for part in self._parts)
        self.mean_length = words / self.passages if self.passages else 0.0

    def __len__(self) -> int:
        """Return the number of passages that are there."""
        return self.passages

    def df(self, token: str) -> int:
        """Return in how many passages a term stands."""
        return self._df(self._numbers(token))

    def idf(self, token: str) -> float | None:
        """Return ln(1 + (N - df + 0.5) / (df + 0.5)), None for a term that is in no passage."""
        df = self.df(token)
        return self._idf(df) if df else None

    def search(self, tokens: Sequence[str], k: int, allowed: Sequence[Mask | None] | None = None) -> list[RowHit]:
        """Return at most k passages with a score above zero, best first.

        A query of one Han character finds the words that hold it, and so does a query of Han words of which none is there. A term
        that the query repeats counts up to three times; of more than 1,024 different terms, the rarest count.

        Args:
            tokens: The terms of the query.
            k: How many.
            allowed: For each part which rows may be found, None for all.

        Raises:
            ValueError: If k < 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        terms = self._terms(Counter(tokens))
        if not terms or (len(tokens) == 1 and HAN_SIGN.fullmatch(tokens[0])):
            terms = self._terms(Counter(self._words_with(tokens))) or terms
        terms.sort(key=lambda term: -term.weight)
        found: list[tuple[int, NDArray[np.int64], NDArray[np.float32]]] = []
        floor = np.float32(0)
        for number, part in enumerate(self._parts):
            mask = _both(part.live, allowed[number] if allowed else None)
            rows, scores = self._best_of(number, terms, k, mask, floor)
            found.append((number, rows, scores))
            floor = _kth(np.concatenate([scores for _, _, scores in found]), k, floor)
        best = self._first(found, k)
        matched = self._matched(best, terms)
        return [RowHit(part, row, score, matched[part, row]) for score, part, row in best]

    def having(self, groups: Sequence[Sequence[str]], signs: Sequence[str] = ()) -> list[Mask]:
        """Return the passages that have a term of every group and, of every sign, a term that holds it; all without any."""
        return [self._having(part, groups, signs) for part in self._parts]

    def _having(self, part: Live, groups: Sequence[Sequence[str]], signs: Sequence[str]) -> Mask:
        table = part.segment.terms
        wanted = [[number for term in group if (number := table.find(term)) is not None] for group in groups]
        wanted += [table.holding([sign]) for sign in dict.fromkeys(signs)]
        rows = np.ones(len(part.segment), np.bool_) if part.live is None else part.live.copy()
        for numbers in wanted:
            have = np.zeros(len(rows), dtype=np.bool_)
            for number in numbers:
                have[part.segment.postings(number).rows] = True
            rows &= have
        return rows

    def _words_with(self, tokens: Sequence[str]) -> list[str]:
        """The words that hold the query's Han characters, for a query whose own words are not there."""
        signs = list(dict.fromkeys(sign for token in tokens for sign in token if HAN_SIGN.match(sign)))[:MAX_SIGNS]
        tables = [part.segment.terms for part in self._parts]
        return sorted({table[number] for table in tables for number in table.holding(signs)})

    def _numbers(self, token: str) -> list[int | None]:
        return [part.segment.terms.find(token) for part in self._parts]

    def _df(self, numbers: Sequence[int | None]) -> int:
        pairs = zip(self._parts, numbers, strict=True)
        return sum(part.df(number) for part, number in pairs if number is not None)

    def _idf(self, df: int) -> float:
        return log(1 + (self.passages - df + 0.5) / (df + 0.5))

    def _terms(self, counts: Counter[str]) -> list[_Term]:
        """The query's terms that are there, in the order of the query, at most MAX_TERMS of them."""
        if len(counts) > MAX_TERMS:
            dfs = {token: self._df(self._numbers(token)) for token in counts}
            rarest = set(sorted((token for token in counts if dfs[token]), key=dfs.__getitem__)[:MAX_TERMS])
            counts = Counter({token: count for token, count in counts.items() if token in rarest})
        terms: list[_Term] = []
        for token, count in counts.items():
            postings = [
                None if number is None else part.segment.postings(number)
                for part, number in zip(self._parts, self._numbers(token), strict=True)
            ]
            pairs = zip(self._parts, postings, strict=True)
            df = sum(part.count(each.rows) for part, each in pairs if each is not None)
            if df:
                terms.append(_Term(token, df, np.float32(self._idf(df) * min(count, MAX_REPEAT)), postings))
        return terms

    @cached_property
    def _norms(self) -> list[NDArray[np.float32]]:
        """What a passage's length adds to a term's frequency, for each part."""
        mean = max(self.mean_length, 1e-9)
        return [(K1 * (1 - B) + K1 * B / mean * part.segment.lengths).astype(np.float32) for part in self._parts]

    def _scores(self, part: int, weight: np.float32, postings: Postings) -> NDArray[np.float32]:
        counts = postings.counts.astype(np.float32)
        try:
            norms = self._norms[part][postings.rows]
        except IndexError as err:  # all postings are not read at opening
            raise self._parts[part].segment.wrong_rows() from err
        norms += counts
        counts *= weight
        counts /= norms
        return counts

    def _best_of(
        self, part: int, terms: Sequence[_Term], k: int, mask: Mask | None, floor: np.float32
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The rows of a part that are among the best k and not below a limit, with their scores; more when some are even."""
        here = [(term.weight, postings) for term in terms if (postings := term.postings[part]) is not None]
        rest = np.cumsum([weight for weight, _ in here[::-1]])[::-1].astype(np.float32)  # of a term and all after it
        scores = np.zeros(len(self._parts[part].segment), dtype=np.float32)
        place = 0
        while place < len(here) and (floor <= 0 or rest[place] >= floor * _SLACK):
            weight, postings = here[place]
            more = self._scores(part, weight, postings)
            if mask is not None:
                more *= mask[postings.rows]
            if place:
                more += scores[postings.rows]
            scores[postings.rows] = more
            floor = _kth(more, k, floor)
            place += 1
        left = rest[place] if place < len(here) else np.float32(0)
        rows = np.flatnonzero(scores > np.maximum(floor * _SLACK - left, np.float32(0)))
        for number in range(place, len(here)):
            self._add(part, here[number], rows, scores)
            floor = _kth(scores[rows], k, floor)
            left = rest[number + 1] if number + 1 < len(here) else np.float32(0)
            rows = rows[scores[rows] + left >= floor * _SLACK]
        rows = rows[scores[rows] >= _kth(scores[rows], k, np.float32(0))]
        return rows, scores[rows]

    def _add(
        self,
        part: int,
        term: tuple[np.float32, Postings],
        rows: NDArray[np.int64],
        scores: NDArray[np.float32],
    ) -> None:
        """Add what a term gives to some rows, ascending."""
        weight, postings = term
        if len(rows) * _LOOKUP < len(postings.rows):
            at, there = _found(postings.rows, rows)
            postings = Postings(postings.rows[at[there]], postings.counts[at[there]])
        scores[postings.rows] += self._scores(part, weight, postings)

    def _first(
        self, found: Sequence[tuple[int, NDArray[np.int64], NDArray[np.float32]]], k: int
    ) -> list[tuple[float, int, int]]:
        """The best k as (score, part, row), best first; ties in the order of ids."""
        scores = np.concatenate([np.zeros(0, np.float32), *(scores for _, _, scores in found)])
        least = _kth(scores, k, np.float32(0))
        kept = [(part, rows[own >= least], own[own >= least]) for part, rows, own in found]
        if self._names is None or len(self._parts) == 1:  # rows are in the order of ids
            pairs = [
                (-score, part, row)
                for part, rows, own in kept
                for score, row in zip(own.tolist(), rows.tolist(), strict=True)
            ]
            return [(-score, part, row) for score, part, row in sorted(pairs)[:k]]
        best: list[tuple[float, str, int, int]] = []
        even = _even(np.concatenate([np.zeros(0, np.float32), *(own for _, _, own in kept)]))
        for part, rows, own in kept:
            names = [""] * len(rows)
            tied, even = np.flatnonzero(even[: len(own)]).tolist(), even[len(own) :]
            if tied:  # ids are looked up only where they decide
                for place, name in zip(tied, self._names(part, rows[tied].tolist()), strict=True):
                    names[place] = name
            best += [
                (-score, name, part, row) for score, name, row in zip(own.tolist(), names, rows.tolist(), strict=True)
            ]
        return [(-score, part, row) for score, _, part, row in sorted(best)[:k]]

    def _matched(
        self, best: Sequence[tuple[float, int, int]], terms: Sequence[_Term]
    ) -> dict[tuple[int, int], tuple[str, ...]]:
        """The matched terms of each hit, strongest first: one search per term for all rows of a part together."""
        found: dict[tuple[int, int], tuple[str, ...]] = {}
        for part in {part for _, part, _ in best}:
            rows = np.array(sorted(row for _, own, row in best if own == part), dtype=np.int64)
            gains = np.zeros((len(terms), len(rows)), dtype=np.float32)
            in_order = sorted(terms, key=lambda term: term.token)  # of those that give as much
            for term, gain in zip(in_order, gains, strict=True):
                if (postings := term.postings[part]) is not None:
                    at, there = _found(postings.rows, rows)
                    hits = Postings(postings.rows[at[there]], postings.counts[at[there]])
                    gain[there] = self._scores(part, term.weight, hits)
            counts = (gains > 0).sum(axis=0).tolist()
            places = (-gains).argsort(axis=0, kind="stable")[: max(counts)].T.tolist()
            tokens = [term.token for term in in_order]
            for row, strongest, count in zip(rows.tolist(), places, counts, strict=True):
                found[part, row] = tuple([tokens[place] for place in strongest[:count]])
        return found


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _found(rows: NDArray[np.uint32], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], Mask]:
    """Where rows stand in ascending postings, and which of them do."""
    at = np.minimum(rows.searchsorted(wanted.astype(rows.dtype, copy=False)), len(rows) - 1)
    there: Mask = rows[at] == wanted
    return at, there


def _even(scores: NDArray[np.float32]) -> Mask:
    """Return which scores are there more than once."""
    order = scores.argsort()
    same = scores[order[1:]] == scores[order[:-1]]
    even = np.zeros(len(scores), dtype=np.bool_)
    even[order[1:][same]] = even[order[:-1][same]] = True
    return even


def _kth(scores: NDArray[np.float32], k: int, floor: np.float32) -> np.float32:
    """Return the k-th highest of some scores, or a limit that is known already when it is higher."""
    above = scores[scores > floor]
    if len(above) < k:
        return floor
    kth: np.float32 = np.partition(above, len(above) - k)[len(above) - k]
    return kth
