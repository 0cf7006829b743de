"""The steps of a build after the documents are in: vectors, terms, manifest. `quarry.indexer.build` calls them in order."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from quarry.indexer.build.plan import Plan
from quarry.indexer.build.progress import Clock
from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.lexical.index import ENGINE, LexicalSegment
from quarry.indexer.messages import Message
from quarry.indexer.storage.chunk_table import ChunkTable
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CHUNKS_NAME, LEXICAL_NAME, VECTORS_NAME
from quarry.indexer.storage.manifest import EmbedderFacts, Lexical, Manifest, Store
from quarry.indexer.storage.vector_cache import VectorCache
from quarry.indexer.stores import store_class

_STORE_SLICE = 8192


def start_table(generations: Generations, building: Path, plan: Plan) -> ChunkTable:
    """Make the new generation's chunk table: a copy of the live one, or an empty one."""
    path = building / CHUNKS_NAME
    if plan.live is None:
        return ChunkTable.create(path)
    old = ChunkTable.open(generations.live() / CHUNKS_NAME)
    try:
        return ChunkTable.copy(old, path)
    finally:
        old.close()


def changed_passages(table: ChunkTable, generations: Generations, plan: Plan) -> int:
    """Return how many passages were added or removed since the live generation; 0 without one."""
    if plan.live is None:
        return 0
    old = ChunkTable.open(generations.live() / CHUNKS_NAME)
    try:
        return len(set(old.digests()[1]) ^ set(table.digests()[1]))
    finally:
        old.close()


def store_vectors(table: ChunkTable, building: Path, plan: Plan, spec: EmbedderSpec, clock: Clock) -> Store:
    """Copy the vectors of all passages from the cache into the new generation's vector store."""
    ids, digests = table.digests()
    clock.phase("storing", len(ids))
    folder = building / VECTORS_NAME
    folder.mkdir()
    store = store_class(plan.store).create(folder, spec.dim)
    cache = VectorCache.open(plan.index, spec.fingerprint, spec.dim)
    try:
        for first in range(0, len(ids), _STORE_SLICE):
            part = slice(first, first + _STORE_SLICE)
            store.add(ids[part], cache.get(digests[part]))
            clock.observer.advance(len(ids[part]))
    finally:
        cache.close()
    store.flush()
    return Store(kind=plan.store, details=store.details)


def index_terms(table: ChunkTable, building: Path) -> str:
    """Write the terms of all passages; return their engine's name and version."""
    folder = building / LEXICAL_NAME
    folder.mkdir()
    LexicalSegment.build(folder, table.digests()[0], table.terms())
    return ENGINE


def describe_generation(building: Path, plan: Plan, table: ChunkTable, store: Store | None, engine: str) -> Manifest:
    """Return the new generation's manifest, without its files."""
    documents, chunks = table.counts()
    embedder = plan.embedder
    return Manifest(
        quarry=version("quarry-search"),
        generation=building.name.removeprefix("."),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        reason=Message.of("build.built", "built") if plan.live is None else Message.of("build.updated", "updated"),
        documents=documents,
        chunks=chunks,
        corpus_sha256=table.corpus_sha256(),
        chunking=plan.cutter.chunking,
        lexical=Lexical(analyzer=plan.analyzer, identity=plan.cutter.analyzer.name, engine=engine),
        embedder=EmbedderFacts.of(embedder.spec, plan.settings.model_folder) if embedder else None,
        store=store,
        notes=plan.settings.notes,
        lineage=plan.lineage(),
        reranker=plan.live.reranker if plan.live else None,
        reading=plan.reading,
        token_states=store is not None and plan.with_tokens(chunks),
        files={},
    )
