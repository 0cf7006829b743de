"""BM25 over analysed terms, built and persisted by bm25s.

Scores are summed here, so that zero scores never come out, ties are in id order, filters hold before the cut, and every
hit says which terms it matched.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from importlib.metadata import version
from json import dumps, loads
from math import log
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from indexer.errors import IndexFormatError

K1, B = 1.5, 0.75  # bm25s's and Lucene-in-bm25s's defaults; the published BM25 figures of our data sets use them
_MAX_REPEAT = 3  # a query term counts at most so often, which keeps a pasted page from being one word's search
_IDS_NAME = "ids.json"


class LexicalHit(NamedTuple):
    """A chunk that shares terms with the query: BM25 score > 0, matched terms by contribution, strongest first."""

    chunk_id: str
    score: float
    terms: tuple[str, ...]


class LexicalIndex(Protocol):
    """Terms by chunk."""

    @classmethod
    def build(cls, ids: Sequence[str], tokens: Iterable[Sequence[str]]) -> Self:
        """Index chunks; `tokens` has one list of terms per id."""
        ...

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `save` wrote. Raises IndexFormatError on damage."""
        ...

    def save(self, folder: Path) -> None:
        """Write to an existing folder: npy and JSON only."""
        ...

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


class Bm25sIndex:
    """The default engine: bm25s with Lucene's idf (never negative), scored eagerly at build time."""

    def __init__(
        self, ids: Sequence[str], vocabulary: dict[str, int], scores: dict[str, NDArray[Any]], model: Any
    ) -> None:
        self._ids = list(ids)
        self._vocabulary = vocabulary
        self._data, self._chunks, self._starts = scores["data"], scores["indices"], scores["indptr"]
        self._rows: dict[str, int] | None = None
        self._model = model

    @classmethod
    def build(cls, ids: Sequence[str], tokens: Iterable[Sequence[str]]) -> Self:
        """Index chunks in the order of their ids.

        Raises:
            ValueError: If the numbers of ids and of token lists differ.
        """
        order = sorted(range(len(ids)), key=ids.__getitem__)
        lists = list(tokens)
        if len(lists) != len(ids):
            raise ValueError(f"{len(lists)} lists of terms for {len(ids)} ids; expected one list per id")
        ordered = [ids[row] for row in order]
        if not any(lists):
            empty: dict[str, NDArray[Any]] = {
                "data": np.zeros(0, np.float32),
                "indices": np.zeros(0, np.int32),
                "indptr": np.zeros(1, np.int64),
            }
            return cls(ordered, {}, empty, None)
        import bm25s

        model = bm25s.BM25(k1=K1, b=B, method="lucene")
        model.index([lists[row] for row in order], show_progress=False, create_empty_token=False)
        return cls(ordered, model.vocab_dict, model.scores, model)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `save` wrote.

        Raises:
            IndexFormatError: If a file is missing or damaged.
        """
        try:
            content = loads((folder / _IDS_NAME).read_text(encoding="utf-8"))
            ids = content["ids"]
            if not content["terms"]:
                return cls.build(ids, [[] for _ in ids])
            import bm25s

            model = bm25s.BM25.load(str(folder), mmap=True)
            index = cls(ids, model.vocab_dict, model.scores, model)
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise IndexFormatError(
                f"the lexical index in {folder} cannot be read ({err}); index again or roll back"
            ) from err
        if len(ids) != model.scores["num_docs"]:
            raise IndexFormatError(
                f"{folder} holds {len(ids)} ids for {model.scores['num_docs']} chunks; index again or roll back"
            )
        return index

    def save(self, folder: Path) -> None:
        """Write to an existing folder."""
        content = {"engine": self.engine, "terms": len(self._vocabulary), "ids": self._ids}
        (folder / _IDS_NAME).write_text(dumps(content, ensure_ascii=False), encoding="utf-8")
        if self._model is not None:
            self._model.save(str(folder), show_progress=False)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def engine(self) -> str:
        """Library and version."""
        return f"bm25s-{version('bm25s')}"

    def _postings(self, token: str) -> slice | None:
        number = self._vocabulary.get(token)
        return None if number is None else slice(int(self._starts[number]), int(self._starts[number + 1]))

    def idf(self, token: str) -> float | None:
        """Return ln(1 + (N - df + 0.5) / (df + 0.5)), None for a term that is in no chunk."""
        postings = self._postings(token)
        if postings is None or postings.stop == postings.start:
            return None
        df = postings.stop - postings.start
        return log(1 + (len(self._ids) - df + 0.5) / (df + 0.5))

    def search(self, tokens: Sequence[str], k: int, *, allowed: Collection[str] | None = None) -> list[LexicalHit]:
        """Return at most k chunks with a score above zero, best first, ties in id order.

        A term that the query repeats counts up to three times.

        Raises:
            ValueError: If k < 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        counts = {token: min(count, _MAX_REPEAT) for token, count in Counter(tokens).items()}
        known = {token: postings for token in counts if (postings := self._postings(token)) is not None}
        scores = np.zeros(len(self._ids), dtype=np.float32)
        for token, postings in known.items():
            scores[self._chunks[postings]] += self._data[postings] * np.float32(counts[token])
        if allowed is not None:
            scores *= self._mask(allowed)
        return [
            LexicalHit(self._ids[row], float(scores[row]), self._matched(int(row), counts, known))
            for row in _top(scores, k)
        ]

    def _mask(self, allowed: Collection[str]) -> NDArray[np.bool_]:
        if self._rows is None:
            self._rows = {chunk_id: row for row, chunk_id in enumerate(self._ids)}
        mask = np.zeros(len(self._ids), dtype=np.bool_)
        mask[[self._rows[chunk_id] for chunk_id in allowed if chunk_id in self._rows]] = True
        return mask

    def _matched(self, row: int, counts: dict[str, int], known: dict[str, slice]) -> tuple[str, ...]:
        contributions: list[tuple[float, str]] = []
        for token, postings in known.items():
            chunks = self._chunks[postings]
            at = int(np.searchsorted(chunks, row))
            if at < len(chunks) and chunks[at] == row:
                contributions.append((-float(self._data[postings.start + at]) * counts[token], token))
        return tuple(token for _, token in sorted(contributions))


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
