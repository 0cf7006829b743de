"""Documents that are nearly the same: MinHash finds candidates, their shingles decide.

A shingle is five words in a row, where a Chinese character counts as a word (Broder, "On the resemblance and containment of
documents", 1997). The n-grams of characters that find copies of questions and passages (`quarry.training.examples.near_duplicates`)
do not tell long documents apart: most of them have most n-grams of their language.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import combinations
from zlib import crc32

import numpy as np

from quarry.indexer.lexical.normalization import normalized
from quarry.training.examples.near_duplicates import Shingles, components, jaccard
from quarry.training.pairs.filters.minhash import bands

ALIKE = 0.8
"""Share of common shingles from which two documents are nearly the same."""
_WORDS = 5
_BANDS = 16  # two documents with 0.8 in common meet in a band with a probability of 0.9998
_LARGEST = 2_000  # documents of one band value that are compared with each other; more are boilerplate
_TOKEN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3400-\u9fff]+")


def near_duplicates(documents: Iterable[tuple[str, str]], read: Callable[[str], str]) -> list[list[str]]:
    """Return groups of documents that are nearly the same, the largest first.

    Args:
        documents: Ids with their texts, read one after another.
        read: Returns the text of an id again, for candidates.
    """
    members: dict[tuple[int, int], list[str]] = defaultdict(list)
    for doc_id, text in documents:
        found = shingles(text)
        if len(found):
            for place, band in enumerate(bands(found, count=_BANDS)):
                members[place, int(band)].append(doc_id)
    candidates = {
        pair for names in members.values() if 1 < len(names) <= _LARGEST for pair in combinations(sorted(names), 2)
    }

    @cache
    def of(doc_id: str) -> Shingles:
        return shingles(read(doc_id))

    return _groups([pair for pair in sorted(candidates) if jaccard(of(pair[0]), of(pair[1])) >= ALIKE])


def shingles(text: str) -> Shingles:
    """Return the hashes of a text's shingles, sorted, each once; of a short text that of the whole."""
    words = _TOKEN.findall(normalized(text).casefold())
    if not words:
        return np.zeros(0, dtype=np.uint64)
    count = max(1, len(words) - _WORDS + 1)
    return np.unique(
        np.array([crc32("\x1f".join(words[at : at + _WORDS]).encode()) for at in range(count)], dtype=np.uint64)
    )


def _groups(pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    names = sorted({name for pair in pairs for name in pair})
    places = {name: place for place, name in enumerate(names)}
    groups: dict[int, list[str]] = defaultdict(list)
    for name, first in zip(names, components(len(names), ((places[a], places[b]) for a, b in pairs)), strict=True):
        groups[first].append(name)
    return sorted(groups.values(), key=lambda group: (-len(group), group))
