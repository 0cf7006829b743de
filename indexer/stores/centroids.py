"""Which languages of an index have a centroid, the mean of their vectors, and what centroids say of a question.

`quarry.indexer.build.measuring.languages` measures with them, and searches use what was measured.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors

_NAMES = ("en", "zh")  # others are too different among themselves for one mean
_LEAST_PASSAGES, _LEAST_SHARE = 8, 0.02  # of a language that gets a centroid


def major_languages(languages: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return the passages of each language that is common enough for a centroid, by its name; passage id -> language is given."""
    common = common_languages(Counter(languages.values()))
    return {name: frozenset(key for key, found in languages.items() if found == name) for name in common}


def common_languages(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the languages that are common enough for a centroid, out of passages by language."""
    least = max(_LEAST_PASSAGES, _LEAST_SHARE * sum(counts.values()))
    return {name: counts.get(name, 0) for name in _NAMES if counts.get(name, 0) >= least}


def lead_of(questions: Vectors, own: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much lower the mean similarity with another language is, at least 0, shape (len(questions),)."""
    lead: NDArray[np.float64] = np.maximum(0, (questions @ (own - other)).astype(np.float64))
    return lead
