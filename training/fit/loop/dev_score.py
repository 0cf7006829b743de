"""How well a model in training ranks: nDCG@10 of a few queries over a small candidate corpus, by exact cosine.

It is for choosing among checkpoints. What a model is worth is measured elsewhere, on other queries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from quarry.indexer.errors import FeedbackError
from quarry.retriever.data.trec import Qrels
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.ranking import Query
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.models.trainable import Trainable

CUTOFF = 10
_BUDGET = 4096  # padded tokens per forward


@dataclass(frozen=True, slots=True)
class DevSet:
    """Held-out queries with their candidates.

    Attributes:
        queries: At least one; none may be among the training rows.
        passages: Candidate id to text; every judged id must be there.
        qrels: Query id to candidate id to grade.
        prompts: Query id to instruction, for queries that have one of their own.
        hard: Query id to the candidates that are hard to tell from its answers. A reranker, which cannot score them all, is
            shown these first.
    """

    queries: tuple[Query, ...]
    passages: Mapping[str, str]
    qrels: Qrels
    prompts: Mapping[str, str] = field(default_factory=dict)
    hard: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        judged = [
            query for query in self.queries if any(grade > 0 for grade in self.qrels.get(query.query_id, {}).values())
        ]
        if not judged:
            raise FeedbackError(
                "fit.no_dev_query",
                "none of the {count} dev queries has a relevant candidate",
                expected="at least 1",
                do="Hold more judgements out",
                count=len(self.queries),
            )
        wanted = {doc_id for query in judged for doc_id in self.qrels[query.query_id]}
        if missing := sorted(wanted - self.passages.keys()):
            raise FeedbackError(
                "fit.dev_candidates",
                "{missing} judged passages are not among the {count} dev candidates, first {first}",
                expected="all of them",
                do="Add their texts",
                missing=len(missing),
                count=len(self.passages),
                first=repr(missing[0]),
            )

    @classmethod
    def of_rows(cls, rows: Sequence[TrainingRow], distractors: Sequence[str] = ()) -> "DevSet":
        """Make a dev set of held-out rows: candidates are their positives and negatives, and other passages."""
        texts = dict.fromkeys([*(text for row in rows for text in (*row.pos, *row.neg)), *distractors])
        ids = {text: str(number) for number, text in enumerate(texts)}
        grades: dict[str, dict[str, int]] = {}
        prompts = {}
        hard: dict[str, list[str]] = {}
        numbers: dict[str, str] = {}
        for row in rows:
            query_id = numbers.setdefault(row.query, f"q{len(numbers)}")
            grades.setdefault(query_id, {}).update({ids[text]: 1 for text in row.pos})
            hard.setdefault(query_id, []).extend(ids[text] for text in row.neg)
            if row.prompt:
                prompts[query_id] = row.prompt
        queries = tuple(Query(query_id, text) for text, query_id in numbers.items())
        return cls(queries, {number: text for text, number in ids.items()}, grades, prompts, hard)


def dev_score(trainable: Trainable, dev: DevSet, *, max_query_tokens: int, max_passage_tokens: int) -> float:
    """Return the mean nDCG@10 in [0, 1] over the queries that have a relevant candidate. Equal scores go in id order.

    Args:
        trainable: The model as it is now.
        dev: What to rank.
        max_query_tokens: Longer queries are cut.
        max_passage_tokens: Longer passages are cut.
    """
    ids = sorted(dev.passages)
    passages = trainable.embed(
        [trainable.document_text(dev.passages[doc_id]) for doc_id in ids],
        max_tokens=max_passage_tokens,
        token_budget=_BUDGET,
    )
    asked = [query for query in dev.queries if any(grade > 0 for grade in dev.qrels.get(query.query_id, {}).values())]
    queries = trainable.embed_queries(
        [query.text for query in asked],
        [dev.prompts.get(query.query_id, "") for query in asked],
        max_tokens=max_query_tokens,
        token_budget=_BUDGET,
    )
    similarity = queries @ passages.T  # (asked, candidates)
    best = np.argsort(-similarity, axis=1, kind="stable")[:, :CUTOFF]
    values = [
        ndcg([ids[place] for place in row], dev.qrels[query.query_id], CUTOFF)
        for query, row in zip(asked, best, strict=True)
    ]
    return float(np.mean(values))
