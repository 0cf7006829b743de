"""Several opened indexes as one: one table of texts, one store of vectors, one BM25 over the terms of all of them.

Document frequencies are sums, similarities are those of one encoder, and what the indexes measured on themselves is pooled
(`quarry.indexer.joined.measured`), so that a search ranks as if all documents were in one index. Nothing is copied: the parts stay open as
they are, and ids carry the names of their indexes (`quarry.indexer.joined.ids`).

That needs one scale: the same encoder, the same analyzer, and terms in segments. `scale_of` says which indexes share one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.joined.ids import named
from quarry.indexer.joined.measured import centroids_of, pooled
from quarry.indexer.joined.texts import JoinedTexts
from quarry.indexer.joined.vectors import NamedVectors
from quarry.indexer.lexical.index import UnionIndex
from quarry.indexer.opened import Index
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.union import Part, UnionStore


@dataclass(frozen=True, slots=True)
class Scale:
    """What indexes must have in common to be searched as one.

    Attributes:
        fingerprint: Of the encoder; empty for BM25 alone.
        query_format: How it reads questions.
        analyzer: What makes terms.
        measured: Whether the index measured itself when it was built.
        apart: Empty; the folder and generation of an index that cannot be joined with any other: a lake, and older formats of terms.
    """

    fingerprint: str
    query_format: str
    analyzer: str
    measured: bool
    apart: str


def scale_of(index: Index) -> Scale:
    """Return what an index must have in common with others to be searched as one with them."""
    facts, manifest = index.manifest.embedder, index.manifest
    joins = isinstance(index.lexical, UnionIndex) and (facts is None) == (index.vectors is None)
    return Scale(
        fingerprint=facts.fingerprint if facts else "",
        query_format=facts.to_spec().query_format if facts else "",
        analyzer=manifest.lexical.analyzer,
        measured=manifest.probes is not None,
        apart="" if joins else f"{index.root} {index.generation}",
    )


@dataclass(frozen=True, slots=True)
class JoinedIndex(Index):
    """Several generations, opened for reading as one.

    Attributes:
        of: The indexes, by name.
        means: The mean vector of each language, shape (dim,); empty for one language.
    """

    of: Mapping[str, Index]
    means: Mapping[str, NDArray[np.float32]]

    @classmethod
    def join(cls, parts: Mapping[str, Index]) -> Self:
        """Join indexes of one scale.

        Args:
            parts: By name, at least one.

        Raises:
            ValueError: If they are not of one scale.
        """
        first = next(iter(parts.values()))
        lexical = {
            named(name, ""): part.lexical for name, part in parts.items() if isinstance(part.lexical, UnionIndex)
        }
        if len({scale_of(part) for part in parts.values()}) > 1 or len(lexical) < len(parts):
            raise ValueError(
                f"the indexes {', '.join(parts)} are not of one scale; expected the same encoder and analyzer"
            )
        texts = JoinedTexts({name: part.chunks for name, part in parts.items()})
        counts = {name: part.chunks.language_counts() for name, part in parts.items()}
        means = centroids_of(parts, counts)
        probes = pooled(parts, counts, means)
        documents, chunks = texts.counts()
        manifest = first.manifest.model_copy(
            update={
                "documents": documents,
                "chunks": chunks,
                "generation": ", ".join(f"{name} {part.generation}" for name, part in parts.items()),
                "probes": probes,
                "token_states": all(part.manifest.token_states for part in parts.values()),
                "second_stage": None,
                "query_shift": None,
            }
        )
        return cls(
            root=first.root,
            folder=first.folder,
            manifest=manifest,
            chunks=texts,
            lexical=UnionIndex.joined(lexical),
            vectors=_vectors(parts),
            names=_titles(parts),
            analyzer=first.analyzer,
            hold=None,
            of=dict(parts),
            means=means,
        )

    @property
    def parts(self) -> Mapping[str, Index]:
        """The indexes that this one consists of, by name."""
        return self.of

    def centroids(self) -> dict[str, NDArray[np.float32]]:
        """Return the mean vector of each language, shape (dim,); empty for one language."""
        return dict(self.means)


def _vectors(parts: Mapping[str, Index]) -> VectorStore | None:
    stores = {name: part.vectors for name, part in parts.items() if part.vectors is not None}
    return UnionStore.of([Part(NamedVectors(name, store)) for name, store in stores.items()])


def _titles(parts: Mapping[str, Index]) -> VectorStore | None:
    """Titles are known by digests of their texts, which are the same in every index."""
    return UnionStore.of([Part(part.names) for part in parts.values() if part.names is not None])
