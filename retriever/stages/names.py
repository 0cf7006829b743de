"""Titles and headings in dense search: a passage whose title is nearer to the question than its text is raised.

    score = cosine + share * max(0, cosine with the title - offset - cosine)
    share = 0.1 + 0.7 * (1 - min(1, coverage / 0.15))

A title never lowers a passage: a sentence deep in a text need not be about its title. `offset` is how much higher similarities with
titles are in this index, measured when it was built. The share grows where question and passages share no words, as across
languages, and is 0.8 for passages in another language. `coverage` is that of `quarry.retriever.stages.balance`.

Titles that say nothing (ids, file names, all alike) are left out: where a sentence of a passage finds the passage's own title with
less than a quarter of the quality at which it finds the passage, nothing is raised. docs/ranking.md has the figures.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.storage.measured import ALL
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.base import VectorStore, among
from quarry.retriever.stages.languages import Languages, Near

SHARE, SHARE_ACROSS = 0.1, 0.8  # of a title's lead: where question and passages share words, and where they do not
ACROSS_BELOW = 0.15  # coverage, as for late interaction
TELLING = 0.25  # quality of titles, in shares of dense search's, from which on they are used
NEAREST = 100  # passages that are raised, whatever the depth, so that the first ten are the same for k = 10 and k = 400
_FOUND = 50  # titles that are looked at
_BELOW = 20  # passages of each that become candidates


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: its text, its vector of shape (dim,), and the passages that may come out (None: all)."""

    text: str
    vector: NDArray[np.float32]
    allowed: Collection[str] | None


@dataclass(frozen=True, slots=True)
class Names:
    """The titles and headings of an index.

    Attributes:
        names: Their vectors.
        passages: The vectors of the passages.
        chunks: Knows which passage stands under which.
        offset: How much higher similarities with titles are.
        coverage: Of a question, in [0, 1]; see `quarry.retriever.stages.balance.coverage_of`.
        languages: Of the index, None for one.
    """

    names: VectorStore
    passages: VectorStore
    chunks: ChunkTable
    offset: float
    coverage: Callable[[str], float]
    languages: Languages | None = None

    @classmethod
    def of(cls, index: Index, coverage: Callable[[str], float], languages: Languages | None) -> Self | None:
        """Return the titles of an index; None where there are none, or none that tell."""
        probes = index.manifest.probes
        if probes is None or probes.names is None or index.names is None or index.vectors is None:
            return None
        quality = probes.quality.get(ALL)
        if quality is None or probes.names.quality <= 0 or probes.names.quality < TELLING * quality.dense:
            return None
        return cls(index.names, index.vectors, index.chunks, probes.names.offset, coverage, languages)

    @staticmethod
    def missing(index: Index) -> Message | None:
        """Return how to add titles to an index from before they had vectors; None where they are, or cannot be."""
        probes = index.manifest.probes
        if probes is None or probes.names is not None:
            return None
        return Message.of(
            "stages.no_titles",
            "titles and headings have no vectors of their own in this index",
            do="Add them with `quarry index PATH --into INDEX`",
        )

    def raise_by(self, asked: Asked, near: Sequence[Near]) -> list[Near]:
        """Raise passages by their titles, and add passages whose titles are near the question.

        Of several indexes searched as one, one may be too small for its titles to have vectors: its passages keep their places.

        Args:
            asked: The question.
            near: Its nearest passages, at least 100 where there are so many.

        Returns:
            All of both, best first.
        """
        titles = {one.chunk_id: one.similarity for one in self.names.search(asked.vector[np.newaxis], _FOUND)[0]}
        head = near[:NEAREST]
        below = self._below(asked, titles, {one.chunk_id for one in head})
        candidates = [*head, *below]
        under = {chunk_id: name.hex() for chunk_id, name in self._names_of(candidates).items()}
        further = set(under.values()) - titles.keys()
        if further:
            found = self.names.search(asked.vector[np.newaxis], len(further), allowed=further)[0]
            titles.update((one.chunk_id, one.similarity) for one in found)
        leads = {chunk_id: titles[name] for chunk_id, name in under.items() if name in titles}
        shares = self._shares(asked.text, candidates)
        raised = [
            replace(one, named=share * max(0.0, leads[one.chunk_id] - self.offset - one.cosine))
            if one.chunk_id in leads
            else one
            for one, share in zip(candidates, shares, strict=True)
        ]
        known = {one.chunk_id for one in below}
        raised.extend(one for one in near[NEAREST:] if one.chunk_id not in known)
        return sorted(raised, key=lambda one: (-one.score, one.chunk_id))

    def _names_of(self, candidates: Sequence[Near]) -> Mapping[str, bytes]:
        return self.chunks.names_of([one.chunk_id for one in candidates])

    def _below(self, asked: Asked, titles: Collection[str], known: Collection[str]) -> list[Near]:
        """Return the passages below some titles that are not known yet and may come out."""
        under = self.chunks.named_each([bytes.fromhex(name) for name in titles], _BELOW)
        ids = among(asked.allowed, {chunk_id for each in under.values() for chunk_id in each if chunk_id not in known})
        if not ids:
            return []
        found = self.passages.search(asked.vector[np.newaxis], len(ids), allowed=ids)[0]
        if self.languages is None:
            return [Near(one.chunk_id, one.similarity) for one in found]
        return self.languages.near(asked.text, asked.vector, {one.chunk_id: one.similarity for one in found})

    def _shares(self, question: str, candidates: Sequence[Near]) -> list[float]:
        ids = [one.chunk_id for one in candidates]
        foreign = among(self.languages.foreign(question), ids) if self.languages else frozenset()
        own = share_of(self.coverage(question))
        return [SHARE_ACROSS if one.chunk_id in foreign else own for one in candidates]


def share_of(coverage: float) -> float:
    """Return the share of a title's lead that a passage is given, for the coverage of a question."""
    return SHARE + (SHARE_ACROSS - SHARE) * max(0.0, 1 - coverage / ACROSS_BELOW)
