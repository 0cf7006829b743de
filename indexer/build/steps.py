"""The steps of a build after the documents are in: vectors, terms, manifest. `quarry.indexer.build` calls them in order."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from quarry.indexer.build.encoding import encode_passages
from quarry.indexer.build.names import LEAST, store_names
from quarry.indexer.build.plan import Plan
from quarry.indexer.build.progress import Clock
from quarry.indexer.lexical.index import LexicalSegment
from quarry.indexer.lexical.segment import Live
from quarry.indexer.lexical.segment import Segment as PostingsSegment
from quarry.indexer.lexical.writer import SegmentWriter
from quarry.indexer.messages import Message
from quarry.indexer.shards.filling import fill_from
from quarry.indexer.storage.facts import EmbedderFacts, Lexical, Store
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.layout import CHUNKS_NAME, LEXICAL_NAME, VECTORS_NAME
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.segments import SegmentName, Segments
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.generation_texts import GenerationTexts
from quarry.indexer.storage.texts.head_terms import TERMS_NAME, HeadTerms
from quarry.indexer.storage.texts.removals import torn_segment
from quarry.indexer.storage.texts.working_table import WorkingTable, finish_texts, name_segment
from quarry.indexer.storage.vectors.encoded_rows import RowsWriter
from quarry.indexer.stores import new_store
from quarry.indexer.stores.exact.files import leave_ids
from quarry.indexer.stores.kept_vectors import KeptVectors
from quarry.indexer.stores.parts import Parts

_STORE_SLICE = 8192
_ANALYZED_NAME = "analyzed.tmp"  # the postings of what is new, until they are merged


@dataclass(frozen=True, slots=True)
class Place:
    """Where a build writes: the folder of the new generation, and that of the new segment."""

    generation: Path
    segment: Path


def start_table(generations: Generations, place: Place, plan: Plan) -> WorkingTable:
    """Begin the new generation's texts: those of the live one, and an empty segment for what comes."""
    live = None if plan.live is None else generations.folder / plan.live.generation
    total = plan.live.corpus_sha256 if plan.live else ""
    return WorkingTable.start(place.generation, place.segment, live, total)


def is_same_corpus(table: WorkingTable, live: Manifest) -> bool:
    """Whether a generation in the making has the documents of the live one, which is in today's format."""
    return bool(live.segments) and table.corpus_sha256() == live.corpus_sha256


@dataclass(frozen=True, slots=True)
class Filled:
    """Where the vectors of a segment came from.

    Attributes:
        encoded: Passages that the model encoded.
        taken: Vectors of passages and titles that came out of shards.
    """

    encoded: int = 0
    taken: int = 0


def fill_segment(segment: Path, plan: Plan, clock: Clock, *, with_tokens: bool, passages: int) -> Filled:
    """Write vectors and terms of the new segment's passages.

    Args:
        segment: Its folder, where the texts are written already.
        plan: What is built.
        clock: Receives progress.
        with_tokens: Whether token states are kept as well.
        passages: How many the generation has; with too few to be measured, titles get no vectors.

    Returns:
        Where its vectors came from.
    """
    finish_texts(segment)
    head = ChunkTable.open(segment / CHUNKS_NAME)
    encoded = taken = 0
    if plan.embedder:
        with KeptVectors(plan.index, plan.embedder.spec, head.counts()[1]) as kept:
            if plan.shards is not None:
                clock.phase("taking", None)
                taken = fill_from(plan.shards, kept, plan.embedder, head, with_tokens=with_tokens)
            encoded = encode_passages(head, plan.embedder, kept, clock, with_tokens=with_tokens)
            store_vectors(head, segment, plan, kept, clock)
            if passages >= LEAST:
                store_names(head, segment, plan, kept, clock)
    clock.phase("lexical", head.counts()[1])
    head.close()
    index_terms(segment)
    if plan.embedder:
        leave_ids(segment / VECTORS_NAME)
    return Filled(encoded, taken)


def finish_segment(place: Place, number: int, segments: Segments) -> SegmentName:
    """Seal the new segment, and name it in the generation."""
    passages = len(LexicalSegment.open(place.segment / LEXICAL_NAME))
    finished = segments.finish(place.segment, passages)
    name_segment(place.generation, number, finished.name)
    return finished


def segments_of(texts: ChunkTable, known: Sequence[SegmentName]) -> tuple[SegmentName, ...]:
    """Return the segments that a generation's texts name, in their order, out of those that are known."""
    by_name = {segment.name: segment for segment in known}
    return tuple(by_name[each.name] for each in texts.segments()) if isinstance(texts, GenerationTexts) else ()


def store_vectors(head: ChunkTable, segment: Path, plan: Plan, kept: KeptVectors, clock: Clock) -> None:
    """Copy the vectors of the new segment's passages into its vector store."""
    clock.phase("storing", head.counts()[1])
    folder = segment / VECTORS_NAME
    folder.mkdir()
    store, rows = new_store(plan.store, folder, kept.dim, plan.uri), RowsWriter()
    for ids, digests in head.digest_batches(_STORE_SLICE):
        vectors = kept.get(digests)
        store.add(ids, vectors)
        rows.add(digests, vectors)
        clock.observer.advance(len(ids))
    store.flush()
    rows.write(segment, kept.fingerprint, VECTORS_NAME)


def index_terms(segment: Path) -> None:
    """Write the terms of the new segment's passages: those that were analyzed, and those of passages that come out of other segments.

    Raises:
        IndexFormatError: If the terms of another segment are damaged.
    """
    folder, gathered = segment / LEXICAL_NAME, segment / TERMS_NAME
    folder.mkdir()
    with closing(HeadTerms.open(gathered)) as terms:
        sources = terms.segments()
        if not sources:
            LexicalSegment.build(folder, terms.ids(), terms.analyzed())
        else:
            _merge_terms(terms, sources, segment)
    gathered.unlink()


def _merge_terms(terms: HeadTerms, sources: Mapping[str, int], segment: Path) -> None:
    analyzed = segment / _ANALYZED_NAME
    analyzed.mkdir()
    with SegmentWriter(analyzed) as writer:
        for words in terms.analyzed():
            writer.add(words)
    parts = [Live(PostingsSegment.open(analyzed))]
    for name, count in sources.items():
        folder = segment.parent / name / LEXICAL_NAME
        try:
            parts.append(LexicalSegment.open(folder).only(terms.ids_from(name), count))
        except KeyError as err:
            raise torn_segment(folder.parent) from err
    LexicalSegment.merged(segment / LEXICAL_NAME, terms.ids(), parts, terms.order(list(sources)))
    shutil.rmtree(analyzed)


def describe_generation(building: Path, plan: Plan, parts: Parts, corpus_sha256: str) -> Manifest:
    """Return the new generation's manifest, without its files and segments."""
    documents, chunks = parts.texts.counts()
    embedder = plan.embedder
    store = None if parts.vectors is None else Store(kind=plan.store, details=parts.vectors.details)
    return Manifest(
        quarry=version("quarry-search"),
        generation=building.name.removeprefix("."),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        reason=Message.of("build.built", "built") if plan.live is None else Message.of("build.updated", "updated"),
        documents=documents,
        chunks=chunks,
        corpus_sha256=corpus_sha256,
        chunking=plan.cutter.chunking,
        lexical=Lexical(
            analyzer=plan.analyzer,
            identity=plan.cutter.analyzer.name,
            engine=parts.lexical.engine,
            languages=dict(plan.languages),
        ),
        embedder=EmbedderFacts.of(embedder.spec, plan.settings.model_folder) if embedder else None,
        store=store,
        notes=(*plan.settings.notes, *plan.dropped()),
        lineage=plan.lineage(),
        reranker=plan.live.reranker if plan.live else None,
        second_stage=plan.second_stage(),
        query_shift=plan.query_shift(),
        reading=plan.reading,
        token_states=store is not None and plan.with_tokens(chunks),
        files={},
    )
