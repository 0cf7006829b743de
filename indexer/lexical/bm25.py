"""What a lexical index answers, the numbers of BM25, and the engine of older indexes: finished scores, in the files of bm25s.

Such indexes keep opening and answering; new ones are segments of term frequencies (`lexical.index`). Scores are summed here, so
that zero scores never come out, ties are in id order, filters hold before the cut, and every hit says which terms it matched.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.files import (
    ARRAYS,
    PARAMETERS_NAME,
    VOCABULARY_NAME,
    damaged,
    is_list_of_str,
    read_arrays,
    read_object,
    read_vocabulary,
)

K1, B = 1.5, 0.75  # bm25s's and Lucene-in-bm25s's defaults; the published BM25 figures of our data sets use them
MAX_REPEAT = 3  # a query term counts at most so often, which keeps a pasted page from being one word's search
MAX_TERMS = (
    1024  # different terms of a query that are searched for, the rarest; Lucene's limit, so that time is bounded
)
IDS_NAME = "ids.json"
HAN_SIGN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
MAX_SIGNS = 16  # characters of a query that are looked for inside of words


NOTHING: dict[str, NDArray[Any]] = {  # the scores of an index without terms
    "data": np.zeros(0, np.float32),
    "indices": np.zeros(0, np.int32),
    "indptr": np.zeros(1, np.int64),
}


class LexicalHit(NamedTuple):
    """A chunk that shares terms with the query: BM25 score > 0, matched terms by contribution, strongest first."""

    chunk_id: str
    score: float
    terms: tuple[str, ...]


class LexicalIndex(Protocol):
    """Terms by chunk."""

    def __len__(self) -> int: ...

    @property
    def engine(self) -> str:
        """Library and version."""
        ...

    def idf(self, token: str) -> float | None:
        """Return ln(1 + (N - df + 0.5) / (df + 0.5)), None for a term that is in no chunk."""
        ...

    def search(self, tokens: Sequence[str], k: int, *, allowed: Collection[str] | None = None) -> list[LexicalHit]:
        """Return at most k chunks with a score above zero, best first, ties in id order. Raises ValueError if k < 1."""
        ...

    def having(self, groups: Sequence[Sequence[str]], signs: Sequence[str] = ()) -> frozenset[str]:
        """Return the chunks that have a term of every group and, of every sign, a term that holds it; all without any."""
        ...


class Bm25sIndex:
    """The engine of indexes before 0.3.0: bm25s with Lucene's idf (never negative), scored when they were built."""

    def __init__(self, ids: Sequence[str], vocabulary: Mapping[str, int], scores: Mapping[str, NDArray[Any]]) -> None:
        self._ids = list(ids)
        self._vocabulary = vocabulary
        self._data, self._chunks, self._starts = (np.asarray(scores[name]) for name in ARRAYS)
        self._rows: dict[str, int] | None = None

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what an older version wrote.

        Raises:
            IndexFormatError: If a file is missing or damaged.
        """
        content = read_object(folder / IDS_NAME)
        ids, terms = content.get("ids"), content.get("terms")
        if not isinstance(terms, int) or not is_list_of_str(ids):
            raise damaged(folder / IDS_NAME, f"the keys {sorted(content)}", "a list `ids` and a number `terms`")
        if terms == 0:
            return cls(ids, {}, NOTHING)
        chunks = read_object(folder / PARAMETERS_NAME).get("num_docs")
        if len(ids) != chunks:
            raise damaged(folder / IDS_NAME, f"{len(ids)} ids", f"{chunks}, one per chunk")
        return cls(ids, read_vocabulary(folder / VOCABULARY_NAME, terms), read_arrays(folder, terms))

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def engine(self) -> str:
        """The library whose files they are."""
        return "bm25s"

    def idf(self, token: str) -> float | None:
        """Return ln(1 + (N - df + 0.5) / (df + 0.5)), None for a term that is in no chunk."""
        number = self._vocabulary.get(token)
        df = 0 if number is None else int(self._starts[number + 1] - self._starts[number])
        return log(1 + (len(self._ids) - df + 0.5) / (df + 0.5)) if df else None

    def search(self, tokens: Sequence[str], k: int, *, allowed: Collection[str] | None = None) -> list[LexicalHit]:
        """Return at most k chunks with a score above zero, best first, ties in id order.

        A query of one Han character finds the words that hold it, and so does a query of Han words of which none is in the index.

        A term that the query repeats counts up to three times; of more than 1,024 different terms, the rarest count.

        Raises:
            ValueError: If k < 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        postings = self._postings(tokens)
        if not postings or _is_one_character(tokens):
            postings = self._postings(self._words_with(tokens)) or postings
        if not postings:
            return []
        scores = np.zeros(len(self._ids), dtype=np.float32)
        for one in postings:
            scores[self._chunks[one.where]] += self._data[one.where] * one.times
        if allowed is not None:
            scores *= self._mask(allowed)
        rows = _top(scores, k)
        terms = self._matched(rows, postings)
        return [LexicalHit(self._ids[row], float(scores[row]), terms[row]) for row in rows]

    def having(self, groups: Sequence[Sequence[str]], signs: Sequence[str] = ()) -> frozenset[str]:
        """Return the chunks that have a term of every group and, of every sign, a term that holds it; all without any."""
        wanted = [list(group) for group in groups]
        if signs:
            terms = [term for term in self._vocabulary if not term.isascii()]
            wanted += [[term for term in terms if sign in term] for sign in dict.fromkeys(signs)]
        rows = np.ones(len(self._ids), dtype=np.bool_)
        for group in wanted:
            have = np.zeros(len(self._ids), dtype=np.bool_)
            for term in group:
                if (number := self._vocabulary.get(term)) is not None:
                    have[self._chunks[self._starts[number] : self._starts[number + 1]]] = True
            rows &= have
        return frozenset(self._ids[row] for row in np.flatnonzero(rows).tolist())

    def _words_with(self, tokens: Sequence[str]) -> list[str]:
        """Return the words of the index that hold the query's Han characters, for a query whose own words are not there."""
        wanted = "".join(dict.fromkeys(sign for token in tokens for sign in token if HAN_SIGN.match(sign)))[:MAX_SIGNS]
        if not wanted:
            return []
        holds = re.compile(f"[{wanted}]")
        return [word for word in self._vocabulary if holds.search(word)]

    def _postings(self, tokens: Sequence[str]) -> list["_Postings"]:
        """The query's terms that the index knows, in the order of the query, at most MAX_TERMS of them."""
        counts = {token: count for token, count in Counter(tokens).items() if token in self._vocabulary}
        numbers = np.fromiter((self._vocabulary[token] for token in counts), dtype=np.int64, count=len(counts))
        starts, stops = self._starts[numbers], self._starts[numbers + 1]
        if len(counts) > MAX_TERMS:
            rarest = np.sort(np.argsort(stops - starts, kind="stable")[:MAX_TERMS])
            names = list(counts)
            counts = {names[place]: counts[names[place]] for place in rarest}
            starts, stops = starts[rarest], stops[rarest]
        return [
            _Postings(token, slice(start, stop), np.float32(min(count, MAX_REPEAT)))
            for (token, count), start, stop in zip(counts.items(), starts.tolist(), stops.tolist(), strict=True)
            if stop > start
        ]

    def _mask(self, allowed: Collection[str]) -> NDArray[np.bool_]:
        if self._rows is None:
            self._rows = {chunk_id: row for row, chunk_id in enumerate(self._ids)}
        mask = np.zeros(len(self._ids), dtype=np.bool_)
        mask[[self._rows[chunk_id] for chunk_id in allowed if chunk_id in self._rows]] = True
        return mask

    def _matched(self, rows: Sequence[int], postings: Sequence["_Postings"]) -> dict[int, tuple[str, ...]]:
        """The matched terms of each row, strongest first: one binary search per term for all rows together."""
        found: dict[int, list[tuple[float, str]]] = {row: [] for row in rows}
        wanted = np.sort(np.asarray(rows, dtype=self._chunks.dtype))
        for token, where, times in postings:
            chunks = self._chunks[where]
            at = np.searchsorted(chunks, wanted)
            at[at == len(chunks)] = 0
            hit = np.flatnonzero(chunks[at] == wanted)
            contributions = self._data[where][at[hit]] * times
            for row, contribution in zip(wanted[hit].tolist(), contributions.tolist(), strict=True):
                found[row].append((-contribution, token))
        return {row: tuple(token for _, token in sorted(terms)) for row, terms in found.items()}


def _is_one_character(tokens: Sequence[str]) -> bool:
    return len(tokens) == 1 and HAN_SIGN.fullmatch(tokens[0]) is not None


class _Postings(NamedTuple):
    """One term of a query: where its postings stand, and how often it counts."""

    token: str
    where: slice
    times: np.float32


def _top(scores: NDArray[np.float32], k: int) -> list[int]:
    """Rows of the k highest positive scores; ties, at the cut too, by row, which is id order."""
    positive = int(np.count_nonzero(scores > 0))
    k = min(k, positive)
    if k == 0:
        return []
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero((scores >= threshold) & (scores > 0))
    order = np.lexsort((candidates, -scores[candidates]))
    return [int(row) for row in candidates[order[:k]]]
