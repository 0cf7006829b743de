"""A file that the query names is found, whatever its text says: its best passage stands among the first three.

A file whose whole name is the query comes first. Files that have half of the query in their names fill a list that the other stages
leave short.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from math import inf, nextafter

from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.stores.base import among
from quarry.retriever.base import Retriever
from quarry.retriever.questions.file_names import FileNames, Named
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking
from quarry.retriever.stages.exact import PLACES, in_descending_order

_MOST = 3  # files that are moved up


@dataclass(frozen=True, slots=True)
class NamedKept:
    """A Retriever that keeps the files that a query names among the first three of another one's ranking."""

    first: Retriever
    names: Callable[[], FileNames]
    chunks: ChunkTable

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k best passages, with those of the named files."""
        named = [self.names().named(query.text) for query in queries]
        if not any(named):
            return self.first.retrieve(queries, k, allowed=allowed)
        rankings = self.first.retrieve(queries, max(k, PLACES), allowed=allowed)
        kept = [self._kept(ranking, files, k, allowed) for ranking, files in zip(rankings, named, strict=True)]
        return [replace(ranking, hits=ranking.hits[:k]) for ranking in kept]

    def _kept(self, ranking: Ranking, files: Sequence[Named], k: int, allowed: Collection[str] | None) -> Ranking:
        hits = list(ranking.hits)
        sources = self._sources(hits)
        for place, file in reversed([*enumerate(file for file in files[:_MOST] if file.whole)]):
            at = next((row for row, hit in enumerate(hits) if sources.get(hit.chunk_id) == file.source), None)
            passages = [hits[at].chunk_id] if at is not None else self._passages(file, allowed)
            if passages:
                hits = _placed(hits, file, passages[0], place)
        for file in files:
            if len(hits) >= k:
                break
            shown = any(sources.get(hit.chunk_id) == file.source or hit.evidence.file == file.source for hit in hits)
            passages = [] if shown else self._passages(file, allowed)
            if passages:
                hits.append(_new_hit(hits, file, passages[0], hits[-1].score if hits else 1.0))
        return replace(ranking, hits=tuple(in_descending_order(hits)))

    def _sources(self, hits: Sequence[Hit]) -> dict[str, str]:
        """Return the files of hits, by chunk id."""
        documents = {hit.chunk_id: hit.chunk_id.rpartition("#")[0] for hit in hits}
        metas = self.chunks.meta([*documents.values()])
        return {chunk_id: str(metas.get(doc_id, {}).get("source", "")) for chunk_id, doc_id in documents.items()}

    def _passages(self, file: Named, allowed: Collection[str] | None) -> list[str]:
        found = self.chunks.of_source(file.source)
        kept = among(allowed, found)
        return [chunk_id for chunk_id in found if chunk_id in kept]


def _placed(hits: list[Hit], file: Named, chunk_id: str, place: int) -> list[Hit]:
    """Put a passage of a file where its name wants it: first for the whole name, else among the first three."""
    lowest = place if file.share >= 1.0 else PLACES - 1
    at = next((row for row, hit in enumerate(hits) if hit.chunk_id == chunk_id), None)
    if at is not None and at <= lowest:
        hits[at] = replace(hits[at], evidence=replace(hits[at].evidence, file=file.source))
        return hits
    best = hits.pop(at) if at is not None else _new_hit(hits, file, chunk_id, 0.0)
    lowest = min(lowest, len(hits))
    score = hits[lowest].score if lowest < len(hits) else hits[-1].score if hits else 1.0
    moved = replace(best, score=score, evidence=replace(best.evidence, file=file.source))
    return [*hits[:lowest], moved, *hits[lowest:]]


def _new_hit(hits: Sequence[Hit], file: Named, chunk_id: str, score: float) -> Hit:
    stage = hits[0].stage if hits else "bm25"
    return Hit(chunk_id, nextafter(score, -inf), stage, Evidence(file=file.source))
