"""Signals of how well one search went: numbers that mean the same in every index and under every model.

A cosine says nothing by itself: with one model unrelated texts are at 0.75, with another at 0.1. So the best cosine is put
on the scale of the question's cosines with random passages of the same index (a robust z-score), and what BM25 matched on
the scale of all that the question holds. Nothing here decides; `quarry.retriever.answers.evidence` does.

Similarities with two languages are on two scales. In an index of two, cosines are those of passages in the language of the best
one alone, the random ones too: as in an index of that language.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log, log1p
from random import Random
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build.languages import major_languages
from quarry.indexer.errors import IndexFormatError, ModelError
from quarry.indexer.language import language_of
from quarry.indexer.opened import Index
from quarry.indexer.storage.chunk_table import ChunkTable
from quarry.retriever.rerankers.late_interaction import LateInteraction
from quarry.retriever.results import Result

LOOKED_AT = 10  # results of a search that count, however many were asked for
_BEST = 3  # passages whose words are compared with the question's
_SAMPLE = 160  # random passages for the scale of cosines: its deviation is then known to about 6 %
_LEAST_SAMPLE = 20  # below it there is no scale, and words alone are weighed
_NEAREST = 25  # passages that the best one is compared with, as where languages are ranked together
_RIVAL = 5  # the lead is measured against the fifth best: duplicates of the best are no rivals


@dataclass(frozen=True, eq=False)
class _Language:
    """The passages in one of two languages."""

    ids: frozenset[str]
    ordered: tuple[str, ...]


_LANGUAGES: WeakKeyDictionary[ChunkTable, tuple[_Language, ...]] = WeakKeyDictionary()  # of indexes that are open


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one search.

    Attributes:
        closeness: How many deviations the best cosine is above those of random passages; None without vectors.
        lead: The same between the best and the fifth best cosine; None without vectors.
        size: Natural logarithm of the number of passages, of two languages in that of the best: the best of many is closer by chance
            alone.
        cover: Largest share, in [0, 1], of the question's idf mass that one of the three best passages has.
        cover_all: The share that the three best passages have together.
        known: The share that the index has anywhere.
        agree: 1 when the passage of the best cosine also has the best BM25 score among the results, else 0.
        foreign: 1 when the best passage is in the other language than the question, so that words cannot match, else 0.
        terms: Logarithm of one plus the number of the question's different terms.
        standout: How many deviations the best cosine is above the mean of the 25 best passages; None unless the best passage is in
            the other language and the index has token states.
        tokens: Best MaxSim of a passage in the language of the best one, in [-1, 1]; None as `standout`.
    """

    closeness: float | None
    lead: float | None
    size: float
    cover: float
    cover_all: float
    known: float
    agree: float
    foreign: float
    terms: float
    standout: float | None = None
    tokens: float | None = None


def observe(
    question: str,
    results: Sequence[Result],
    index: Index,
    vector: NDArray[np.float32] | None,
    late: LateInteraction | None = None,
) -> Signals:
    """Return the signals of a search.

    Args:
        question: What was asked.
        results: What was found, best first.
        index: Where.
        vector: The question's embedding, shape (dim,); None weighs words alone.
        late: Compares the question's tokens with those of passages; None where the index has no token states.
    """
    return Observed(question, results, index, vector, late).whole()


class Observed:
    """One search as it is observed; what several of its signals need is found once.

    Example:
        >>> from quarry.retriever import Searcher
        >>> searcher = Searcher.open("my-index")
        >>> found = searcher.search("Where does the Rhine begin?")
        >>> observed = Observed(found.query.text, found.results, searcher.index, None)
        >>> observed.whole().cover == observed.each()[0].cover
        True
    """

    def __init__(
        self,
        question: str,
        results: Sequence[Result],
        index: Index,
        vector: NDArray[np.float32] | None,
        late: LateInteraction | None = None,
    ) -> None:
        """Take what `observe` takes."""
        self._question, self._results, self._index, self._vector = question, results, index, vector
        self._late = late
        self._weights = _term_weights(question, index)
        self._held = _held(results, self._weights, index)
        self._scales: dict[_Language | None, tuple[float, float] | None] = {}
        self._heads: dict[_Language | None, list[float]] = {}

    def whole(self) -> Signals:
        """Return the signals of the search."""
        seen = self._results[:LOOKED_AT]
        mass = sum(self._weights.values()) or 1.0
        best = [self._held[result.chunk_id] for result in seen[:_BEST]]
        foreign = _foreign(self._question, seen[:1])
        alike = _alike(seen, self._index)
        closeness, lead = self._distances(alike)
        return Signals(
            closeness=closeness,
            lead=lead,
            size=self._size(alike),
            cover=max(map(self._share, best), default=0.0),
            cover_all=self._share(frozenset().union(*best)),
            known=sum(weight for term, weight in self._weights.items() if self._index.lexical.idf(term) is not None)
            / mass,
            agree=_agreement(seen),
            foreign=foreign,
            terms=log1p(len(self._weights)),
            standout=self._standout(seen, alike) if foreign and closeness is not None else None,
            tokens=self._best_met(seen, alike) if foreign and closeness is not None else None,
        )

    def each(self) -> list[Signals]:
        """Return for each result the signals of the search as if that result were its best one."""
        whole, cosines = self.whole(), self._cosines
        both = max(cosines, key=lambda chunk_id: cosines[chunk_id]) if cosines and whole.agree else ""
        found = []
        for result in self._results:
            foreign = _foreign(self._question, [result])
            alike = _alike([result], self._index)
            closeness, lead = self._distances_of(result, alike)
            cover = self._share(self._held[result.chunk_id])
            found.append(
                replace(
                    whole,
                    closeness=closeness,
                    lead=lead,
                    size=self._size(alike),
                    cover=cover,
                    cover_all=cover,
                    agree=float(result.chunk_id == both),
                    foreign=foreign,
                    standout=self._standout([result], alike) if foreign and closeness is not None else None,
                    tokens=self._met.get(result.chunk_id) if foreign and closeness is not None else None,
                )
            )
        return found

    def _standout(self, results: Sequence[Result], alike: _Language | None) -> float | None:
        """How far the best cosine of some results is above the mean of the best passages that are no nearer."""
        near = [self._cosines[r.chunk_id] for r in _among(results, alike) if r.chunk_id in self._cosines]
        if not near or not self._met or (scale := self._scale(alike)) is None:
            return None
        best = max(near)
        following = [cosine for cosine in self._nearest(alike) if cosine <= best][:_NEAREST]
        return (best - sum(following) / len(following)) / scale[1] if following else None

    def _nearest(self, alike: _Language | None) -> list[float]:
        """The cosines of the nearest passages in a language, those that were found and some more."""
        if alike not in self._heads:
            store, vector = self._index.vectors, self._vector
            count = _NEAREST + len(self._results)
            found = []
            if store is not None and vector is not None:
                (found,) = store.search(vector[np.newaxis], count, allowed=alike.ids if alike else None)
            self._heads[alike] = [float(neighbour.similarity) for neighbour in found]
        return self._heads[alike]

    def _best_met(self, results: Sequence[Result], alike: _Language | None) -> float | None:
        return max((self._met[r.chunk_id] for r in _among(results, alike) if r.chunk_id in self._met), default=None)

    @cached_property
    def _met(self) -> dict[str, float]:
        """MaxSim of the results that are looked at; none where their token states cannot be read."""
        ids = [result.chunk_id for result in self._results[:LOOKED_AT]]
        if self._late is None or self._vector is None or not ids:
            return {}
        try:
            found = self._late.similarities(self._question, ids)
        except (IndexFormatError, ModelError):  # the search says why in its report; cosines alone are weighed
            return {}
        return dict(zip(ids, found.tolist(), strict=True))

    def _share(self, terms: Collection[str]) -> float:
        """The share of the terms' weight."""
        mass = sum(self._weights.values())
        return sum(weight for term, weight in self._weights.items() if term in terms) / mass if mass else 0.0

    def _size(self, alike: _Language | None) -> float:
        return log(max(1, len(self._index.lexical) if alike is None else len(alike.ids)))

    def _distances(self, alike: _Language | None) -> tuple[float, float] | tuple[None, None]:
        """How far the best cosine that dense search brought is above random ones, and above the fifth."""
        near = _among(self._results[:LOOKED_AT], alike)
        cosines = [result.evidence.dense.score for result in near if result.evidence.dense]
        return self._placed(max(cosines, default=0.0), cosines, alike)

    def _distances_of(self, result: Result, alike: _Language | None) -> tuple[float, float] | tuple[None, None]:
        """The same of one result, whether dense search brought it or not."""
        own = self._cosines.get(result.chunk_id)
        if own is None:
            return None, None
        seen = [result.chunk_id for result in _among(self._results[:LOOKED_AT], alike)]
        return self._placed(own, [self._cosines[one] for one in seen if one in self._cosines] or [own], alike)

    def _placed(
        self, cosine: float, rivals: Sequence[float], alike: _Language | None
    ) -> tuple[float, float] | tuple[None, None]:
        if not rivals or (scale := self._scale(alike)) is None:
            return None, None
        middle, deviation = scale
        rival = sorted(rivals, reverse=True)[min(_RIVAL, len(rivals)) - 1]
        return (cosine - middle) / deviation, (cosine - rival) / deviation

    def _scale(self, alike: _Language | None) -> tuple[float, float] | None:
        if self._vector is None:
            return None
        if alike not in self._scales:
            near = {result.chunk_id for result in _among(self._results[:LOOKED_AT], alike)}
            self._scales[alike] = _scale(self._vector, self._index, near, alike)
        return self._scales[alike]

    @cached_property
    def _cosines(self) -> dict[str, float]:
        """The question's cosine with every result, also with those that the dense stage did not bring."""
        if self._vector is None or self._index.vectors is None or not self._results:
            return {}
        ids = {result.chunk_id for result in self._results}
        (found,) = self._index.vectors.search(self._vector[np.newaxis], len(ids), allowed=ids)
        return {neighbour.chunk_id: float(neighbour.similarity) for neighbour in found}


def _term_weights(question: str, index: Index) -> dict[str, float]:
    """The question's different terms, stop words left out, with their idf; one that occurs nowhere is as rare as possible."""
    nowhere = log(1 + (len(index.lexical) + 0.5) / 0.5)
    terms = dict.fromkeys(index.analyzer.query_tokens(question))
    return {term: nowhere if (idf := index.lexical.idf(term)) is None else idf for term in terms}


def _held(results: Sequence[Result], weights: Collection[str], index: Index) -> dict[str, frozenset[str]]:
    """The terms of the question that each result has, by the index of terms: passages are not cut into words again."""
    ids = [result.chunk_id for result in results]
    if not ids or not weights:
        return dict.fromkeys(ids, frozenset())
    found = index.lexical.search(list(weights), len(ids), allowed=set(ids))
    terms = {hit.chunk_id: frozenset(hit.terms) for hit in found}
    return {chunk_id: terms.get(chunk_id, frozenset()) for chunk_id in ids}


def _alike(results: Sequence[Result], index: Index) -> _Language | None:
    """The passages in the language of the best result; None where all are alike: one language, or too few for a scale of its own."""
    probes = index.manifest.probes
    if not results or probes is None or len(probes.languages) < 2:
        return None
    if index.chunks not in _LANGUAGES:
        members = major_languages(index.chunks.languages()).values()
        large = [ids for ids in members if len(ids) >= _LEAST_SAMPLE + LOOKED_AT]
        _LANGUAGES[index.chunks] = tuple(_Language(ids, tuple(sorted(ids))) for ids in large)
    return next((one for one in _LANGUAGES[index.chunks] if results[0].chunk_id in one.ids), None)


def _among(results: Sequence[Result], alike: _Language | None) -> list[Result]:
    return [result for result in results if alike is None or result.chunk_id in alike.ids]


def _scale(
    vector: NDArray[np.float32], index: Index, but: set[str], alike: _Language | None
) -> tuple[float, float] | None:
    """Median and robust deviation of the question's cosines with random passages, the same ones at every call."""
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


def _agreement(results: Sequence[Result]) -> float:
    dense = [(r.evidence.dense.score, r.chunk_id) for r in results if r.evidence.dense]
    bm25 = [(r.evidence.bm25.score, r.chunk_id) for r in results if r.evidence.bm25]
    return float(bool(dense and bm25) and max(dense)[1] == max(bm25)[1])


def _foreign(question: str, results: Sequence[Result]) -> float:
    languages = {language_of(result.text) for result in results}
    return float((language_of(question), languages) in (("zh", {"en"}), ("en", {"zh"})))
