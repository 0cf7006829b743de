"""Vectors for titles and headings, beside those of the passages: short, cheap, and shared by all passages below.

A passage's vector is a mean over what it says; the title is one line among many. A question that names the topic, most of all one in
another language, is nearer to the title alone. `quarry.retriever.stages.names` raises passages by it.

Whether titles say anything is measured: a sentence that was taken out of a passage looks for the title of that passage among all
titles. File names, ids and titles that are all alike are not found, and then nothing is raised.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.build.plan import Plan
from quarry.indexer.build.progress import Clock
from quarry.indexer.embedder import Embedder, Vectors
from quarry.indexer.storage.layout import NAMES_NAME
from quarry.indexer.storage.measured import NameFacts
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.vectors.encoded_rows import RowsWriter
from quarry.indexer.stores import new_store
from quarry.indexer.stores.base import VectorStore
from quarry.indexer.stores.kept_vectors import KeptVectors

LEAST = 8  # passages; with fewer nothing is measured, and titles are not used
_SLICE = 2048  # titles committed at once
RANKS = 10  # that count, as in nDCG@10


def store_names(head: ChunkTable, segment: Path, plan: Plan, kept: KeptVectors, clock: Clock) -> int:
    """Encode the titles and headings that no earlier build has encoded, and write all of them to a store of the new segment.

    Args:
        head: The passages of the segment that is being built.
        segment: Its folder.
        plan: With which embedder and which kind of store.
        kept: The vectors that there are, and where new ones are kept.
        clock: Receives progress.

    Returns:
        How many there are; without any, and without a model, no store is written.
    """
    names = dict(head.names())
    if not names or plan.embedder is None:
        return 0
    spec, digests = plan.embedder.spec, list(names)
    absent = sorted(kept.missing(digests), key=lambda digest: (-len(names[digest]), digest))
    clock.phase("titles", len(absent))
    for first in range(0, len(absent), _SLICE):
        part = absent[first : first + _SLICE]
        kept.put(part, _encode([names[digest] for digest in part], plan.embedder, clock))
    folder = segment / NAMES_NAME
    folder.mkdir()
    store, rows = new_store(plan.store, folder, spec.dim, plan.uri), RowsWriter()
    for first in range(0, len(digests), _SLICE):
        part = digests[first : first + _SLICE]
        vectors = kept.get(part)
        store.add([digest.hex() for digest in part], vectors)
        rows.add(part, vectors)
    store.flush()
    rows.write(segment, spec.fingerprint, NAMES_NAME)
    return len(digests)


def _encode(texts: list[str], embedder: Embedder, clock: Clock) -> Vectors:
    return embedder.embed_documents(texts, progress=clock.observer.advance)


def measure_names(
    questions: Vectors,
    own: Sequence[bytes | None],
    names: VectorStore,
    similar: NDArray[np.float64],
    under: Sequence[bytes],
) -> NameFacts:
    """Measure how well sentences find the titles of their passages.

    Args:
        questions: Vectors of sentences taken out of passages, shape (n, dim).
        own: The digest of the title that each one's passage stands under, None without one.
        names: The vectors of the titles.
        similar: Mean similarity of the questions with each passage of a sample that has titles, shape (m,).
        under: The title of each passage of that sample.
    """
    facts = NameFacts(count=len(names), quality=0.0, offset=0.0)
    asked = [row for row, digest in enumerate(own) if digest is not None]
    if not asked or not under:
        return facts
    ranks = [
        next((rank for rank, near in enumerate(found, start=1) if near.chunk_id == digest.hex()), RANKS + 1)
        for digest, found in zip((own[row] for row in asked), names.search(questions[asked], RANKS), strict=True)
        if digest is not None
    ]
    means = _mean_similarities(questions, names, sorted({digest.hex() for digest in under}))
    offset = float(np.mean([means[digest.hex()] for digest in under]) - similar.mean())
    return facts.model_copy(update={"quality": above_chance(ranks, len(names)), "offset": offset})


def _mean_similarities(questions: Vectors, names: VectorStore, ids: Sequence[str]) -> dict[str, float]:
    totals = dict.fromkeys(ids, 0.0)
    for found in names.search(questions, len(ids), allowed=ids):
        for near in found:
            totals[near.chunk_id] += near.similarity / len(questions)
    return totals


def above_chance(ranks: Sequence[int], count: int) -> float:
    """Return the mean nDCG@10 of ranks from 1, rescaled so that a random order of `count` candidates has 0."""
    gains = 1 / np.log2(np.arange(2, 2 + min(RANKS, count)))
    chance = float(gains.sum()) / count
    mean = sum(float(gains[rank - 1]) for rank in ranks if rank <= len(gains)) / len(ranks)
    return max(0.0, (mean - chance) / (1 - chance)) if chance < 1 else 0.0
