"""Learning the shift in closed form: one step of listwise training, taken by the questions alone.

    s = strength * mean over judged questions of (1 - p) * (passage that answers - what stands beside it)

`p` is the share that the right passage has of a softmax over it and the nearest wrong ones, at a small temperature, and "what stands
beside it" their mean by that softmax: a question that finds its answer teaches little. This is the gradient of the listwise loss (InfoNCE)
in the question's vector. A step that is the same for all questions has as many parameters as a vector has dimensions, so 50 judgements
do not overfit it; maps with more parameters lost on held-out questions (docs/tuning.md).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from quarry.indexer.embedder import Embedder, Vectors
from quarry.indexer.opened import Index
from quarry.indexer.stores.base import VectorStore
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import document_of
from quarry.retriever.stages.query_shift import QueryShift
from quarry.training.examples.example import Example
from quarry.training.examples.held_out import Places
from quarry.training.examples.row import TrainingRow
from quarry.training.tuning.query_shift.spec import QueryShiftSpec


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question, and the documents of the index that answer it."""

    text: str
    documents: frozenset[str]


def questions_of(rows: Iterable[TrainingRow], places: Places) -> list[JudgedQuestion]:
    """Return the questions of rows, with the documents that hold their passages."""
    found: dict[str, frozenset[str]] = {}
    for row in rows:
        documents = frozenset(places.documents(Example.of(row)))
        found[row.query] = found.get(row.query, frozenset()) | documents
    return [JudgedQuestion(text, documents) for text, documents in found.items()]


def questions_asked(dataset: Dataset, queries: Iterable[Query] | None = None) -> list[JudgedQuestion]:
    """Return questions of a data set, all for None, with the documents that answer them."""
    found = []
    for query in dataset.queries if queries is None else queries:
        grades = dataset.qrels.get(query.query_id, {})
        found.append(JudgedQuestion(query.text, frozenset(name for name, grade in grades.items() if grade > 0)))
    return found


class Steps:
    """Which way each judged question should move, found once for all maps that are learned from parts of them."""

    def __init__(self, index: Index, embedder: Embedder, spec: QueryShiftSpec) -> None:
        """Take the live generation and its model."""
        self._vectors, self._embedder, self._spec = index.vectors, embedder, spec
        self._chunks: defaultdict[str, list[str]] = defaultdict(list)
        self._rows: dict[str, int] = {}
        for row, chunk_id in enumerate(index.vectors.ids if index.vectors is not None else ()):
            self._chunks[document_of(chunk_id)].append(chunk_id)
            self._rows[chunk_id] = row
        self._known: dict[JudgedQuestion, Vectors | None] = {}

    def of(self, questions: Sequence[JudgedQuestion]) -> list[Vectors]:
        """Return a step for each question whose answer has a vector, shape (dim,); questions are encoded once."""
        store, new = self._vectors, [one for one in dict.fromkeys(questions) if one not in self._known]
        if new and store is not None:
            asked = self._embedder.embed_queries([one.text for one in new])
            for one, vector in zip(new, asked, strict=True):
                self._known[one] = self._step(store, one, vector)
        return [step for one in questions if (step := self._known.get(one)) is not None]

    def learned(self, questions: Sequence[JudgedQuestion]) -> QueryShift | None:
        """Return the shift that questions teach; None when none of them has its answer in the index."""
        steps = self.of(questions)
        if not steps:
            return None
        return QueryShift((self._spec.strength * np.mean(steps, axis=0)).astype(np.float32))

    def _step(self, store: VectorStore, one: JudgedQuestion, vector: Vectors) -> Vectors | None:
        own = [chunk_id for name in one.documents for chunk_id in self._chunks.get(name, ())]
        if not own:
            return None
        known = set(own)
        (right,) = store.search(vector[np.newaxis], 1, allowed=known)
        (near,) = store.search(vector[np.newaxis], self._spec.negatives + len(own))
        wrong = [hit for hit in near if hit.chunk_id not in known][: self._spec.negatives]
        if not wrong:
            return None
        rows = np.array([self._rows[hit.chunk_id] for hit in (*right, *wrong)], dtype=np.int64)
        similarities = np.array([hit.similarity for hit in (*right, *wrong)], dtype=np.float64)
        shares = np.exp((similarities - similarities.max()) / self._spec.temperature)
        shares /= shares.sum()
        pull = -shares
        pull[0] += 1.0  # (1 - p) toward the right one, away from each wrong one by its share
        step: Vectors = (pull @ store.vectors_of(rows)).astype(np.float32)
        return step
