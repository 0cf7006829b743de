"""Held-out questions in blocks: each block is judged by what the questions before it taught, and then teaches the next.

So all but the first questions count for the verdict, and all teach the shift that goes live. The evidence is a bet on one question after
the other (`quarry.training.tuning.gate`); each is placed before its question is seen, as the shift knows only earlier blocks. Questions
that ask the same, or share an answer, are in one block.
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from quarry.retriever.data.datasets import Dataset
from quarry.retriever.ranking import Query
from quarry.training.examples.near_duplicates import components, near_duplicates
from quarry.training.examples.split import SAME_QUERY


def blocks_of(dataset: Dataset, count: int, seed: int) -> list[tuple[Query, ...]]:
    """Deal the questions out, in an order that the seed and the questions decide.

    Args:
        dataset: Judged questions.
        count: How many blocks at most.
        seed: Another seed, another order.
    """
    groups = _groups(dataset)
    order = sorted(groups, key=lambda group: sha256(f"{seed}\0{group[0].text}".encode("utf-8", "replace")).digest())
    wanted = -(-len(dataset.queries) // count)
    blocks: list[list[Query]] = [[]]
    for group in order:
        if len(blocks[-1]) >= wanted:
            blocks.append([])
        blocks[-1].extend(group)
    return [tuple(block) for block in blocks if block]


def part(dataset: Dataset, queries: Sequence[Query]) -> Dataset:
    """Return the data set with these questions alone."""
    return replace(
        dataset, queries=tuple(queries), qrels={query.query_id: dataset.qrels[query.query_id] for query in queries}
    )


def _groups(dataset: Dataset) -> list[list[Query]]:
    queries = dataset.queries
    links = [(one.first, one.second) for one in near_duplicates([query.text for query in queries], SAME_QUERY)]
    first: dict[str, int] = {}
    for place, query in enumerate(queries):
        for name, grade in dataset.qrels.get(query.query_id, {}).items():
            if grade > 0:
                links.append((first.setdefault(name, place), place))
    found: dict[int, list[Query]] = {}
    for place, group in enumerate(components(len(queries), links)):
        found.setdefault(group, []).append(queries[place])
    return list(found.values())
