"""Building and updating an index: documents in, a new live generation out, or the old one untouched.

read -> cut -> encode what is new -> store vectors -> lexical index -> manifest -> switch. Read `_build` from top to bottom.
"""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from quarry.indexer.build.cutting import Cutter
from quarry.indexer.build.intake import LIBRARY_ROOT, Intake, name_roots, put_file, recut, storable, sync_roots
from quarry.indexer.build.plan import BuildSettings, Plan, live_to_continue
from quarry.indexer.build.progress import Clock, Observer, Unobserved
from quarry.indexer.corpus.walk import Skipped, SourceFile
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import CorpusError, SearchError
from quarry.indexer.lexical.bm25 import Bm25sIndex
from quarry.indexer.messages import Message
from quarry.indexer.records import Document
from quarry.indexer.storage.chunk_table import ChunkTable, document_sha256
from quarry.indexer.storage.durable import is_disk_full
from quarry.indexer.storage.generations import Generations, writer_lock
from quarry.indexer.storage.layout import CHUNKS_NAME, LEXICAL_NAME, VECTORS_NAME
from quarry.indexer.storage.manifest import EmbedderFacts, Lexical, Manifest, Store, describe_files
from quarry.indexer.storage.vector_cache import VectorCache
from quarry.indexer.stores import store_class

_ENCODE_SLICE = 512  # passages committed at once: what a crash can cost (about 40 s of encoding on two cores)
_STORE_SLICE = 8192


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    `generation` is the one that was made, or the live one when nothing had to change; `switched` says whether it went live.
    """

    generation: str
    switched: bool
    documents: int
    chunks: int
    added: int
    changed: int
    removed: int
    unchanged: int
    encoded: int
    skipped: tuple[Skipped, ...]
    seconds: dict[str, float]


def build_index(
    index: Path,
    paths: Sequence[Path],
    embedder: Embedder | None,
    settings: BuildSettings = BuildSettings(),
    observer: Observer | None = None,
) -> BuildReport:
    """Bring an index in step with files and folders; only what changed is read, cut and encoded.

    Args:
        index: The index folder; made when absent.
        paths: Files and folders. Documents of other paths that were indexed before stay.
        embedder: The model for vectors; None makes (or keeps) a lexical-only index.
        settings: How to build.
        observer: Told of the progress.

    Returns:
        The counts. On any error, Ctrl-C included, the live generation stays as it was.

    Raises:
        CorpusError: If a path is missing, or nothing readable was found.
        IndexMismatchError: If the live generation has another model and `settings.rebuild` is off.
        IndexBusyError: If another process is writing.
        SearchError: If the disk is full.
    """

    def take_in(table: ChunkTable, cutter: Cutter, advance: Callable[[int], None]) -> Intake:
        roots = name_roots(paths, table.roots())
        return sync_roots(table, roots, cutter, settings, advance)

    return _guarded(index, embedder, settings, observer or Unobserved(), take_in)


def index_documents(
    index: Path,
    documents: Iterable[Document],
    embedder: Embedder | None,
    settings: BuildSettings = BuildSettings(),
    observer: Observer | None = None,
) -> BuildReport:
    """Add documents from a program, or replace those with the same id. Raises as `build_index` does."""

    def take_in(table: ChunkTable, cutter: Cutter, advance: Callable[[int], None]) -> Intake:
        intake = Intake()
        for document in documents:
            clean = storable(document)
            path = f"document:{clean.doc_id}"
            file = SourceFile(path, LIBRARY_ROOT, len(clean.text), 0, document_sha256(clean))
            put_file(table, file, [clean], cutter, intake)
            advance(1)
        return intake

    return _guarded(index, embedder, settings, observer or Unobserved(), take_in)


def delete_documents(index: Path, doc_ids: Iterable[str], embedder: Embedder | None) -> BuildReport:
    """Remove documents by id in a new generation. Raises as `build_index` does."""

    def take_in(table: ChunkTable, _cutter: Cutter, _advance: Callable[[int], None]) -> Intake:
        intake = Intake()
        for doc_id in doc_ids:
            if table.owner(doc_id) is not None:
                table.remove_documents([doc_id])
                intake.removed += 1
        return intake

    return _guarded(index, embedder, BuildSettings(allow_empty=True), Unobserved(), take_in)


def build_candidate(
    index: Path,
    embedder: Embedder,
    settings: BuildSettings = BuildSettings(),
    observer: Observer | None = None,
) -> BuildReport:
    """Encode the live generation's passages with another model, into a generation beside the live one, which goes on answering.

    `Generations.switch` makes it live, `Generations.discard` removes it. Raises as `build_index` does.
    """

    def take_in(_table: ChunkTable, _cutter: Cutter, _advance: Callable[[int], None]) -> Intake:
        return Intake()

    return _guarded(index, embedder, replace(settings, rebuild=True, go_live=False), observer or Unobserved(), take_in)


TakeIn = Callable[[ChunkTable, Cutter, Callable[[int], None]], Intake]


def _guarded(
    index: Path, embedder: Embedder | None, settings: BuildSettings, observer: Observer, take_in: TakeIn
) -> BuildReport:
    with writer_lock(index):
        generations = Generations(index)
        live, damage = live_to_continue(generations, settings)
        plan = replace(Plan.of(index, live, embedder, settings), live_is_sound=not damage)
        building = generations.begin()
        try:
            return _build(generations, building, plan, observer, take_in)
        except (OSError, sqlite3.Error) as err:
            if is_disk_full(err):
                raise SearchError(
                    "build.disk_full",
                    "the disk is full ({error}) below {index}; the live generation is untouched and what was encoded is kept",
                    do="Free some space and run the command again",
                    error=str(err),
                    index=index,
                ) from err
            raise
        finally:
            plan.cutter.close()
            shutil.rmtree(building, ignore_errors=True)  # after a commit it is gone already


def _build(generations: Generations, building: Path, plan: Plan, observer: Observer, take_in: TakeIn) -> BuildReport:
    clock = Clock(observer)
    table = _start_table(generations, building, plan)
    table.begin()
    lost: list[Skipped] = []
    if plan.fresh_cut:
        clock.phase("cutting", table.counts()[0])
        lost = recut(table, plan.cutter, observer.advance)
    clock.phase("reading", None)
    intake = take_in(table, plan.cutter, observer.advance)
    intake.skipped.extend(lost)
    table.commit()
    documents, chunks = table.counts()
    if not documents and not plan.settings.allow_empty:
        raise _nothing_found(intake)
    if plan.live and plan.same_as_live() and not intake.touched and table.corpus_sha256() == plan.live.corpus_sha256:
        table.close()
        return _report(plan.live.generation, intake, (documents, chunks), 0, clock.finish(), switched=False)

    encoded = _encode(table, plan, clock) if plan.embedder else 0
    store = _store_vectors(table, building, plan, clock) if plan.embedder else None
    clock.phase("lexical", chunks)
    engine = _index_terms(table, building)
    manifest = _manifest(building, plan, table, store, engine)
    table.close()
    manifest.model_copy(update={"files": describe_files(building)}).write(building)
    if not plan.settings.go_live:
        name = generations.finish(building)
        return _report(name, intake, (documents, chunks), encoded, clock.finish(), switched=False)
    name = generations.commit(building, manifest.reason)
    generations.prune(plan.settings.keep)
    return _report(name, intake, (documents, chunks), encoded, clock.finish(), switched=True)


def _start_table(generations: Generations, building: Path, plan: Plan) -> ChunkTable:
    path = building / CHUNKS_NAME
    if plan.live is None:
        return ChunkTable.create(path)
    old = ChunkTable.open(generations.live() / CHUNKS_NAME)
    try:
        return ChunkTable.copy(old, path)
    finally:
        old.close()


def _encode(table: ChunkTable, plan: Plan, clock: "Clock") -> int:
    """Encode the passages that have no vector yet, longest first, committing every slice; returns how many."""
    embedder = plan.embedder
    if embedder is None:
        return 0
    cache = VectorCache.open(plan.index, embedder.spec.fingerprint, embedder.spec.dim)
    try:
        absent = cache.missing(table.digests()[1])
        pending: list[tuple[int, str]] = []
        for row in table.passages():
            if row.digest in absent:
                absent.discard(row.digest)  # equal passages are encoded once
                pending.append((len(row.passage), row.chunk_id))
        pending.sort(reverse=True)
        clock.phase("encoding", len(pending))
        for first in range(0, len(pending), _ENCODE_SLICE):
            chunk_ids = [chunk_id for _, chunk_id in pending[first : first + _ENCODE_SLICE]]
            vectors = embedder.embed_documents(table.texts(chunk_ids), progress=clock.observer.advance)
            cache.put(table.digests_of(chunk_ids), vectors)
        return len(pending)
    finally:
        cache.close()


def _store_vectors(table: ChunkTable, building: Path, plan: Plan, clock: "Clock") -> Store | None:
    embedder = plan.embedder
    if embedder is None:
        return None
    ids, digests = table.digests()
    clock.phase("storing", len(ids))
    folder = building / VECTORS_NAME
    folder.mkdir()
    store = store_class(plan.store).create(folder, embedder.spec.dim)
    cache = VectorCache.open(plan.index, embedder.spec.fingerprint, embedder.spec.dim)
    try:
        for first in range(0, len(ids), _STORE_SLICE):
            part = slice(first, first + _STORE_SLICE)
            store.add(ids[part], cache.get(digests[part]))
            clock.observer.advance(len(ids[part]))
    finally:
        cache.close()
    store.flush()
    return Store(kind=plan.store, details=store.details)


def _index_terms(table: ChunkTable, building: Path) -> str:
    lexical = Bm25sIndex.build(table.digests()[0], table.terms())
    folder = building / LEXICAL_NAME
    folder.mkdir()
    lexical.save(folder)
    return lexical.engine


def _manifest(building: Path, plan: Plan, table: ChunkTable, store: Store | None, engine: str) -> Manifest:
    documents, chunks = table.counts()
    embedder = plan.embedder
    chosen = plan.settings.analyzer or (plan.live.lexical.analyzer if plan.live else "jieba")
    return Manifest(
        quarry=version("quarry-search"),
        generation=building.name.removeprefix("."),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        reason=Message.of("build.built", "built") if plan.live is None else Message.of("build.updated", "updated"),
        documents=documents,
        chunks=chunks,
        corpus_sha256=table.corpus_sha256(),
        chunking=plan.cutter.chunking,
        lexical=Lexical(analyzer=chosen, identity=plan.cutter.analyzer.name, engine=engine),
        embedder=EmbedderFacts.of(embedder.spec, plan.settings.model_folder) if embedder else None,
        store=store,
        notes=plan.settings.notes,
        lineage=plan.lineage(),
        reranker=plan.live.reranker if plan.live else None,
        files={},
    )


def _report(
    generation: str, intake: Intake, counts: tuple[int, int], encoded: int, seconds: dict[str, float], *, switched: bool
) -> BuildReport:
    return BuildReport(
        generation=generation,
        switched=switched,
        documents=counts[0],
        chunks=counts[1],
        added=intake.added,
        changed=intake.changed,
        removed=intake.removed,
        unchanged=intake.unchanged,
        encoded=encoded,
        skipped=tuple(intake.skipped),
        seconds=seconds,
    )


def _nothing_found(intake: Intake) -> CorpusError:
    reasons = Counter(skip.reason for skip in intake.skipped)
    listed = [
        Message.of("build.skips", "{count} {reason}", count=count, reason=reason)
        for reason, count in sorted(reasons.items())
    ]
    return CorpusError(
        "build.nothing_found",
        "no readable document was found ({skips})",
        expected="at least one",
        do="Nothing was written",
        skips=listed or Message.of("build.no_files", "no files"),
    )
