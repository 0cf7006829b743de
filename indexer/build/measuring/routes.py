"""How well each route finds a passage of this index again, by a sentence that was taken out of it.

BM25 and dense search look for the rest of a passage (`quarry.indexer.build.measuring.probes`) among all passages of the index. The two
nDCG@10 say how far each can be trusted here, with this encoder and these texts, and need no judged query. Pseudo-queries from a
corpus's own texts are an old way to predict and train retrieval (Azzopardi and de Rijke, SIGIR 2006; the inverse cloze task of Lee et
al., ACL 2019). `quarry.indexer.build.measuring.measurement` says when it is done again.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build.cached_embedder import CachedEmbedder
from quarry.indexer.build.measuring.languages import UNTESTED, Rivals, choose_share
from quarry.indexer.build.measuring.probes import Probe, lowest_probes
from quarry.indexer.build.names import LEAST, above_chance, measure_names
from quarry.indexer.embedder import Vectors
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import K1, MAX_REPEAT, B, LexicalIndex
from quarry.indexer.lexical.normalization import SECOND_FORM, words_of
from quarry.indexer.storage.measured import ALL, LanguageFacts, NameFacts, Probes, RouteQuality
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.centroids import lead_of

_DEPTH = 50  # hits looked at; more than ten, because other passages of the same document do not count
_SPREAD_SAMPLE = 512  # passages that the spread of similarities is taken from


@dataclass(frozen=True, slots=True)
class Parts:
    """What is probed: texts, terms and vectors of one generation; `names` are those of titles, None without any."""

    table: ChunkTable
    analyzer: Analyzer
    lexical: LexicalIndex
    vectors: VectorStore
    mean_length: float  # of a passage, in words
    names: VectorStore | None = None


def probe_routes(parts: Parts, embedder: CachedEmbedder) -> Probes:
    """Probe both routes of an index of one language; see the module for the method."""
    probes = lowest_probes(parts.table, len(parts.vectors))
    if len(probes) < LEAST:
        return Probes(spread=0.0, quality={}, names=_names(parts, [], []))
    asked = Asked.of(probes, embedder)
    sample = parts.table.lowest_digests(_SPREAD_SAMPLE)
    return Probes(
        spread=_spread(parts.vectors, asked.questions, sample),
        quality={ALL: measured_quality(parts, asked)},
        names=_names(parts, [asked], sample),
    )


def probe_languages(
    parts: Parts,
    embedder: CachedEmbedder,
    members: Mapping[str, Collection[str]],
    centroids: Mapping[str, NDArray[np.float32]],
    *,
    home: Mapping[str, Collection[str]] | None = None,
) -> Probes:
    """Probe both routes in each language of a mixed index, and choose how far the languages are evened out.

    Args:
        parts: What is probed.
        embedder: Its model.
        members: The passages of each language: their ids, or a predicate.
        centroids: The mean vector of each, shape (dim,).
        home: The passages that are in none of the other languages, for each; None to find them out of all ids.
    """
    if home is None:
        home = {name: _outside(parts.table, members, name) for name in members}
    sample = parts.table.lowest_digests(_SPREAD_SAMPLE)
    quality: dict[str, RouteQuality] = {}
    languages: dict[str, LanguageFacts] = {}
    spreads: list[float] = []
    every: list[Asked] = []
    for name, ids in members.items():
        probes = lowest_probes(parts.table, len(ids), name)
        share = UNTESTED
        if len(probes) >= LEAST:
            asked = Asked.of(probes, embedder)
            every.append(asked)
            quality[name] = measured_quality(parts, asked)
            spreads.append(_spread(parts.vectors, asked.questions, sample))
            share = choose_share(_rivals(parts, asked, name, members, centroids, home[name]))
        languages[name] = LanguageFacts(passages=len(ids), share=share)
    if quality:
        quality[ALL] = _pooled(list(quality.values()))
    return Probes(
        spread=float(np.mean(spreads)) if spreads else 0.0,
        quality=quality,
        languages=languages,
        names=_names(parts, every, sample),
    )


def _names(parts: Parts, every: Sequence["Asked"], sample: Sequence[str]) -> NameFacts:
    """Measure titles and headings by all probes; `sample` are passages that their similarities are compared with."""
    if parts.names is None:
        return NameFacts(count=0, quality=0.0, offset=0.0)
    if not every:
        return NameFacts(count=len(parts.names), quality=0.0, offset=0.0)
    questions = np.concatenate([asked.questions for asked in every])
    probed = [probe.chunk_id for asked in every for probe in asked.probes]
    named = parts.table.names_of([*probed, *sample])
    titled = [chunk_id for chunk_id in sample if chunk_id in named]
    own = [named.get(chunk_id) for chunk_id in probed]
    similar = _mean_similarities(parts.vectors, questions, titled)
    return measure_names(questions, own, parts.names, similar, [named[chunk_id] for chunk_id in titled])


def _mean_similarities(vectors: VectorStore, questions: Vectors, sample: Sequence[str]) -> NDArray[np.float64]:
    """The mean similarity of the questions with each passage of a sample, shape (len(sample),)."""
    totals = dict.fromkeys(sample, 0.0)
    for found in vectors.search(questions, len(sample), allowed=set(sample)) if sample else []:
        for near in found:
            totals[near.chunk_id] += near.similarity / len(questions)
    return np.array(list(totals.values()))


def _outside(table: ChunkTable, members: Mapping[str, Collection[str]], name: str) -> frozenset[str]:
    """Return the passages that are in no language but this one, or in none."""
    return frozenset(table.chunk_ids()).difference(*(ids for other, ids in members.items() if other != name))


def _rivals(
    parts: Parts,
    asked: "Asked",
    name: str,
    members: Mapping[str, Collection[str]],
    centroids: Mapping[str, NDArray[np.float32]],
    home: Collection[str],
) -> Rivals:
    others = [other for other in members if other != name]
    return Rivals(
        own=asked.own,
        same=_similarities(parts, asked, home),
        other={other: _similarities(parts, asked, members[other]) for other in others},
        lead={other: lead_of(asked.questions, centroids[name], centroids[other]) for other in others},
    )


def _similarities(parts: Parts, asked: "Asked", allowed: Collection[str]) -> list[NDArray[np.float64]]:
    found = parts.vectors.search(asked.questions, _DEPTH, allowed=allowed)
    return [
        np.array(
            [near.similarity for near in neighbours if not _same_document(near.chunk_id, probe.chunk_id)],
            dtype=np.float64,
        )
        for probe, neighbours in zip(asked.probes, found, strict=True)
    ]


def measured_quality(parts: Parts, asked: "Asked") -> RouteQuality:
    """Return how well each route puts the rests of the probes."""
    passages = len(parts.vectors)
    return RouteQuality(
        probes=len(asked.probes),
        bm25=above_chance([bm25_rank(parts, probe) for probe in asked.probes], passages),
        dense=above_chance(dense_ranks(parts, asked), passages),
    )


def _pooled(qualities: Sequence[RouteQuality]) -> RouteQuality:
    probes = sum(each.probes for each in qualities)
    return RouteQuality(
        probes=probes,
        bm25=sum(each.bm25 * each.probes for each in qualities) / probes,
        dense=sum(each.dense * each.probes for each in qualities) / probes,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """Probes with the vectors of their questions, shape (n, dim), and the similarity of each with its own rest, shape (n,)."""

    probes: Sequence[Probe]
    questions: Vectors
    own: NDArray[np.float64]

    @classmethod
    def of(cls, probes: Sequence[Probe], embedder: CachedEmbedder) -> Self:
        """Encode probes."""
        questions = embedder.questions([probe.question for probe in probes])
        rests = embedder.passages([probe.rest for probe in probes])
        return cls(probes, questions, np.einsum("ij,ij->i", questions, rests, dtype=np.float64))


def bm25_rank(parts: Parts, probe: Probe) -> int:
    """Return the rank, from 1, of a probe's rest among the passages of other documents, by BM25."""
    asked = Counter(parts.analyzer.query_tokens(probe.question))
    own = _bm25_score(asked, parts.analyzer.passage_terms(probe.rest), parts)
    if own <= 0:
        return _DEPTH
    hits = parts.lexical.search(list(asked.elements()), _DEPTH)
    return 1 + sum(hit.score > own for hit in hits if not _same_document(hit.chunk_id, probe.chunk_id))


def _bm25_score(asked: Counter[str], terms: Sequence[str], parts: Parts) -> float:
    """The score that a passage with these terms would have, by the formula of `Bm25Search`."""
    words = words_of(terms)
    passage = Counter(term.removeprefix(SECOND_FORM) for term in terms)
    norm = K1 * (1 - B + B * words / max(1.0, parts.mean_length))
    return sum(
        min(times, MAX_REPEAT) * idf * passage[term] / (passage[term] + norm)
        for term, times in asked.items()
        if passage[term] and (idf := parts.lexical.idf(term)) is not None
    )


def dense_ranks(parts: Parts, asked: Asked) -> list[int]:
    """Return the rank, from 1, of each probe's rest among the passages of other documents, by cosine."""
    found = parts.vectors.search(asked.questions, _DEPTH)
    return [
        1 + sum(near.similarity > own for near in neighbours if not _same_document(near.chunk_id, probe.chunk_id))
        for probe, own, neighbours in zip(asked.probes, asked.own.tolist(), found, strict=True)
    ]


def _same_document(one: str, other: str) -> bool:
    return one.rpartition("#")[0] == other.rpartition("#")[0]


def _spread(vectors: VectorStore, questions: Vectors, sample: Sequence[str]) -> float:
    """The median over the questions of the standard deviation of their similarities with a sample of passages."""
    found = vectors.search(questions, len(sample), allowed=set(sample))
    return float(np.median([np.std([near.similarity for near in neighbours]) for neighbours in found]))
