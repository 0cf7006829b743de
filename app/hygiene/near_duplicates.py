"""Documents that are nearly the same: MinHash finds candidates, their shingles decide.

Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", chapter 3. A shingle is five words in a row, where a Chinese character counts as a word.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.lexical.normalization import normalized

ALIKE = 0.8
"""Share of common shingles from which two documents are nearly the same."""
_WORDS = 5
_BANDS, _ROWS = 16, 4  # two documents with 0.8 in common meet in a band with a probability of 0.9998
_PRIME = np.uint64((1 << 31) - 1)
_LARGEST = 2_000  # documents of one band value that are compared with each other; more are boilerplate
_TOKEN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3400-\u9fff]+")

Shingles = NDArray[np.uint64]


def near_duplicates(documents: Iterable[tuple[str, str]], read: Callable[[str], str]) -> list[list[str]]:
    """Return groups of documents that are nearly the same, the largest first.

    Args:
        documents: Ids with their texts, read one after another.
        read: Returns the text of an id again, for candidates.
    """
    bands: dict[tuple[int, bytes], list[str]] = defaultdict(list)
    for doc_id, text in documents:
        signature = _signature(shingles(text))
        if signature is None:
            continue
        for band in range(_BANDS):
            bands[band, signature[band * _ROWS : (band + 1) * _ROWS].tobytes()].append(doc_id)
    candidates = {
        pair for members in bands.values() if 1 < len(members) <= _LARGEST for pair in combinations(sorted(members), 2)
    }
    kept: dict[str, Shingles] = {}

    def of(doc_id: str) -> Shingles:
        if doc_id not in kept:
            kept[doc_id] = shingles(read(doc_id))
        return kept[doc_id]

    return _groups([pair for pair in sorted(candidates) if resemblance(of(pair[0]), of(pair[1])) >= ALIKE])


def shingles(text: str) -> Shingles:
    """Return the hashes of a text's shingles, sorted, each once; of a short text that of the whole."""
    words = _TOKEN.findall(normalized(text).casefold())
    if not words:
        return np.zeros(0, dtype=np.uint64)
    count = max(1, len(words) - _WORDS + 1)
    return np.unique(
        np.array([crc32("\x1f".join(words[at : at + _WORDS]).encode()) for at in range(count)], dtype=np.uint64)
    )


def resemblance(one: Shingles, other: Shingles) -> float:
    """Return the share of common shingles, in [0, 1]."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common or 1)


def _signature(found: Shingles) -> NDArray[np.uint64] | None:
    if not len(found):
        return None
    chance = np.random.default_rng(1997)
    factors = chance.integers(1, int(_PRIME), _BANDS * _ROWS, dtype=np.uint64)
    offsets = chance.integers(0, int(_PRIME), _BANDS * _ROWS, dtype=np.uint64)
    small = found % _PRIME
    return np.array(
        [((small * factor + offset) % _PRIME).min() for factor, offset in zip(factors, offsets, strict=True)]
    )


def _groups(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    owner: dict[str, str] = {}

    def root(name: str) -> str:
        while owner.setdefault(name, name) != name:
            name = owner[name]
        return name

    for one, other in pairs:
        owner[root(other)] = root(one)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in owner:
        groups[root(name)].append(name)
    return sorted((sorted(group) for group in groups.values()), key=lambda group: (-len(group), group))
