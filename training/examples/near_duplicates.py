"""Texts that are almost the same, in Chinese and English: an exact join over character n-grams. It deletes nothing.

A text becomes the set of its n-grams: pairs of characters where there is a Han one, else triples, with words padded by
spaces; case, width and punctuation do not count. Two texts are near duplicates when the Jaccard similarity of their sets
reaches a threshold.

The join is exact: instead of MinHash, which misses pairs near the threshold by chance, each set is indexed under its rarest
n-grams only ("prefix filtering", Chaudhuri, Ganti and Kaushik, ICDE 2006; Bayardo, Ma and Srikant, WWW 2007). Two sets of
similarity t must share one of the first n - ceil(t n) + 1, so no pair is lost, and a guard built on it proves what it says.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import NamedTuple, TypeAlias
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

Shingles: TypeAlias = NDArray[np.uint64]
"""Hashed n-grams of a text, shape (n,), increasing, each once; empty for a text without letters and digits."""

_HAN_FROM = 0x2E80  # from here on one character is about one word: radicals, kana, Han, Hangul
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9))
_NO_WORD = re.compile(r"[\W_]+")
_EPSILON = 1e-9  # so that ceil(0.8 * 5) is 4


class NearDuplicate(NamedTuple):
    """Two texts by their places, and the Jaccard similarity of their n-grams, in [0, 1]."""

    first: int
    second: int
    similarity: float


def shingles(text: str) -> Shingles:
    """Return the hashed n-grams of a text."""
    words = _NO_WORD.sub(" ", normalize("NFKC", text).casefold()).strip(" ")
    if not words:
        return np.zeros(0, np.uint64)
    codes = np.frombuffer(f" {words} ".encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    han, space = codes >= _HAN_FROM, codes == ord(" ")
    pair = codes[:-1] * _MIX[0] + codes[1:] * _MIX[1]
    triple = pair[:-1] + codes[2:] * _MIX[2]
    pairs = pair[(han[:-1] | han[1:]) & ~(space[:-1] | space[1:])]
    triples = triple[~(han[:-2] | han[1:-1] | han[2:])]
    alone = codes[1:-1][han[1:-1] & space[:-2] & space[2:]] * _MIX[0]  # one Han character between spaces
    found = np.concatenate([pairs, triples, alone])
    found ^= found >> np.uint64(29)
    found.sort()
    first = np.ones(len(found), np.bool_)
    np.not_equal(found[1:], found[:-1], out=first[1:])
    return found[first]


def jaccard(first: Shingles, second: Shingles) -> float:
    """Return the share of n-grams that two texts have in common, in [0, 1]; 0 when one has none."""
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common) if common else 0.0


def near_duplicates(texts: Sequence[str], threshold: float) -> Iterator[NearDuplicate]:
    """Yield pairs (`first` < `second`) of similarity `threshold` and more.

    Of texts with equal sets only the first is compared with others, and each of the rest comes with that first one: enough
    to join them into groups.

    Raises:
        ValueError: If the threshold is not in (0, 1].
    """
    index = _Index([shingles(text) for text in texts], threshold)
    equal: dict[bytes, int] = {}
    for row, items in enumerate(index.sets):
        if not len(items):
            continue
        first = equal.setdefault(items.tobytes(), row)
        if first != row:
            yield NearDuplicate(first, row, 1.0)
        else:
            yield from index.like(items, row)
            index.add(row)


def near_duplicates_between(texts: Sequence[str], others: Sequence[str], threshold: float) -> Iterator[NearDuplicate]:
    """Yield all pairs of similarity `threshold` and more of one of the texts (`first`) and one of the others (`second`).

    Raises:
        ValueError: If the threshold is not in (0, 1].
    """
    index = _Index([shingles(text) for text in (*texts, *others)], threshold)
    for row in range(len(texts)):
        index.add(row)
    for row in range(len(others)):
        yield from index.like(index.sets[len(texts) + row], row)


def components(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Join places into groups.

    Args:
        count: How many places there are.
        links: Pairs of places that belong together.

    Returns:
        For each place the smallest one of its group, shape (count,).
    """
    parent = list(range(count))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for first, second in links:
        one, other = sorted((root(first), root(second)))
        parent[other] = one
    return [root(place) for place in range(count)]


class _Index:
    """Sets of n-grams, some of them indexed under their rarest ones.

    Raises:
        ValueError: If the threshold is not in (0, 1].
    """

    def __init__(self, sets: Sequence[Shingles], threshold: float) -> None:
        if not 0 < threshold <= 1:
            raise ValueError(f"the similarity threshold is {threshold}; expected a number above 0 and up to 1")
        self.sets = sets
        self._threshold = threshold
        self._rows: dict[int, list[int]] = defaultdict(list)
        whole = np.concatenate(sets) if sets else np.zeros(0, np.uint64)
        self._items, counts = np.unique(whole, return_counts=True)
        self._rank = np.empty(len(counts), dtype=np.int64)
        self._rank[np.argsort(counts, kind="stable")] = np.arange(len(counts))

    def add(self, row: int) -> None:
        """Index one of the sets."""
        for item in self._prefix(self.sets[row]):
            self._rows[item].append(row)

    def like(self, items: Shingles, second: int) -> Iterator[NearDuplicate]:
        """Yield the indexed sets that are like this one."""
        for first in sorted({row for item in self._prefix(items) for row in self._rows.get(item, ())}):
            sizes = sorted((len(self.sets[first]), len(items)))
            if sizes[0] >= self._threshold * sizes[1] - _EPSILON:
                similarity = jaccard(self.sets[first], items)
                if similarity >= self._threshold - _EPSILON:
                    yield NearDuplicate(first, second, similarity)

    def _prefix(self, items: Shingles) -> list[int]:
        """Return the ranks of the rarest n-grams of a set, one of which every set of this similarity shares."""
        if not len(items):
            return []
        length = len(items) - ceil(self._threshold * len(items) - _EPSILON) + 1
        ranks = self._rank[np.searchsorted(self._items, items)]
        rarest: list[int] = np.sort(ranks)[:length].tolist()
        return rarest
