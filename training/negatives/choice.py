"""Taking the negatives of one example out of candidates, one after another: no copies, and none that a reranker finds relevant."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Literal, TypeAlias

from quarry.indexer.messages import Message
from quarry.retriever.base import Reranker
from quarry.training.examples.example import Example
from quarry.training.examples.near_duplicates import jaccard, shingles
from quarry.training.negatives.known_good import COPY, KnownGood
from quarry.training.negatives.spec import NegativeSpec

Kind: TypeAlias = Literal["given", "mined", "random", "neighbour"]

GIVEN_POSITIVE = Message.of("negatives.given_positive", "given negative is a known positive")
COPIES = Message.of("negatives.copies", "copy of a positive or of another negative")
RELEVANT = Message.of("negatives.relevant", "relevant to the reranker")
_RERANKED_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Negative:
    """A negative as it was found: passage (empty when it was in the row), text, rank from 1 (0: none) and similarity.

    A neighbour stood in the row when its rank and similarity were to be measured: an earlier pass by BM25 had put it there.
    """

    passage_id: str
    text: str
    rank: int
    score: float | None
    kind: Kind


class Choice:
    """The negatives of one example while they are being chosen."""

    def __init__(
        self,
        example: Example,
        good: KnownGood,
        reranker: Reranker | None,
        spec: NegativeSpec,
        removed: Counter[Message],
    ) -> None:
        self._example, self._good, self._reranker = example, good, reranker
        self._spec, self._removed = spec, removed
        row = example.row
        given = [text for text in dict.fromkeys(row.neg) if not good.holds("", text)]
        # a teacher's scores that came with the row
        self._given = dict(zip(reversed(row.neg), reversed(row.neg_scores), strict=True)) if row.neg_scores else {}
        removed[GIVEN_POSITIVE] += len(set(row.neg)) - len(given)
        self.taken = [Negative("", text, 0, None, "given") for text in given]
        self._sets = [shingles(text) for text in given]
        self._positives: list[float] = []
        self._logits: list[float] = []
        if reranker is not None:
            logits = reranker.score(row.query, [*row.pos, *given]).tolist()
            self._positives, self._logits = logits[: len(row.pos)], logits[len(row.pos) :]

    def take(
        self,
        places: Sequence[int],
        kind: Literal["mined", "random"],
        ids: Sequence[str],
        texts: Sequence[str],
        scores: Sequence[float],
    ) -> bool:
        """Take from the places in order until there are enough; tells whether there are."""
        for first in range(0, len(places), _RERANKED_TOGETHER):
            if len(self.taken) >= self._spec.number:
                break
            part = places[first : first + _RERANKED_TOGETHER]
            logits = self._reranked([texts[place] for place in part])
            for place, logit in zip(part, logits, strict=True):
                if len(self.taken) < self._spec.number and self._fits(texts[place], logit):
                    rank = place + 1 if kind == "mined" else 0
                    self.taken.append(Negative(ids[place], texts[place], rank, scores[place], kind))
                    self._logits += [] if logit is None else [logit]
        return len(self.taken) >= self._spec.number

    def _reranked(self, texts: list[str]) -> list[float] | list[None]:
        if self._reranker is None:
            return [None] * len(texts)
        logits: list[float] = self._reranker.score(self._example.row.query, texts).tolist()
        return logits

    def _fits(self, text: str, logit: float | None) -> bool:
        found = shingles(text)
        if self._good.is_copy(text) or any(jaccard(found, other) >= COPY for other in self._sets):
            self._removed[COPIES] += 1
            return False
        if logit is not None and logit > max(self._positives) - self._spec.rerank_margin:
            self._removed[RELEVANT] += 1
            return False
        self._sets.append(found)
        return True

    def filled(self) -> Example:
        """Return the example with its negatives and a teacher's scores: those that came with it, else the reranker's logits.

        A mined negative has no score beside given ones, which are of another teacher; it is NaN.
        """
        texts, row = [negative.text for negative in self.taken], self._example.row
        if not row.pos_scores and not row.neg_scores:
            return self._example.with_negatives(texts, pos_scores=self._positives, neg_scores=self._logits)
        scores = [self._given.get(text, nan) for text in texts] if self._given else []
        return self._example.with_negatives(texts, pos_scores=row.pos_scores, neg_scores=scores)
