"""Training pairs out of the user's own documents, for when there is little feedback: patterns, then two filters.

C-Pack's way (C-MTP, arXiv 2309.07597): structure gives pairs (`quarry.training.examples.patterns`); general rules take out what is too
short, too long, in no known script, repeated or unspecific; a model takes out pairs that it finds no more similar than texts
put together at random. The paper dropped pairs below 0.43 with its scorer; such a number holds for one model only, so here
the threshold is read off the scores of random pairs.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Embedder, Progress
from quarry.indexer.language import language_of, length_in_words
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.training.examples import reasons
from quarry.training.examples.example import Example, text_key
from quarry.training.examples.histogram import Histogram
from quarry.training.examples.near_duplicates import near_duplicates
from quarry.training.examples.patterns import RawPair, raw_pairs
from quarry.training.examples.rows import TrainingRow

_BLOCK = 512  # pairs encoded together
_SENTENCE_ENDS = "。！？.!?\n"


@dataclass(frozen=True, slots=True)
class PairOptions:
    """What a pair must be.

    Attributes:
        query_words: Fewest and most words of a query; a Chinese character is a word.
        passage_words: Fewest words of a passage.
        passage_chars: Longer passages are cut at the end of a sentence before it.
        letters: Share of letters among the characters that are not white space, at least, of query and of passage.
        generic_from: A heading in this many documents gets the document's title before it.
        passages_per_query: A query with more different passages is unspecific: all its pairs go.
        same_passage: Similarity from which passages are copies; the first stays.
        random_quantile: Share of random pairs that must score below a pair for it to stay; 0 switches the model filter off.
        limit: Most pairs scored, drawn at random; None takes all.
        seed: For the draw and the random pairs.

    Raises:
        ValueError: If a share is out of range.
    """

    query_words: tuple[int, int] = (2, 64)
    passage_words: int = 8
    passage_chars: int = 1_200
    letters: float = 0.5
    generic_from: int = 4
    passages_per_query: int = 3
    same_passage: float = 0.9
    random_quantile: float = 0.9
    limit: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.letters <= 1 and 0 < self.same_passage <= 1 and 0 <= self.random_quantile < 1):
            raise ValueError(f"{self}; expected shares between 0 and 1")


@dataclass(frozen=True, slots=True)
class MinedPairs:
    """What the documents gave.

    Attributes:
        examples: With one positive each, or a few when a query has several passages.
        found: Pairs per pattern before any filter.
        kept: Pairs per pattern after all filters.
        dropped: Pairs left out, by reason.
        threshold: Model score below which pairs were left out; None without a model.
        scores: Scores of the pairs.
        random_scores: Scores of the same queries with other pairs' passages.
        weakest: (query, passage, score) of some pairs that the model filter took out, best first, for a person to judge.
    """

    examples: tuple[Example, ...]
    found: dict[str, int]
    kept: dict[str, int]
    dropped: reasons.Counts
    threshold: float | None
    scores: Histogram
    random_scores: Histogram
    weakest: tuple[tuple[str, str, float], ...]


def mine_pairs(
    documents: Iterable[Document],
    embedder: Embedder | None,
    rules: PairOptions = PairOptions(),
    *,
    progress: Progress | None = None,
) -> MinedPairs:
    """Mine pairs from documents, such as `index.chunks.documents()`.

    Args:
        documents: Read once, one after another.
        embedder: Filters pairs by similarity; None skips the filter.
        rules: What a pair must be.
        progress: Receives the number of pairs scored.
    """
    found = [pair for document in documents for pair in raw_pairs(document)]
    dropped: Counter[Message] = Counter()
    pairs = _specific(found, rules.generic_from)
    pairs = _acceptable(pairs, rules, dropped)
    pairs = _different(pairs, rules, dropped)
    if rules.limit is not None and len(pairs) > rules.limit:
        drawn = np.sort(np.random.default_rng(rules.seed).choice(len(pairs), rules.limit, replace=False))
        dropped[reasons.BEYOND_LIMIT] += len(pairs) - rules.limit
        pairs = [pairs[row] for row in drawn]
    threshold, weakest = None, list[tuple[str, str, float]]()
    scores, unrelated = np.zeros(0, np.float32), np.zeros(0, np.float32)
    if embedder is not None and rules.random_quantile and len(pairs) > 1:
        scores, unrelated = pair_scores([(one.query, one.passage) for one in pairs], embedder, rules.seed, progress)
        threshold = float(np.quantile(unrelated, rules.random_quantile))
        out = [row for row in np.argsort(-scores, kind="stable") if scores[row] < threshold]
        weakest = [(pairs[row].query, pairs[row].passage, float(scores[row])) for row in out[:10]]
        dropped[reasons.UNRELATED] += len(out)
        pairs = [pair for pair, score in zip(pairs, scores, strict=True) if score >= threshold]
    return MinedPairs(
        examples=_examples(pairs),
        found=dict(Counter(pair.pattern for pair in found)),
        kept=dict(Counter(pair.pattern for pair in pairs)),
        dropped=dict(+dropped),
        threshold=threshold,
        scores=Histogram.of(scores.tolist()),
        random_scores=Histogram.of(unrelated.tolist()),
        weakest=tuple(weakest),
    )


def _specific(pairs: Sequence[RawPair], generic_from: int) -> list[RawPair]:
    """Put the title before headings that many documents have, such as "Remarks" or "备注"."""
    where: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        where[text_key(pair.query)].add(pair.doc_id)
    generic = {key for key, documents in where.items() if len(documents) >= generic_from}
    return [
        pair._replace(query=pair.specific)
        if pair.pattern in ("heading", "question heading") and text_key(pair.query) in generic
        else pair
        for pair in pairs
    ]


def _acceptable(pairs: Sequence[RawPair], rules: PairOptions, dropped: Counter[Message]) -> list[RawPair]:
    kept = []
    for pair in pairs:
        fitted = pair._replace(passage=_fitted(pair.passage, pair.query, rules.passage_chars))
        reason = _fault(fitted, rules)
        if reason is None:
            kept.append(fitted)
        else:
            dropped[reason] += 1
    return kept


def _fitted(passage: str, query: str, longest: int) -> str:
    """Take the query off the passage's beginning, and cut what is too long at the end of a sentence."""
    text = passage.strip()
    if text.startswith(query):
        text = text[len(query) :].lstrip(" \n:：.。*_-")
    if len(text) <= longest:
        return text
    end = max(text.rfind(mark, longest // 2, longest) for mark in _SENTENCE_ENDS)
    return text[: end + 1 if end > 0 else longest].rstrip()


def _fault(pair: RawPair, rules: PairOptions) -> Message | None:
    fewest, most = rules.query_words
    words = length_in_words(pair.query)
    if not fewest <= words <= most:
        return reasons.QUERY_SHORT if words < fewest else reasons.QUERY_LONG
    if length_in_words(pair.passage) < rules.passage_words:
        return reasons.PASSAGE_SHORT
    for text in (pair.query, pair.passage):
        letters = sum(character.isalpha() for character in text)
        if "\ufffd" in text or letters < rules.letters * sum(not character.isspace() for character in text):
            return reasons.NO_LETTERS
    if language_of(pair.query) == "other" or language_of(pair.passage) == "other":
        return reasons.OTHER_SCRIPT
    return None


def _different(pairs: Sequence[RawPair], rules: PairOptions, dropped: Counter[Message]) -> list[RawPair]:
    """Leave out copies of passages, and queries that stand for too many different ones."""
    copies = {pair.second for pair in near_duplicates([pair.passage for pair in pairs], rules.same_passage)}
    dropped[reasons.COPY] += len(copies)
    single = [pair for row, pair in enumerate(pairs) if row not in copies]
    passages = Counter(text_key(pair.query) for pair in single)
    kept = [pair for pair in single if passages[text_key(pair.query)] <= rules.passages_per_query]
    dropped[reasons.GENERIC] += len(single) - len(kept)
    return kept


def pair_scores(
    pairs: Sequence[tuple[str, str]], embedder: Embedder, seed: int, progress: Progress | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the cosine of each (query, passage), and of each query with another pair's passage; both of shape (len(pairs),).

    At least two pairs are needed, or there is no other one.
    """
    scores = np.empty(len(pairs), dtype=np.float32)
    unrelated = np.empty(len(pairs), dtype=np.float32)
    order = np.random.default_rng(seed).permutation(len(pairs))  # so that neighbours are not of one document
    starts = range(0, len(pairs), _BLOCK)
    for first in starts:
        rows = order[first : first + _BLOCK] if len(pairs) - first > 1 else order[first - 1 :]  # one alone has no other
        queries = embedder.embed_queries([pairs[row][0] for row in rows])
        passages = embedder.embed_documents([pairs[row][1] for row in rows])
        scores[rows] = np.einsum("nd,nd->n", queries, passages)
        unrelated[rows] = np.einsum("nd,nd->n", queries, np.roll(passages, 1, axis=0))
        if progress is not None:
            progress(min(_BLOCK, len(pairs) - first))
    return scores, unrelated


def _examples(pairs: Sequence[RawPair]) -> tuple[Example, ...]:
    """Make one example per query."""
    grouped: dict[str, list[RawPair]] = {}
    for pair in pairs:
        grouped.setdefault(text_key(pair.query), []).append(pair)
    return tuple(
        Example.of(
            TrainingRow(group[0].query, tuple(dict.fromkeys(pair.passage for pair in group))),
            origin="mined",
            source=f"{group[0].pattern} of {group[0].doc_id}",
        )
        for group in grouped.values()
    )
