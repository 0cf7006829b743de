"""One search as it is observed: its signals, as a whole and as if each of its results were the best one."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from math import log, log1p

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import IndexFormatError, ModelError
from quarry.indexer.language import language_of
from quarry.indexer.opened import Index
from quarry.retriever.answers.refusals.one_language import OneLanguage, alike_of, among, scale_of
from quarry.retriever.answers.refusals.signals import LOOKED_AT, Signals
from quarry.retriever.rerankers.late_interaction import LateInteraction
from quarry.retriever.results import Result

_BEST = 3  # passages whose words are compared with the question's
_NEAREST = 25  # passages that the best one is compared with, as where languages are ranked together
_RIVAL = 5  # the lead is measured against the fifth best: duplicates of the best are no rivals


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
        self._scales: dict[OneLanguage | None, tuple[float, float] | None] = {}
        self._heads: dict[OneLanguage | None, list[float]] = {}

    def whole(self) -> Signals:
        """Return the signals of the search."""
        seen = self._results[:LOOKED_AT]
        mass = sum(self._weights.values()) or 1.0
        best = [self._held[result.chunk_id] for result in seen[:_BEST]]
        foreign = _foreign(self._question, seen[:1])
        alike = alike_of(seen, self._index)
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
            alike = alike_of([result], self._index)
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

    def _standout(self, results: Sequence[Result], alike: OneLanguage | None) -> float | None:
        """How far the best cosine of some results is above the mean of the best passages that are no nearer."""
        near = [self._cosines[r.chunk_id] for r in among(results, alike) if r.chunk_id in self._cosines]
        if not near or not self._met or (scale := self._scale(alike)) is None:
            return None
        best = max(near)
        following = [cosine for cosine in self._nearest(alike) if cosine <= best][:_NEAREST]
        return (best - sum(following) / len(following)) / scale[1] if following else None

    def _nearest(self, alike: OneLanguage | None) -> list[float]:
        """The cosines of the nearest passages in a language, those that were found and some more."""
        if alike not in self._heads:
            store, vector = self._index.vectors, self._vector
            count = _NEAREST + len(self._results)
            found = []
            if store is not None and vector is not None:
                (found,) = store.search(vector[np.newaxis], count, allowed=alike.ids if alike else None)
            self._heads[alike] = [float(neighbour.similarity) for neighbour in found]
        return self._heads[alike]

    def _best_met(self, results: Sequence[Result], alike: OneLanguage | None) -> float | None:
        return max((self._met[r.chunk_id] for r in among(results, alike) if r.chunk_id in self._met), default=None)

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

    def _size(self, alike: OneLanguage | None) -> float:
        return log(max(1, len(self._index.lexical) if alike is None else len(alike.ids)))

    def _distances(self, alike: OneLanguage | None) -> tuple[float, float] | tuple[None, None]:
        """How far the best cosine that dense search brought is above random ones, and above the fifth."""
        near = among(self._results[:LOOKED_AT], alike)
        cosines = [self._own_cosine(result, result.evidence.dense.score) for result in near if result.evidence.dense]
        return self._placed(max(cosines, default=0.0), cosines, alike)

    def _own_cosine(self, result: Result, score: float) -> float:
        """Return the cosine with the question as it was asked: calibrations know no other, and judgements may move questions."""
        return score if self._index.manifest.query_shift is None else self._cosines.get(result.chunk_id, score)

    def _distances_of(self, result: Result, alike: OneLanguage | None) -> tuple[float, float] | tuple[None, None]:
        """The same of one result, whether dense search brought it or not."""
        own = self._cosines.get(result.chunk_id)
        if own is None:
            return None, None
        seen = [result.chunk_id for result in among(self._results[:LOOKED_AT], alike)]
        return self._placed(own, [self._cosines[one] for one in seen if one in self._cosines] or [own], alike)

    def _placed(
        self, cosine: float, rivals: Sequence[float], alike: OneLanguage | None
    ) -> tuple[float, float] | tuple[None, None]:
        if not rivals or (scale := self._scale(alike)) is None:
            return None, None
        middle, deviation = scale
        rival = sorted(rivals, reverse=True)[min(_RIVAL, len(rivals)) - 1]
        return (cosine - middle) / deviation, (cosine - rival) / deviation

    def _scale(self, alike: OneLanguage | None) -> tuple[float, float] | None:
        if self._vector is None:
            return None
        if alike not in self._scales:
            near = {result.chunk_id for result in among(self._results[:LOOKED_AT], alike)}
            self._scales[alike] = scale_of(self._vector, self._index, near, alike)
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


def _agreement(results: Sequence[Result]) -> float:
    dense = [(r.evidence.dense.score, r.chunk_id) for r in results if r.evidence.dense]
    bm25 = [(r.evidence.bm25.score, r.chunk_id) for r in results if r.evidence.bm25]
    return float(bool(dense and bm25) and max(dense)[1] == max(bm25)[1])


def _foreign(question: str, results: Sequence[Result]) -> float:
    languages = {language_of(result.text) for result in results}
    return float((language_of(question), languages) in (("zh", {"en"}), ("en", {"zh"})))
