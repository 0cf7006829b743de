"""Two languages in one index: what the passages of the other language are given, so that a question finds them too.

See `quarry.indexer.build.measuring.languages` for the reason and for how the share is chosen. Here a share of the difference
between the mean similarities of the languages, which are products of the question's vector with their centroids, is added to
the passages of the other languages. In an index of one language nothing changes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.language import language_of
from quarry.indexer.opened import Index
from quarry.indexer.stores.base import Predicate, VectorStore, among
from quarry.indexer.stores.centroids import lead_of, major_languages


@dataclass(frozen=True, slots=True)
class Near:
    """A passage near a question: its cosine, and what was added because it is in another language, and because of its title."""

    chunk_id: str
    cosine: float
    raised: float = 0.0
    named: float = 0.0

    @property
    def score(self) -> float:
        """What it is ranked by."""
        return self.cosine + self.raised + self.named


@dataclass(frozen=True, slots=True)
class Languages:
    """The languages of an index, each with its passages, centroid and share."""

    members: Mapping[str, Collection[str]]
    centroids: Mapping[str, NDArray[np.float32]]
    shares: Mapping[str, float]

    @classmethod
    def of(cls, index: Index) -> Self | None:
        """Read the languages of an index; None for one language, and for an index that was built before they were kept."""
        probes = index.manifest.probes
        if probes is None or len(probes.languages) < 2:
            return None
        names = sorted(probes.languages)
        return cls(
            members=index.chunks.languages_apart(names) or major_languages(index.chunks.languages()),
            centroids=index.centroids(),
            shares={name: facts.share for name, facts in probes.languages.items()},
        )

    def foreign(self, question: str) -> Collection[str]:
        """Return the passages that are in another language than a question; none when the question's own is not known here."""
        own = language_of(question)
        if own not in self.members:
            return frozenset()
        others = [ids for name, ids in self.members.items() if name != own]
        return others[0] if len(others) == 1 else frozenset().union(*others)

    def search(
        self, store: VectorStore, questions: Sequence[str], vectors: Vectors, k: int, allowed: Collection[str] | None
    ) -> list[list[Near]]:
        """Find passages of the highest raised similarity for each question, best first: the k best, and k of each other language.

        Args:
            store: Where the passages are.
            questions: Their languages count.
            vectors: Of the questions, shape (len(questions), dim).
            k: How many of all, and of each language other than the question's.
            allowed: Only these may come out; None allows all.
        """
        found = [
            {near.chunk_id: near.similarity for near in each} for each in store.search(vectors, k, allowed=allowed)
        ]
        raises = self._raises(questions, vectors)
        for name, ids in self.members.items():
            rows = [row for row, by_name in enumerate(raises) if name in by_name]
            candidates = _both(ids, allowed)
            if not rows or not candidates:
                continue
            for row, near in zip(rows, store.search(vectors[rows], k, allowed=candidates), strict=True):
                found[row].update((one.chunk_id, one.similarity) for one in near)
        return [self._ordered(similar, by_name) for similar, by_name in zip(found, raises, strict=True)]

    def near(self, question: str, vector: NDArray[np.float32], similar: Mapping[str, float]) -> list[Near]:
        """Return passages of known similarity, passage id -> cosine, as `search` would."""
        (raises,) = self._raises([question], vector[np.newaxis])
        return self._ordered(similar, raises)

    def _raises(self, questions: Sequence[str], vectors: Vectors) -> list[dict[str, float]]:
        """What the passages of each other language are given, by question."""
        out = []
        for question, vector in zip(questions, vectors, strict=True):
            own = language_of(question)
            share = self.shares.get(own, 0.0)
            others = [name for name in self.centroids if name != own] if own in self.centroids else []
            leads = {name: lead_of(vector[np.newaxis], self.centroids[own], self.centroids[name])[0] for name in others}
            out.append({name: share * float(lead) for name, lead in leads.items()})
        return out

    def _ordered(self, similar: Mapping[str, float], raises: Mapping[str, float]) -> list[Near]:
        raised = {chunk_id: by for name, by in raises.items() for chunk_id in among(self.members[name], similar)}
        near = [Near(chunk_id, cosine, raised.get(chunk_id, 0.0)) for chunk_id, cosine in similar.items()]
        return sorted(near, key=lambda one: (-one.score, one.chunk_id))


def _both(ids: Collection[str], allowed: Collection[str] | None) -> Collection[str]:
    """Return what is in both; None allows all."""
    if allowed is None:
        return ids
    if isinstance(ids, Predicate) and isinstance(allowed, Predicate):
        return ids.both(allowed)
    return among(ids, allowed)
