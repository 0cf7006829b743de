"""Rankings of different passages: copies of a passage stand with the best of them instead of filling the list.

Runs and evaluations rank all documents, copies included (docs/decisions.md): this is for lists that people and programs read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.retriever.ranking import Query, Ranking
from quarry.retriever.shown.copies import Copy, Told, first_of_each

_COMPARED = 50  # passages that are compared at first, at least
_DEEPER = 8  # times as many, while copies leave fewer than were asked for
_DEEPEST = 5_000
Rank = Callable[[Sequence[Query], int], list[Ranking]]


@dataclass(frozen=True, slots=True)
class Distinct:
    """A ranking without copies: `copies` has those of each hit, in order."""

    ranking: Ranking
    copies: tuple[tuple[Copy, ...], ...]


def distinct(rank: Rank, chunks: ChunkTable, queries: Sequence[Query], k: int) -> list[Distinct]:
    """Rank k different passages for each query.

    Args:
        rank: Ranks passages, copies among them.
        chunks: Their texts.
        queries: What is asked.
        k: Different passages per query.
    """
    depth = max(_COMPARED, 2 * k)
    out = []
    for query, first in zip(queries, rank(queries, depth), strict=True):
        ranking, asked = first, depth
        found = _collapsed(ranking, chunks, k)
        while len(found.ranking.hits) < k and len(ranking.hits) == asked < _DEEPEST:
            asked *= _DEEPER
            (ranking,) = rank([query], asked)
            found = _collapsed(ranking, chunks, k)
        out.append(found)
    return out


def every_one(rankings: Sequence[Ranking]) -> list[Distinct]:
    """Return rankings as they are, copies included."""
    return [Distinct(ranking, tuple(() for _ in ranking.hits)) for ranking in rankings]


def _collapsed(ranking: Ranking, chunks: ChunkTable, k: int) -> Distinct:
    found = chunks.chunks([hit.chunk_id for hit in ranking.hits])
    doc_ids = [chunk.doc_id for chunk in found]
    titles, metas = chunks.titles(doc_ids), chunks.meta(doc_ids)
    sources = [str(metas[doc_id].get("source", doc_id)) for doc_id in doc_ids]
    keys = [
        Told(chunk.text, chunk.heading, titles[chunk.doc_id], source).key()
        for chunk, source in zip(found, sources, strict=True)
    ]
    groups = first_of_each(keys, k)
    copies = tuple(
        tuple(
            Copy(doc_ids[place], found[place].chunk_id, sources[place], titles[doc_ids[place]] or doc_ids[place])
            for place in group[1:]
        )
        for group in groups
    )
    return Distinct(replace(ranking, hits=tuple(ranking.hits[group[0]] for group in groups)), copies)
