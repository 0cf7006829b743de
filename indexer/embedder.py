"""What an embedder is. Concrete embedders live elsewhere; this module imports no torch."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from typing import Any, Literal, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
"""Embeddings, shape (n, dim), float32, rows of unit length."""

Spans: TypeAlias = NDArray[np.int64]
"""Character ranges of tokens, shape (n_tokens, 2): start and end, increasing."""

Progress: TypeAlias = Callable[[int], None]
"""Receives the number of texts finished since the last call."""

TokenVectors: TypeAlias = NDArray[np.float32]
"""States of the tokens of one text, shape (n_tokens, width), float32: those of the layer at two thirds of the depth and of the last
layer side by side, each scaled to unit length (models of one layer have only that)."""

WeightSink: TypeAlias = "Callable[[int, TermWeights], None]"
"""Receives the number of a text and the weights of its terms, like a `TokenSink`."""

TokenSink: TypeAlias = Callable[[int, TokenVectors], None]
"""Receives the number of a text and the states of its tokens, once per distinct text, in no particular order."""

Pooling = Literal["cls", "mean", "last_token"]


@dataclass(frozen=True, slots=True)
class EmbedderSpec:
    """What makes vectors comparable: two sets are when these are equal.

    Attributes:
        model: Repository id (`BAAI/bge-small-zh-v1.5`) or the name stored in the model's folder.
        revision: A commit or content digest, never `main`.
        dim: Length of the vectors that come out (after Matryoshka truncation).
        max_tokens: Longest input in tokens, special tokens included; longer text is cut.
        pooling: How token states become one vector.
        normalize: Whether rows are scaled to unit length (always true for vectors that are stored).
        query_format: Python format string with `{query}` (and the instruction already filled in).
        document_format: The same for passages, with `{text}`.
        origin: How the model was found: `path`, `cache`, `hub` or `offline bundle`.
    """

    model: str
    revision: str
    dim: int
    max_tokens: int
    pooling: Pooling = "cls"
    normalize: bool = True
    query_format: str = "{query}"
    document_format: str = "{text}"
    origin: str = "path"

    @property
    def fingerprint(self) -> str:
        """Digest of everything that changes a *document* vector (16 hex digits); equal ones can share vectors."""
        keys = ("model", "revision", "dim", "max_tokens", "pooling", "normalize", "document_format")
        facts: dict[str, Any] = {key: value for key, value in asdict(self).items() if key in keys}
        return sha256(dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TermWeights:
    """What a model gives the distinct tokens of a text: its sparse representation.

    Attributes:
        ids: Token ids, increasing, shape (n,), int64.
        weights: Above 0, shape (n,), float32.
    """

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, ids: Sequence[int], weights: NDArray[np.float32], unused: Sequence[int] = ()) -> Self:
        """Take the largest weight of each token, and leave out `unused` tokens and those without weight.

        Example:
            >>> import numpy as np
            >>> TermWeights.of([7, 5, 7], np.array([0.25, 0.5, 0.75], dtype=np.float32)).weights.tolist()
            [0.5, 0.75]
        """
        used = (weights > 0) & ~np.isin(ids, unused)
        kept, values = np.asarray(ids, dtype=np.int64)[used], weights[used].astype(np.float32)
        distinct, numbers = np.unique(kept, return_inverse=True)
        largest = np.zeros(len(distinct), dtype=np.float32)
        np.maximum.at(largest, numbers, values)
        return cls(distinct, largest)

    def dot(self, other: "TermWeights") -> float:
        """Return the sum over common tokens of the products of their weights, at least 0."""
        _, ours, theirs = np.intersect1d(self.ids, other.ids, assume_unique=True, return_indices=True)
        return float(self.weights[ours] @ other.weights[theirs])


@dataclass(frozen=True, slots=True)
class QueryParts:
    """What one forward pass of a model with heads of its own gives for a query.

    Attributes:
        vector: Of unit length, shape (dim,).
        tokens: Of unit length, shape (n_tokens, width).
        terms: Its sparse representation.
    """

    vector: NDArray[np.float32]
    tokens: TokenVectors
    terms: TermWeights


class TokenSpans(Protocol):
    """Splits text into the tokens that a model would see, as character ranges."""

    @property
    def name(self) -> str:
        """Identity of the tokenizer, recorded in the manifest with the chunking."""
        ...

    def spans(self, text: str) -> Spans:
        """Return the tokens of `text`, special tokens left out, shape (n_tokens, 2)."""
        ...


class Embedder(Protocol):
    """Turns texts into vectors; queries and documents are formatted differently."""

    @property
    def spec(self) -> EmbedderSpec:
        """What its vectors are comparable with."""
        ...

    @property
    def tokens(self) -> TokenSpans:
        """The model's own tokenizer, for cutting passages."""
        ...

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row per query, shape (len(texts), dim); `(0, dim)` for none."""
        ...

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Return one unit row per passage, shape (len(texts), dim); `(0, dim)` for none."""
        ...


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that also gives the states of single tokens, for late interaction.

    The tokens are those of the text itself: neither special tokens nor those of the query's or document's format.
    """

    @property
    def width(self) -> int:
        """Length of a token's state."""
        ...

    def embed_documents_and_tokens(
        self, texts: Sequence[str], tokens: TokenSink, *, progress: Progress | None = None
    ) -> Vectors:
        """Return what `embed_documents` returns, and hand the token states to `tokens`, out of the same forward passes."""
        ...

    def query_tokens(self, text: str) -> TokenVectors:
        """Return the states of a query's tokens, shape (n_tokens, width); those of the last queries embedded are kept."""
        ...

    def state_spans(self, text: str, *, query: bool) -> Spans:
        """Return the character ranges in `text` of the tokens that have states, as a query's or a passage's."""
        ...


@runtime_checkable
class HeadedEmbedder(TokenEmbedder, Protocol):
    """An embedder that may have heads of its own for single tokens, as bge-m3 has (arXiv 2402.03216, section 3.2).

    Its token states are then what the multi-vector head gives for every token but the first, and tokens have weights besides.
    """

    @property
    def heads(self) -> str:
        """Digest of the heads (16 hex digits); empty when the model has none."""
        ...

    def embed_documents_and_parts(
        self, texts: Sequence[str], tokens: TokenSink, terms: WeightSink, *, progress: Progress | None = None
    ) -> Vectors:
        """Return what `embed_documents` returns; `tokens` and `terms` receive the rest, out of the same forward passes.

        Raises:
            ValueError: If the model has no heads.
        """
        ...

    def query_parts(self, text: str) -> QueryParts:
        """Return everything of a query, out of the forward pass that made its vector. Raises as `embed_documents_and_parts`."""
        ...


def heads_of(embedder: object) -> str:
    """Return the digest of an embedder's own heads, empty when it has none."""
    return embedder.heads if isinstance(embedder, HeadedEmbedder) else ""
