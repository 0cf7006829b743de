"""Lance's indexes on the tables of a generation, and how far its vectors are found through them.

Vectors are quantized by RaBitQ (Gao and Long, SIGMOD 2024) in partitions, and the best candidates are compared with their stored
vectors. How many candidates that takes is tried out in all partitions, fewest first, until recall@10 against exact search is 0.95; then
whether fewer partitions do. Neither can make up for too little of the other, so a dozen combinations need not be tried.
"""

from collections.abc import Callable, Iterator
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import SearchError
from quarry.indexer.stores.checks import recall, tuning_queries
from quarry.indexer.stores.lake.layout import DOCUMENTS, PASSAGES, STATES, TERMS, VALUES, VectorFacts
from quarry.indexer.stores.lake.tables import Table, translated
from quarry.indexer.stores.lake.vectors import LakeVectors

LEAST_RECALL = 0.95
INDEX_FROM = 50_000  # vectors; fewer are compared one by one
_BITS = 4  # per number: an eighth of the vectors; one bit needs hundreds of candidates per hit where vectors have no neighborhoods
_IN_PARTITION = 4_096  # vectors, on average
_REFINE = (10, 30, 100, 300, 1_000)
_NEAR = 0.03  # of the target: more candidates may make up for so much recall that fewer partitions lose
_SAMPLE = 100  # questions
_FOUND = 10
_BATCH = 16_384


def index_tables(tables: dict[str, Any]) -> None:
    """Index everything but vectors. Raises IndexFormatError when Lance fails."""
    from lancedb.index import FTS, Bitmap, BTree, LabelList

    columns: list[tuple[str, str, Any]] = [
        *((PASSAGES, name, BTree()) for name in ("chunk_id", "doc_id", "name", "source")),
        (PASSAGES, "facts", LabelList()),
        (PASSAGES, "lang", Bitmap()),
        (
            PASSAGES,
            "terms",
            FTS(
                base_tokenizer="whitespace",
                lower_case=False,
                stem=False,
                remove_stop_words=False,
                ascii_folding=False,
                max_token_length=None,
                with_position=False,
            ),
        ),
        (DOCUMENTS, "doc_id", BTree()),
        (TERMS, "term", BTree()),
        (VALUES, "key", BTree()),
        *([(STATES, "id", BTree())] if STATES in tables else []),
    ]
    for name, column, config in columns:
        table = tables[name]
        if table.count_rows():
            with translated(name):
                table.create_index(column, config=config, replace=True)


def index_vectors(table: Any, column_of_ids: str, dim: int, place: str, *, index_from: int = INDEX_FROM) -> VectorFacts:
    """Index the vectors of a table, and find out how to search them.

    Args:
        table: The table.
        column_of_ids: The name of the column of ids.
        dim: Length of the vectors.
        place: Where it lies, for errors.
        index_from: With fewer rows, every vector is compared.

    Returns:
        How to search.

    Raises:
        SearchError: If recall@10 stays below 0.95.
        IndexFormatError: If Lance fails.
    """
    count = table.count_rows()
    if count < index_from:
        return VectorFacts()
    from lancedb.index import IvfRq

    partitions = max(1, round(count / _IN_PARTITION))
    with translated(place):
        table.create_index(
            "vector", config=IvfRq(distance_type="dot", num_partitions=partitions, num_bits=_BITS), replace=True
        )
    opened = Table(table, place)
    queries, truth = _truth(opened, column_of_ids, dim, count)

    def tried(probes: int, refine: int) -> VectorFacts:
        facts = VectorFacts(index="IVF_RQ", probes=probes, refine=refine, sample=len(queries))
        found = LakeVectors(opened, column_of_ids, dim, facts).search(queries, _FOUND)
        return facts.model_copy(update={"recall": round(recall(truth, found), 4)})

    best = VectorFacts()
    for refine in _REFINE:
        best = tried(partitions, refine)
        if best.recall >= LEAST_RECALL:
            return _fewest(tried, best)
    raise SearchError(
        "lake.low_recall",
        "recall@10 of {place} is {recall:.3f} with {probes} of {partitions} partitions and {refine} candidates per hit",
        expected="at least {least}",
        do="What is live is as it was. The vectors have no neighborhoods that an index finds: check the model with `quarry doctor`, or "
        "use a model of fewer dimensions",
        place=place,
        recall=best.recall,
        probes=best.probes,
        partitions=partitions,
        refine=best.refine,
        least=LEAST_RECALL,
    )


def _fewest(tried: Callable[[int, int], VectorFacts], found: VectorFacts) -> VectorFacts:
    """Return the cheapest way of searching, given one that suffices in all partitions."""
    more = [refine for refine in _REFINE if refine >= found.refine][:2]
    for probes in _probes(found.probes)[:-1]:
        for refine in more:
            facts = tried(probes, refine)
            if facts.recall >= LEAST_RECALL:
                return facts
            if facts.recall < LEAST_RECALL - _NEAR:
                break
    return found


def _probes(partitions: int) -> list[int]:
    """Return how many partitions are looked into, fewest first."""
    return sorted({max(1, round(sqrt(partitions))), max(1, partitions // 4), partitions})


def _truth(table: Table, column: str, dim: int, count: int) -> tuple[Vectors, list[set[str]]]:
    """Return questions between stored vectors, and the ids of the ten nearest of each by comparing every vector, in one pass."""
    step = max(1, count // (4 * _SAMPLE))
    offsets = np.arange(0, count, step)[: 2 * _SAMPLE]
    queries = tuning_queries(LakeVectors(table, column, dim, VectorFacts()).vectors_of(offsets), _SAMPLE)
    ids: list[list[str]] = [[] for _ in queries]
    scores = [np.zeros(0, np.float32) for _ in queries]
    for names, vectors in _blocks(table, column, dim):
        similar = queries @ vectors.T
        for row in range(len(queries)):
            top = np.argpartition(-similar[row], min(_FOUND, len(names) - 1))[:_FOUND]
            merged = np.concatenate([scores[row], similar[row][top]])
            both = [*ids[row], *(names[place] for place in top.tolist())]
            order = np.argsort(-merged, kind="stable")[:_FOUND]
            scores[row], ids[row] = merged[order], [both[place] for place in order.tolist()]
    return queries, [set(each) for each in ids]


def _blocks(table: Table, column: str, dim: int) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    for batch in table.batches([column, "vector"], _BATCH):
        if batch.num_rows:
            yield batch[column].to_pylist(), batch["vector"].flatten().to_numpy().reshape(-1, dim)
