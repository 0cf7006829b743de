"""Hard negatives for examples, mined with the live retriever, without the false ones; and the ranking-consistency filter.

For each query the candidates are the ranks of a window of its ranking. Out of them go, in this order:

1. what is known to be good, overlaps it, or reads like it (`quarry.training.negatives.known_good`), and what reads like the query;
2. what is as similar as the positive: above `relative` of its score (NV-Retriever's TopK-PercPos, arXiv 2407.15831: 95 %),
   or closer to it than `absolute`;
3. near copies of a positive or of a negative already taken;
4. with a reranker, what it scores within `rerank_margin` of the best positive.

From the rest `number` are drawn at random. In the same pass, examples whose positive does not come within the first
`consistent_within` are dropped (KaLM's ranking consistency, arXiv 2501.01028): the model reads such a pair as unrelated, and
mostly it is.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from quarry.indexer.embedder import Progress
from quarry.indexer.messages import Message
from quarry.retriever.base import Reranker
from quarry.retriever.ranking import Ranking
from quarry.training.examples.example import Example, text_key
from quarry.training.examples.reasons import Counts
from quarry.training.negatives.choice import Choice, Negative
from quarry.training.negatives.corpus import MiningCorpus
from quarry.training.negatives.known_good import KnownGood
from quarry.training.negatives.spec import NegativeSpec

KNOWN = Message.of("negatives.known", "known to be good, or reads like it")
LIKE_QUERY = Message.of("negatives.like_query", "reads like the query")
TOO_SIMILAR = Message.of("negatives.too_similar", "as similar as the positive (margin)")
_BLOCK = 64  # queries searched together: bounds memory, whatever the number of examples
_FLOOR_QUERIES, _FLOOR_PASSAGES = 100, 50  # random pairs that the similarity of unrelated texts is measured on


@dataclass(frozen=True, slots=True)
class MinedExample:
    """An example with its negatives, the rank of its best positive (None: not known) and that one's similarity."""

    example: Example
    negatives: tuple[Negative, ...]
    positive_rank: int | None
    positive_score: float | None


@dataclass(frozen=True, slots=True)
class MinedSet:
    """What mining gave.

    Attributes:
        kept: With negatives, in the order of the examples.
        dropped: Examples whose positive ranks too low, with the rank (None: below everything that was looked at).
        removed: Candidates taken out of the windows, by reason.
        candidates: Passages in all windows together.
        short: Examples that got fewer negatives from the window than asked for.
        floor: Mean similarity of unrelated texts, where it was used.
        spec: How.
    """

    kept: tuple[MinedExample, ...]
    dropped: tuple[tuple[Example, int | None], ...]
    removed: Counts
    candidates: int
    short: int
    floor: float
    spec: NegativeSpec

    @property
    def examples(self) -> tuple[Example, ...]:
        """The examples to train on."""
        return tuple(mined.example for mined in self.kept)

    def after(self, earlier: "MinedSet") -> "MinedSet":
        """Return this one as a second pass over the examples that an earlier one gave neighbours to."""
        near = {(one.example.query_id, found.text) for one in earlier.kept for found in one.negatives if found.rank}
        kept = tuple(
            replace(
                one,
                negatives=tuple(
                    replace(found, kind="neighbour") if (one.example.query_id, found.text) in near else found
                    for found in one.negatives
                ),
            )
            for one in self.kept
        )
        removed = dict(Counter(self.removed) + Counter(earlier.removed))
        return replace(self, kept=kept, removed=removed, candidates=self.candidates + earlier.candidates)

    def joined(self, other: "MinedSet") -> "MinedSet":
        """Return both as one; the similarity of unrelated texts becomes the mean by examples."""
        mine, theirs = (len(side.kept) + len(side.dropped) for side in (self, other))
        floor = (self.floor * mine + other.floor * theirs) / max(1, mine + theirs)
        return MinedSet(
            self.kept + other.kept,
            self.dropped + other.dropped,
            dict(Counter(self.removed) + Counter(other.removed)),
            self.candidates + other.candidates,
            self.short + other.short,
            floor,
            self.spec,
        )


def mine_negatives(
    examples: Sequence[Example],
    corpus: MiningCorpus,
    spec: NegativeSpec = NegativeSpec(),
    *,
    reranker: Reranker | None = None,
    progress: Progress | None = None,
) -> MinedSet:
    """Find negatives for each example. The same seed gives the same ones, whatever the order of the examples.

    Args:
        examples: All that are trained on, so that a positive of one is not a negative of another that asks the same.
        corpus: Where to mine.
        spec: How.
        reranker: Takes out what it finds relevant, and its logits become the rows' teacher scores.
        progress: Receives the number of examples finished.

    Raises:
        ModelError: If the pool needs vectors and there are none, or the embedder fails.

    Example:
        >>> from quarry.training.examples.example import Example
        >>> from quarry.training.examples.rows import TrainingRow
        >>> from quarry.training.negatives.corpus import MiningCorpus
        >>> texts = ["Books may be renewed twice.", "Books are lent for a month.", "The desk lends umbrellas."]
        >>> asked = Example.of(TrainingRow("how often are books renewed", (texts[0],)))
        >>> found = mine_negatives([asked], MiningCorpus.from_texts(texts, None), NegativeSpec("bm25", (0, 3), number=1))
        >>> found.examples[0].row.neg
        ('Books are lent for a month.',)
    """
    run = _Run(corpus, spec, reranker, KnownGood.of(examples), _floor(examples, corpus, spec))
    for first in range(0, len(examples), _BLOCK):
        block = examples[first : first + _BLOCK]
        rankings = corpus.rankings([example.row.query for example in block], spec.pool, spec.depth)
        looked = [run.look(example, ranking) for example, ranking in zip(block, rankings, strict=True)]
        for place, score in run.missing_scores(looked).items():
            looked[place].positive_score = score
        for one in looked:
            run.mine(one)
        if progress is not None:
            progress(len(block))
    return MinedSet(tuple(run.kept), tuple(run.dropped), dict(+run.removed), run.candidates, run.short, run.floor, spec)


def _floor(examples: Sequence[Example], corpus: MiningCorpus, spec: NegativeSpec) -> float:
    """Return the mean similarity of queries and random passages; 0 where it is not used or scores are BM25's."""
    if not (spec.above_random and spec.relative is not None and corpus.has_vectors and examples):
        return 0.0
    rng = np.random.default_rng(spec.seed)
    queries = [query for _, query in sorted({example.key: example.row.query for example in examples}.items())]
    picked = [queries[row] for row in rng.choice(len(queries), min(_FLOOR_QUERIES, len(queries)), replace=False)]
    rows = rng.choice(len(corpus.ids), min(_FLOOR_PASSAGES, len(corpus.ids)), replace=False)
    found = corpus.scores(picked, [corpus.ids[row] for row in rows])
    return float(np.mean([score for scores in found for score in scores.values()]))


@dataclass(slots=True)
class _Looked:
    """One example with the ranking of its query: texts, scores on one scale, and which hits are known to be good."""

    example: Example
    ids: list[str]
    texts: list[str]
    scores: list[float]
    good: list[bool]
    positive_score: float | None
    in_corpus: bool

    def positive_rank(self) -> int | None:
        """Rank of the best positive, from 1; for one that is not in the corpus the rank its score would get; else None."""
        if any(self.good):
            return self.good.index(True) + 1
        if self.positive_score is None or self.in_corpus:
            return None
        above = sum(score > self.positive_score for score in self.scores)
        return above + 1 if above < len(self.scores) else None


class _Run:
    """One pass over the examples."""

    def __init__(
        self,
        corpus: MiningCorpus,
        spec: NegativeSpec,
        reranker: Reranker | None,
        known: dict[str, KnownGood],
        floor: float,
    ) -> None:
        self._corpus, self._spec, self._reranker, self._known = corpus, spec, reranker, known
        self.floor = floor
        self.kept: list[MinedExample] = []
        self.dropped: list[tuple[Example, int | None]] = []
        self.removed: Counter[Message] = Counter()
        self.candidates = 0
        self.short = 0

    def look(self, example: Example, ranking: Ranking) -> _Looked:
        """Read the ranking of a query."""
        good = self._known[example.key]
        ids = [hit.chunk_id for hit in ranking.hits]
        texts = self._corpus.texts(ids)
        flags = [good.holds(passage_id, text) for passage_id, text in zip(ids, texts, strict=True)]
        if self._corpus.has_vectors:
            known = {hit.chunk_id: hit.evidence.dense.score for hit in ranking.hits if hit.evidence.dense}
            known |= self._corpus.scores([example.row.query], [name for name in ids if name not in known])[0]
        else:
            known = {hit.chunk_id: hit.score for hit in ranking.hits}
        scores = [known[name] for name in ids]
        best = max((score for score, flag in zip(scores, flags, strict=True) if flag), default=None)
        if best is None:
            (found,) = self._corpus.scores([example.row.query], sorted(good.ids))
            best = max(found.values(), default=None)
        in_corpus = any(self._corpus.holds(name) for name in good.ids)
        return _Looked(example, ids, texts, scores, flags, best, in_corpus)

    def missing_scores(self, looked: Sequence[_Looked]) -> dict[int, float]:
        """Score the positives that are neither among the hits nor in the corpus, by their texts, all in one batch."""
        pairs = [
            (place, text)
            for place, one in enumerate(looked)
            if one.positive_score is None
            for text in one.example.row.pos
        ]
        scores = self._corpus.text_scores([(looked[place].example.row.query, text) for place, text in pairs])
        best: dict[int, float] = {}
        for (place, _), score in zip(pairs, scores, strict=True):
            if score is not None:
                best[place] = max(score, best.get(place, score))
        return best

    def mine(self, one: _Looked) -> None:
        """Choose the negatives of an example, or drop it."""
        rank, within = one.positive_rank(), self._spec.consistent_within
        decidable = any(one.good) or one.in_corpus or one.positive_score is not None
        if within is not None and decidable and (rank is None or rank > within):
            self.dropped.append((one.example, rank))
            return
        choice = Choice(one.example, self._known[one.example.key], self._reranker, self._spec, self.removed)
        places = self._window(one)
        mined = choice.take(places, "mined", one.ids, one.texts, one.scores)
        self.short += not mined
        if not mined and self._spec.fill:
            self._fill(one, choice)
        self.kept.append(MinedExample(choice.filled(), tuple(choice.taken), rank, one.positive_score))

    def _window(self, one: _Looked) -> list[int]:
        """Return the places of the window that pass the rules which need no drawing, in the order of the draw."""
        first, last = self._spec.ranks
        window = range(first, min(last, len(one.ids)))
        self.candidates += len(window)
        limit = self._limit(one)
        query = text_key(one.example.row.query)
        left = []
        for place in window:
            if one.good[place]:
                self.removed[KNOWN] += 1
            elif text_key(one.texts[place]) == query:
                self.removed[LIKE_QUERY] += 1
            elif one.scores[place] > limit:
                self.removed[TOO_SIMILAR] += 1
            else:
                left.append(place)
        return [left[row] for row in self._rng(one).permutation(len(left))]

    def _limit(self, one: _Looked) -> float:
        """Return the highest score that a negative may have."""
        positive, limit = one.positive_score, np.inf
        if positive is None:
            return limit
        if self._spec.relative is not None:
            limit = min(positive, self.floor + self._spec.relative * (positive - self.floor))
        if self._spec.absolute is not None:
            limit = min(limit, positive - self._spec.absolute)
        return limit

    def _rng(self, one: _Looked) -> np.random.Generator:
        name = f"{self._spec.seed}\0{one.example.query_id}\0{one.example.row.pos[0]}".encode("utf-8", "replace")
        return np.random.default_rng(int.from_bytes(sha256(name).digest()[:8]))

    def _fill(self, one: _Looked, choice: Choice) -> None:
        """Take random passages from outside the ranking."""
        rng, ranked, limit = self._rng(one), frozenset(one.ids), self._limit(one)
        rows = rng.choice(len(self._corpus.ids), min(4 * self._spec.number, len(self._corpus.ids)), replace=False)
        ids = [self._corpus.ids[row] for row in rows if self._corpus.ids[row] not in ranked]
        texts = self._corpus.texts(ids)
        (found,) = self._corpus.scores([one.example.row.query], ids)
        scores = [found[name] for name in ids]
        good = self._known[one.example.key]
        fit = [row for row, name in enumerate(ids) if scores[row] <= limit and not good.holds(name, texts[row])]
        choice.take(fit, "random", ids, texts, scores)
