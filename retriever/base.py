"""Protocols of searching: what answers queries, what rescores passages, where texts come from."""

from collections.abc import Collection, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.messages import Message
from quarry.retriever.ranking import Hit, Query, Ranking


class Retriever(Protocol):
    """Anything that answers queries."""

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return one ranking per query, in order, of at most k passages (only `allowed` ones when given)."""
        ...


class Reranker(Protocol):
    """Scores passages against a query; it does not order them."""

    @property
    def name(self) -> str:
        """The model, for explanations and reports."""
        ...

    def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Return one relevance logit per passage, shape (len(passages),), computed in float32; higher is better."""
        ...


@runtime_checkable
class CandidateReranker(Protocol):
    """A reranker that sees which passages are asked about and what the first stage thought of them, instead of texts."""

    @property
    def name(self) -> str:
        """The model, for explanations and reports."""
        ...

    def rerank(self, query: str, candidates: Sequence[Hit]) -> NDArray[np.float32] | Message:
        """Return one score per candidate, shape (len(candidates),); higher is better, comparable within this call only.

        A message instead says why the first stage's order is left as it is.
        """
        ...


@runtime_checkable
class BatchReranker(Reranker, Protocol):
    """A reranker that can score the passages of several queries together."""

    def score_many(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[NDArray[np.float32]]:
        """Score many queries at once: for each, what `score` returns, up to rounding."""
        ...


def score_together(reranker: Reranker, asked: Sequence[tuple[str, Sequence[str]]]) -> list[NDArray[np.float32]]:
    """Score the passages of several queries: together where the reranker can, else one by one."""
    if asked and isinstance(reranker, BatchReranker):
        return reranker.score_many(asked)
    return [reranker.score(query, passages) for query, passages in asked]


class Passages(Protocol):
    """Where the texts of chunks come from."""

    def texts(self, chunk_ids: Sequence[str]) -> list[str]:
        """Return the passage texts in order. Raises KeyError naming a missing id."""
        ...
