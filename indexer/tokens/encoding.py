"""Vectors and compressed token states of texts, out of the same forward passes."""

from collections.abc import Sequence
from dataclasses import dataclass

from quarry.indexer.embedder import HeadedEmbedder, Progress, TermWeights, TokenEmbedder, TokenVectors, Vectors
from quarry.indexer.tokens.projection import Projection, TokenBytes


@dataclass(frozen=True, slots=True)
class Encoded:
    """What was made of texts, in their order.

    Attributes:
        vectors: Shape (n, dim).
        states: Compressed token states of each.
        terms: Weights of terms of each; empty for a model without a head for them.
    """

    vectors: Vectors
    states: list[TokenBytes]
    terms: list[TermWeights]


def encode_with_states(
    embedder: TokenEmbedder, texts: Sequence[str], projection: Projection, progress: Progress | None = None
) -> Encoded:
    """Encode texts, and compress the states of their tokens as they come."""
    states: dict[int, TokenBytes] = {}
    terms: dict[int, TermWeights] = {}

    def keep(number: int, found: TokenVectors) -> None:
        states[number] = projection.compress(found)

    if isinstance(embedder, HeadedEmbedder) and embedder.heads:
        vectors = embedder.embed_documents_and_parts(texts, keep, terms.__setitem__, progress=progress)
    else:
        vectors = embedder.embed_documents_and_tokens(texts, keep, progress=progress)
    rows = range(len(texts))
    return Encoded(vectors, [states[row] for row in rows], [terms[row] for row in rows] if terms else [])
