"""What an embedder is. Concrete embedders live elsewhere; this module imports no torch."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

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
