"""Signals of how well one search went: numbers that mean the same in every index and under every model.

A cosine says nothing by itself: with one model unrelated texts are at 0.75, with another at 0.1. So the best cosine is put
on the scale of the question's cosines with random passages of the same index (a robust z-score), and what BM25 matched on
the scale of all that the question holds. Nothing here decides; `quarry.retriever.answers.evidence` does.

Similarities with two languages are on two scales. In an index of two, where the best passage is in the other language than the
question, cosines are those of passages in that language alone, the random ones too: as in an index of that language.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log, log1p
from random import Random
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build.languages import major_languages
from quarry.indexer.language import language_of
from quarry.indexer.opened import Index
from quarry.indexer.records import passage_text
from quarry.indexer.storage.chunk_table import ChunkTable
from quarry.retriever.results import Result

LOOKED_AT = 10  # results of a search that count, however many were asked for
_BEST = 3  # passages whose words are compared with the question's
_SAMPLE = 160  # random passages for the scale of cosines: its deviation is then known to about 6 %
_LEAST_SAMPLE = 20  # below it there is no scale, and words alone are weighed
_MEMBERS: WeakKeyDictionary[ChunkTable, dict[str, frozenset[str]]] = WeakKeyDictionary()  # of indexes that are open
_RIVAL = 5  # the lead is measured against the fifth best: duplicates of the best are no rivals


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of one search.

    Attributes:
        closeness: How many deviations the best cosine is above those of random passages; None without vectors.
        lead: The same between the best and the fifth best cosine; None without vectors.
        size: Natural logarithm of the number of passages, where the best is in the other language of those in it: the best of many
            is closer by chance alone.
        cover: Largest share, in [0, 1], of the question's idf mass that one of the three best passages has.
        cover_all: The share that the three best passages have together.
        known: The share that the index has anywhere.
        agree: 1 when the passage of the best cosine also has the best BM25 score among the results, else 0.
        foreign: 1 when the best passage is in the other language than the question, so that words cannot match, else 0.
        terms: Logarithm of one plus the number of the question's different terms.
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


def observe(question: str, results: Sequence[Result], index: Index, vector: NDArray[np.float32] | None) -> Signals:
    """Return the signals of a search.

    Args:
        question: What was asked.
        results: What was found, best first.
        index: Where.
        vector: The question's embedding, shape (dim,); None weighs words alone.
    """
    seen = results[:LOOKED_AT]
    weights = _term_weights(question, index)
    covers, together = _covers(seen[:_BEST], weights, index)
    mass = sum(weights.values()) or 1.0
    foreign = _foreign(question, seen[:1])
    alike = _alike(seen, index) if foreign else None
    near = [result for result in seen if alike is None or result.chunk_id in alike]
    closeness, lead = _distances(near, index, vector, alike) if vector is not None else (None, None)
    return Signals(
        closeness=closeness,
        lead=lead,
        size=log(max(1, len(index.lexical) if alike is None else len(alike))),
        cover=max(covers, default=0.0),
        cover_all=together,
        known=sum(weight for term, weight in weights.items() if index.lexical.idf(term) is not None) / mass,
        agree=_agreement(seen),
        foreign=foreign,
        terms=log1p(len(weights)),
    )


def observe_each(
    question: str, results: Sequence[Result], index: Index, vector: NDArray[np.float32] | None, whole: Signals
) -> list[Signals]:
    """Return for each result the signals of the search as if that result were its best one.

    Args:
        question: What was asked.
        results: What was found, best first.
        index: Where.
        vector: The question's embedding, shape (dim,); None weighs words alone.
        whole: What `observe` returned for these; what does not depend on the best result stays.
    """
    weights = _term_weights(question, index)
    cosines = _cosines(results, index, vector) if vector is not None else {}
    both = max(cosines, key=lambda chunk_id: cosines[chunk_id]) if cosines and whole.agree else ""
    scales: dict[frozenset[str] | None, tuple[float, float] | None] = {}
    found = []
    for result in results:
        (cover,), _ = _covers([result], weights, index)
        foreign = _foreign(question, [result])
        alike = _alike([result], index) if foreign else None
        if vector is not None and alike not in scales:
            near = {r.chunk_id for r in results if alike is None or r.chunk_id in alike}
            scales[alike] = _scale(vector, index, near, alike)
        closeness = lead = None
        scale = scales.get(alike)
        if scale is not None and result.chunk_id in cosines:
            middle, deviation = scale
            rivals = sorted(
                (
                    cosines[r.chunk_id]
                    for r in results[:LOOKED_AT]
                    if r.chunk_id in (cosines if alike is None else alike)
                ),
                reverse=True,
            ) or [cosines[result.chunk_id]]
            closeness = (cosines[result.chunk_id] - middle) / deviation
            lead = (cosines[result.chunk_id] - rivals[min(_RIVAL, len(rivals)) - 1]) / deviation
        found.append(
            replace(
                whole,
                closeness=closeness,
                lead=lead,
                size=log(max(1, len(index.lexical) if alike is None else len(alike))),
                cover=cover,
                cover_all=cover,
                agree=float(result.chunk_id == both),
                foreign=foreign,
            )
        )
    return found


def _cosines(results: Sequence[Result], index: Index, vector: NDArray[np.float32]) -> dict[str, float]:
    """The question's cosine with every result, also with those that the dense stage did not bring."""
    if index.vectors is None or not results:
        return {}
    ids = {result.chunk_id for result in results}
    (found,) = index.vectors.search(vector[np.newaxis], len(ids), allowed=ids)
    return {neighbour.chunk_id: float(neighbour.similarity) for neighbour in found}


def _term_weights(question: str, index: Index) -> dict[str, float]:
    """The question's different terms, stop words left out, with their idf; one that occurs nowhere is as rare as possible."""
    nowhere = log(1 + (len(index.lexical) + 0.5) / 0.5)
    terms = dict.fromkeys(index.analyzer.query_tokens(question))
    return {term: nowhere if (idf := index.lexical.idf(term)) is None else idf for term in terms}


def _covers(results: Sequence[Result], weights: dict[str, float], index: Index) -> tuple[list[float], float]:
    """The share of the terms' weight that each passage has, and that all have together."""
    mass = sum(weights.values())
    if not mass:
        return [0.0] * len(results), 0.0
    found = [
        weights.keys() & set(index.analyzer.tokens(passage_text(result.title, result.heading, result.text)))
        for result in results
    ]
    shares = [sum(weights[term] for term in terms) / mass for terms in found]
    return shares, sum(weights[term] for term in set().union(*found)) / mass


def _alike(results: Sequence[Result], index: Index) -> frozenset[str] | None:
    """The passages in the language of the best result; None in an index of one language, where all are alike."""
    probes = index.manifest.probes
    if not results or probes is None or len(probes.languages) < 2:
        return None
    if index.chunks not in _MEMBERS:
        _MEMBERS[index.chunks] = major_languages(index.chunks.languages())
    return next((ids for ids in _MEMBERS[index.chunks].values() if results[0].chunk_id in ids), None)


def _distances(
    results: Sequence[Result], index: Index, vector: NDArray[np.float32], alike: frozenset[str] | None
) -> tuple[float, float] | tuple[None, None]:
    cosines = sorted((r.evidence.dense.score for r in results if r.evidence.dense), reverse=True)
    if not cosines or index.vectors is None:
        return None, None
    scale = _scale(vector, index, {result.chunk_id for result in results}, alike)
    if scale is None:
        return None, None
    middle, deviation = scale
    rival = cosines[min(_RIVAL, len(cosines)) - 1]
    return (cosines[0] - middle) / deviation, (cosines[0] - rival) / deviation


def _scale(
    vector: NDArray[np.float32], index: Index, but: set[str], alike: frozenset[str] | None
) -> tuple[float, float] | None:
    """Median and robust deviation of the question's cosines with random passages, the same ones at every call."""
    store = index.vectors
    if store is None:
        return None
    ids = store.ids if alike is None else sorted(alike)
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
