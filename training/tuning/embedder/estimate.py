"""How long the rest of a run of an embedder will take, from the time that its model takes for a few passages here and now.

A forward's time follows the text's length, so all is counted in characters: training is forwards and backwards over the rows, and
everything else is forwards. The figure is a person's "come back in ten minutes", not a promise.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from quarry.indexer.embedder import Embedder
from quarry.indexer.language import language_of
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import passage_text
from quarry.retriever.data.datasets import Dataset, documents
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.spec import TrainSpec

PROBED = 48  # passages that the model is timed with: under a second of the offline model
_LENGTHS = 400  # passages whose mean length stands for all
# Forwards that training is worth for each text: one with gradients, the way back, and the evaluations between. 96 rows of scifact-en
# with two negatives each, by the offline model on one core, took 6.4 times the time of the probe per character.
TRAINING = 6.4
_TOKENS = {"zh": 1.5}  # characters a token; others 4


@dataclass(frozen=True, slots=True)
class Work:
    """What is left to do, in characters that a model reads forwards.

    Attributes:
        training: Of the training, the way back counted as forwards.
        choosing: To choose how much of the tuned weights to keep.
        encoding: Of the passages of the index.
        judging: Of the sets that the verdict is about.
    """

    training: float
    choosing: float
    encoding: float
    judging: float


def seconds_per_character(embedder: Embedder, texts: Sequence[str]) -> float:
    """Time the model with a few texts; one call before it is not counted, as it loads the weights.

    Raises:
        ModelError: If the model fails.
    """
    probed = [text for text in texts if text.strip()][:PROBED]
    if not probed:
        return 0.0
    embedder.embed_documents(probed[:1])
    began = time.perf_counter()
    embedder.embed_documents(probed)
    return (time.perf_counter() - began) / sum(map(len, probed))


def work_of(index: Index, rows: Sequence[TrainingRow], dev: DevSet, judged: Iterable[Dataset], spec: TrainSpec) -> Work:
    """Count what a run has to read.

    Args:
        index: Its passages are encoded with the tuned model.
        rows: What is trained on.
        dev: What it is chosen by.
        judged: The sets with a corpus of their own that both models rank.
        spec: How it is trained.

    Raises:
        CorpusError: If a set cannot be read.
    """
    kept = spec.loss.hard_negatives
    texts = ((row.query, spec.max_query_tokens, (row.pos[0], *row.neg[:kept])) for row in rows)
    row_length = sum(
        _read(query, asked) + sum(_read(text, spec.max_passage_tokens) for text in passages)
        for query, asked, passages in texts
    )
    sets = sum(len(passage_text(one.title, "", one.text)) for dataset in judged for one in documents(dataset))
    return Work(
        training=TRAINING * spec.epochs * row_length,
        choosing=sum(map(len, dev.passages.values())),
        encoding=_characters(index),
        judging=sets,
    )


def estimate(work: Work, second: float, shares: int) -> Message:
    """Return the notice of how long it will take.

    Args:
        work: What is left to do.
        second: Seconds a character.
        shares: How many mixtures with the base model are tried.
    """
    training = work.training * second
    encoding = work.encoding * second
    judging = (work.judging + work.choosing * shares) * second
    return Message.of(
        "tuning.estimate",
        "about {all} from here: training {training}, encoding the passages {encoding}, choosing and judging {judging}",
        all=_spoken(training + encoding + judging),
        training=_spoken(training),
        encoding=_spoken(encoding),
        judging=_spoken(judging),
    )


def _read(text: str, tokens: int) -> float:
    """Return how many characters of a text the model reads, when it is cut to so many tokens."""
    return min(len(text), tokens * _TOKENS.get(language_of(text), 4.0))


def _characters(index: Index) -> float:
    """Return the length of all passages, from the mean of some."""
    ids, _ = index.chunks.digests()
    if not len(ids):
        return 0.0
    drawn = np.random.default_rng(0).permutation(len(ids))[:_LENGTHS]
    return float(np.mean([len(text) for text in index.chunks.texts([ids[row] for row in drawn])])) * len(ids)


def _spoken(seconds: float) -> Message:
    if seconds < 90:
        return Message.of("tuning.seconds", "{count} s", count=max(1, round(seconds)))
    return Message.of("tuning.minutes", "{count} min", count=round(seconds / 60))
