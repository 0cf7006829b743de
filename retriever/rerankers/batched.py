"""Scores the passages of many queries together: pairs are batched by length across queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import ModelError
from quarry.indexer.models.batching import TokenBudget

Pair = TypeVar("Pair")
Scores: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PairScorer(Generic[Pair]):
    """What every reranker does with pairs of query and passage once they are tokens.

    Attributes:
        name: The model, for errors.
        encode: Query and passages to one pair of tokens per passage.
        length: Tokens of a pair.
        forward: Scores some pairs at once, shape (len(pairs),).
        budget: Padded tokens per forward.
    """

    name: str
    encode: Callable[[str, Sequence[str]], Sequence[Pair]]
    length: Callable[[Pair], int]
    forward: Callable[[Sequence[Pair]], Scores]
    budget: TokenBudget

    def score_many(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[Scores]:
        """Return one array of logits per query, in order, each of shape (len(passages),).

        Raises:
            ModelError: If memory runs out for one pair, or a logit is not finite.
        """
        if not asked:
            return []
        pairs = [pair for query, passages in asked if passages for pair in self.encode(query, passages)]
        out = np.empty(len(pairs), dtype=np.float32)
        lengths = [self.length(pair) for pair in pairs]
        for batch in self.budget.batches(lengths):
            for rows, logits in self.budget.run(batch, lengths, lambda rows: self.forward([pairs[r] for r in rows])):
                out[rows] = logits
        if not np.isfinite(out).all():
            raise ModelError(
                "rerankers.not_finite",
                "{model} gave a score that is not a finite number",
                do="Its weights or precision are broken: choose another precision or model",
                model=self.name,
            )
        return np.split(out, np.cumsum([len(passages) for _, passages in asked])[:-1])


def pair_too_long(tokens: int) -> ModelError:
    """Make the error for one pair that is too much for the memory alone."""
    return ModelError(
        "rerankers.out_of_memory",
        "memory ran out for one pair of {tokens:token|tokens}",
        do="Use --rerank none, or a smaller model",
        tokens=tokens,
    )
