"""The passages that are on one scale of similarities: all of an index, or in an index of two languages those of one.

Similarities with two languages are on two scales. In an index of two, cosines are those of passages in the language of the best
one alone, the random ones too: as in an index of that language.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.opened import Index
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.centroids import major_languages
from quarry.retriever.answers.refusals.signals import LOOKED_AT
from quarry.retriever.results import Result

_SAMPLE = 160  # random passages for the scale of cosines: its deviation is then known to about 6 %
_LEAST_SAMPLE = 20  # below it there is no scale, and words alone are weighed


@dataclass(frozen=True, eq=False)
class OneLanguage:
    """The passages in one of two languages."""

    ids: frozenset[str]
    ordered: tuple[str, ...]


_LANGUAGES: WeakKeyDictionary[ChunkTable, tuple[OneLanguage, ...]] = WeakKeyDictionary()  # of indexes that are open


def alike_of(results: Sequence[Result], index: Index) -> OneLanguage | None:
    """Return the passages in the language of the best result.

    None where all are alike: one language, or too few passages of this one for a scale of its own.
    """
    probes = index.manifest.probes
    if not results or probes is None or len(probes.languages) < 2:
        return None
    if index.chunks not in _LANGUAGES:
        members = major_languages(index.chunks.languages()).values()
        large = [ids for ids in members if len(ids) >= _LEAST_SAMPLE + LOOKED_AT]
        _LANGUAGES[index.chunks] = tuple(OneLanguage(ids, tuple(sorted(ids))) for ids in large)
    return next((one for one in _LANGUAGES[index.chunks] if results[0].chunk_id in one.ids), None)


def among(results: Sequence[Result], alike: OneLanguage | None) -> list[Result]:
    """Return the results in that language; all of them for None."""
    return [result for result in results if alike is None or result.chunk_id in alike.ids]


def scale_of(
    vector: NDArray[np.float32], index: Index, but: set[str], alike: OneLanguage | None
) -> tuple[float, float] | None:
    """Return median and robust deviation of a question's cosines with random passages, the same ones at every call.

    Args:
        vector: The question's embedding, shape (dim,).
        index: Where the passages are.
        but: Passages that are left out, such as those that were found.
        alike: The language that the passages are drawn from; None draws from all.

    Returns:
        None without vectors, with fewer than 20 passages to draw, or where all are equally close.
    """
    store = index.vectors
    if store is None:
        return None
    ids = store.ids if alike is None else alike.ordered
    count = min(len(ids), _SAMPLE + len(but))
    sample = {ids[row] for row in Random(0).sample(range(len(ids)), count)} - but
    if len(sample) < _LEAST_SAMPLE:
        return None
    (found,) = store.search(vector[np.newaxis], len(sample), allowed=sample)
    low, middle, high = np.quantile([neighbour.similarity for neighbour in found], [0.16, 0.5, 0.84])
    deviation = float(high - low) / 2  # of a normal distribution these quantiles are one deviation off
    return (float(middle), deviation) if deviation > 0 else None
