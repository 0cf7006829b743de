"""Queries with the candidates that the index itself finds for them, their stored token vectors, and which ones are right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import ModelError
from quarry.indexer.stores.lake.view import address_of
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.ranking import Query
from quarry.retriever.rerankers.late_interaction import Compared
from quarry.retriever.searcher import Searcher, SearchOptions, document_of
from quarry.training.examples.example import Example
from quarry.training.examples.held_out import Places

CUTOFF = 10


@dataclass(frozen=True, slots=True)
class CandidateList:
    """One query.

    Attributes:
        compared: What the second stage sees.
        documents: The document of each candidate.
        relevant: The documents that answer the query.
    """

    compared: Compared
    documents: Sequence[str]
    relevant: frozenset[str]

    def positive(self) -> int | None:
        """Return the first candidate of a relevant document; None when there is none: then the order cannot help."""
        return next((row for row, name in enumerate(self.documents) if name in self.relevant), None)

    def negatives(self, most: int) -> list[int]:
        """Return the first candidates of other documents, at most `most`."""
        return [row for row, name in enumerate(self.documents) if name not in self.relevant][:most]

    def quality(self, scores: NDArray[np.float32]) -> float:
        """Return nDCG@10 of the documents in the order of scores; the best passage of a document stands for it."""
        order = sorted(range(len(scores)), key=lambda row: (-float(scores[row]), row))
        ranked = list(dict.fromkeys(self.documents[row] for row in order))
        return ndcg(ranked, dict.fromkeys(self.relevant, 1), CUTOFF)


def candidate_lists(searcher: Searcher, examples: Sequence[Example], places: Places, depth: int) -> list[CandidateList]:
    """Rank each example's query by the fused route, and keep those with candidates and a known answer.

    Raises:
        ModelError: If the index has no token states, or its model gives none.
        IndexFormatError: If token states are missing or damaged.
    """
    answers: dict[str, frozenset[str]] = {}
    for example in examples:
        found = frozenset(places.documents(example))
        if found:
            answers[example.row.query] = answers.get(example.row.query, frozenset()) | found
    return list(judged_lists(searcher, answers, depth).values())


def judged_lists(searcher: Searcher, answers: Mapping[str, frozenset[str]], depth: int) -> dict[str, CandidateList]:
    """Rank questions, given with the documents that answer them, by the fused route; those with candidates are kept.

    Raises:
        ModelError: As `candidate_lists`.
        IndexFormatError: As `candidate_lists`.
    """
    late = searcher.pipeline.late
    if late is None:
        raise no_token_states(searcher.index.root)
    asked = [Query(text, text) for text in answers]
    lists = {}
    for ranking in searcher.rank(asked, depth, SearchOptions(rerank=False)):
        if len(ranking.hits) > 1:
            documents = [document_of(hit.chunk_id) for hit in ranking.hits]
            compared = late.compared(ranking.query.text, ranking.hits)
            lists[ranking.query.query_id] = CandidateList(compared, documents, answers[ranking.query.query_id])
    return lists


def no_token_states(index: Path) -> ModelError:
    """Return the error for an index whose second stage cannot be tuned because it has none."""
    if (lake := address_of(index)) is not None:
        return ModelError(
            "tuning.no_token_states_in_lake",
            "the lake {lake} holds no token states, so there is no second stage to tune",
            expected="one that was made with `quarry lake init --rerank-vectors`",
            do="Tune its questions or a reranker instead (--what queries or reranker)",
            lake=lake,
        )
    return ModelError(
        "tuning.no_token_states",
        "{index} holds no token states, so there is no second stage to tune",
        expected="an index that has them",
        do="Add them with `quarry index PATH --into {index} --rerank-vectors`",
        index=index,
    )
