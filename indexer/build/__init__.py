"""Building and updating an index: documents in, a new live generation out, or the old one untouched.

    settings, live manifest -> what will be done                     plan
    files, folders, or documents of a program                        corpus, intake
    -> gone: documents and folders that are taken out                removal
    -> new and changed documents cut into passages, with terms       cutting (large ones in cutting_worker), chunking, table_heads
    -> cut again by the language of a new index                      analyzing
    -> texts: live segments less what is removed, and a new one      storage/working_table
    -> small segments merged into the new one                        merging
    -> vectors and token states of the passages that lack them       shards, encoding, stores/kept_vectors, tokens
    -> vector store, vectors of titles and headings, terms           steps.fill_segment, stores, names, lexical
    -> the segment sealed                                            steps.finish_segment, storage/segments
    -> of a candidate: the live segments with other vectors          sharing
    -> both routes probed with sentences of the passages             measurement, probes, cached_embedder; languages
    -> manifest, then one switch                                     steps.describe_generation, storage/generations

Progress goes to an observer (progress). The doors are `build_index` (files and folders), `index_documents` and
`delete_documents` (a program's own documents), `remove_documents` (by id, filter or folder), `compact_index` (all in one
segment) and `build_candidate` (the same passages with another model). All of them run `_build`; read it from top to bottom. Nothing
is done when nothing has changed, and a crash at any point leaves the live generation as it was.
"""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from quarry.indexer.build.analyzing import with_suited_analyzer, words_chosen
from quarry.indexer.build.cutting import Cutter
from quarry.indexer.build.encoding import encode_passages, tokens_lost
from quarry.indexer.build.intake import Intake, put_own_document, recut, storable, sync_roots
from quarry.indexer.build.measurement import kept_measurement, measure_routes, still_good
from quarry.indexer.build.merging import segments_to_merge
from quarry.indexer.build.plan import BuildOptions, Plan, live_to_continue, refuse_damaged, refuse_lake
from quarry.indexer.build.progress import Clock, Observer, Unobserved
from quarry.indexer.build.removal import Selection, select, take_out
from quarry.indexer.build.roots import name_roots
from quarry.indexer.build.sharing import share_segments
from quarry.indexer.build.steps import (
    Filled,
    Place,
    describe_generation,
    fill_segment,
    finish_segment,
    is_same_corpus,
    segments_of,
    start_table,
)
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import CorpusError, SearchError
from quarry.indexer.messages import Message
from quarry.indexer.readers.reasons import REASONS
from quarry.indexer.records import Document
from quarry.indexer.storage.files.durable import is_disk_full
from quarry.indexer.storage.generations import Generations, writer_lock
from quarry.indexer.storage.manifest import describe_files
from quarry.indexer.storage.segments import Segments
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.working_table import WorkingTable
from quarry.indexer.stores.kept_vectors import KeptVectors
from quarry.indexer.stores.parts import Parts


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Attributes:
        generation: The one that was made, or the live one when nothing had changed.
        switched: Whether a new generation went live.
        documents: In the generation.
        chunks: Passages in the generation.
        added: New documents.
        changed: Documents with another content than before.
        removed: Documents that are gone.
        unchanged: Documents that stayed as they were.
        encoded: Passages that the model encoded; others had vectors already.
        taken: Vectors of passages and titles that came out of shards (`BuildOptions.vectors`).
        skipped: What was left out, and why.
        seconds: By phase: `reading`, `cutting`, `encoding`, `storing`, `titles`, `lexical`, `probing`.
        left_out: What was left out of the documents of the generation, by kind (`quarry.indexer.readers.left_out`), with how many.
        words: How words are cut, where a new index was given another analyzer than the usual one.
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
    left_out: dict[str, int] = field(default_factory=dict)
    taken: int = 0
    words: Message | None = None


def build_index(
    index: Path,
    paths: Sequence[Path],
    embedder: Embedder | None,
    settings: BuildOptions = BuildOptions(),
    observer: Observer | None = None,
) -> BuildReport:
    """Bring an index in step with files and folders; only what changed is read, cut and encoded.

    Args:
        index: The index folder; made when absent.
        paths: Files and folders. Documents of other paths that were indexed before stay.
        embedder: The model for vectors; None makes (or keeps) a lexical-only index.
        settings: How to build.
        observer: Receives progress events.

    Returns:
        The counts. On any error, Ctrl-C included, the live generation stays as it was.

    Raises:
        CorpusError: If a path is missing, or nothing readable was found.
        IndexMismatchError: If the live generation has another model and `settings.rebuild` is off.
        IndexBusyError: If another process is writing.
        SearchError: If the disk is full.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import build_index
        >>> report = build_index(Path("new-index"), [Path("documents")], None)  # None: BM25 only, no model
        >>> report.generation, report.documents, report.switched
        ('000001', 4, True)
        >>> build_index(Path("new-index"), [Path("documents")], None).switched  # nothing has changed
        False
    """

    def take_in(table: ChunkTable, cutter: Cutter, advance: Callable[[int], None]) -> Intake:
        roots = name_roots(paths, table.roots(), allow_empty=settings.allow_empty)
        return sync_roots(table, roots, cutter, replace(settings, read=cutter.limits), advance)

    return _guarded(index, embedder, settings, observer or Unobserved(), take_in)


def index_documents(
    index: Path,
    documents: Iterable[Document],
    embedder: Embedder | None,
    settings: BuildOptions = BuildOptions(),
    observer: Observer | None = None,
) -> BuildReport:
    """Add documents from a program, or replace those with the same id.

    A document that came from a folder is replaced too. It then belongs to the program: indexing the folder again reports its
    file as a duplicate id and keeps the program's document, until `delete_documents` removes it.

    Args:
        index: The index folder; made when absent.
        documents: Later ones replace earlier ones with the same id.
        embedder: As for `build_index`.
        settings: How to build.
        observer: Receives progress events.

    Returns:
        The counts.

    Raises:
        ValueError: If an id is empty or cannot be stored.
        SearchError: As `build_index`.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import Document, index_documents
        >>> report = index_documents(Path("my-index"), [Document("note-1", "Renew books twice online.")], None)
        >>> report.added, report.changed
        (1, 0)
        >>> index_documents(Path("my-index"), [Document("note-1", "Renew books three times.")], None).changed
        1
    """

    def take_in(table: ChunkTable, cutter: Cutter, advance: Callable[[int], None]) -> Intake:
        intake = Intake()
        for document in documents:
            clean = storable(document)
            put_own_document(table, clean, cutter, intake)
            advance(1)
        return intake

    return _guarded(index, embedder, settings, observer or Unobserved(), take_in)


def delete_documents(index: Path, doc_ids: Iterable[str], embedder: Embedder | None) -> BuildReport:
    """Remove documents by id in a new generation.

    A document that came from a folder comes back when that folder is indexed again; to remove it for good, remove its file.

    Args:
        index: The index folder.
        doc_ids: Unknown ones are ignored.
        embedder: As for `build_index`.

    Returns:
        The counts.

    Raises:
        SearchError: As `build_index`.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import Document, delete_documents, index_documents
        >>> report = index_documents(Path("my-index"), [Document("note-1", "Renew books twice online.")], None)
        >>> delete_documents(Path("my-index"), ["note-1", "unknown"], None).removed
        1
    """
    return remove_documents(index, Selection(doc_ids=tuple(doc_ids)), embedder)


def remove_documents(
    index: Path, selection: Selection, embedder: Embedder | None, observer: Observer | None = None
) -> BuildReport:
    """Take documents and folders out of an index, in a new generation; `find_documents` tells beforehand what will go.

    Documents of a folder that stays in the index come back when it is indexed again; to remove them for good, remove their files.

    Args:
        index: The index folder.
        selection: What to take out; unknown ids are ignored.
        embedder: As for `build_index`.
        observer: Receives progress events.

    Returns:
        The counts; `removed` is the number of documents.

    Raises:
        UnknownRoot: If the index was not made from one of the folders.
        UnknownFilter: If a filter names metadata that no document has.
        SearchError: As `build_index`.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import Selection, build_index, remove_documents
        >>> _ = build_index(Path("new-index"), [Path("documents")], None)
        >>> remove_documents(Path("new-index"), Selection(roots=("documents",)), None).removed
        4
    """

    def take_in(table: ChunkTable, _cutter: Cutter, _advance: Callable[[int], None]) -> Intake:
        intake = Intake()
        take_out(table, select(table, selection), intake)
        return intake

    Generations(index).live()  # removing never makes an index
    return _guarded(index, embedder, BuildOptions(allow_empty=True), observer or Unobserved(), take_in)


def build_candidate(
    index: Path,
    embedder: Embedder,
    settings: BuildOptions = BuildOptions(),
    observer: Observer | None = None,
) -> BuildReport:
    """Encode the live generation's passages with another model, into a generation beside the live one, which stays live.

    `Generations.switch` makes it live, `Generations.discard` removes it. Raises as `build_index` does.
    """

    def take_in(_table: ChunkTable, _cutter: Cutter, _advance: Callable[[int], None]) -> Intake:
        return Intake()

    return _guarded(index, embedder, replace(settings, rebuild=True, go_live=False), observer or Unobserved(), take_in)


def compact_index(index: Path, embedder: Embedder | None, observer: Observer | None = None) -> BuildReport:
    """Merge all segments of an index into one, without what was removed from them. Nothing is encoded.

    Args:
        index: The index folder.
        embedder: As for `build_index`.
        observer: Receives progress events.

    Returns:
        The counts; `switched` is False when it was one segment already.

    Raises:
        SearchError: As `build_index`.

    Example:
        >>> from pathlib import Path
        >>> from quarry.indexer import compact_index
        >>> compact_index(Path("my-index"), None).switched  # a small index is always one segment
        False
    """

    def take_in(_table: ChunkTable, _cutter: Cutter, _advance: Callable[[int], None]) -> Intake:
        return Intake()

    Generations(index).live()  # compacting never makes an index
    settings = BuildOptions(allow_empty=True, compact=True)
    return _guarded(index, embedder, settings, observer or Unobserved(), take_in)


TakeIn = Callable[[ChunkTable, Cutter, Callable[[int], None]], Intake]


def _guarded(
    index: Path, embedder: Embedder | None, settings: BuildOptions, observer: Observer, take_in: TakeIn
) -> BuildReport:
    refuse_lake(index)
    with writer_lock(index):
        generations, segments = Generations(index), Segments(index)
        live, damage = live_to_continue(generations, settings)
        plan = replace(Plan.of(index, live, embedder, settings), live_is_sound=not damage)
        place = Place(generations.begin(), segments.begin())
        try:
            return _build(generations, place, plan, observer, take_in)
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
            for folder in (place.generation, place.segment):
                shutil.rmtree(folder, ignore_errors=True)  # after a commit it is gone already


def _build(generations: Generations, place: Place, plan: Plan, observer: Observer, take_in: TakeIn) -> BuildReport:
    clock = Clock(observer)
    table = start_table(generations, place, plan)
    table.begin()
    intake = _taken_in(table, plan, clock, take_in)
    plan = with_suited_analyzer(table, plan, clock)
    documents, chunks = table.counts()
    if not documents and not plan.settings.allow_empty:
        raise _nothing_found(intake)
    with_tokens = plan.with_tokens(chunks)
    if plan.live and plan.same_as_live() and not intake.touched and is_same_corpus(table, plan.live):
        filled = Filled()
        # token states are kept beside the generations: they may have been lost since the last build
        if plan.embedder and with_tokens and tokens_lost(table, plan.index, plan.embedder):
            with KeptVectors(plan.index, plan.embedder.spec, chunks) as kept:
                filled = Filled(encode_passages(table, plan.embedder, kept, clock, with_tokens=True))
        intake.left_out = table.left_out()
        table.close()
        _tidy(plan)
        return _report(plan.live.generation, intake, (documents, chunks), filled, clock.finish(), switched=False)

    measured = still_good(plan, table.language_counts(), table.changed_passages())
    merged = [] if plan.shares_texts() else segments_to_merge(table, plan)
    _refuse_damaged_parts(table, plan, merged)
    table.absorb(merged)
    table.settle()
    corpus, number = table.corpus_sha256(), table.number_head() if table.needs_head() else None
    table.commit()
    table.close()
    named, filled, segments = list(plan.live.segments) if plan.live else [], Filled(), Segments(generations.root)
    if number is not None:
        filled = fill_segment(place.segment, plan, clock, with_tokens=with_tokens, passages=chunks)
        named.append(finish_segment(place, number, segments))
    elif plan.shares_texts():
        filled, named = share_segments(place.generation, segments, plan, clock, with_tokens=with_tokens)
    parts = Parts.open(place.generation, plan.store if plan.embedder else None)
    clock.phase("probing", None)
    probes = (
        kept_measurement(parts, place.generation, plan, measured)
        if measured
        else measure_routes(parts, place.generation, plan)
    )
    manifest = describe_generation(place.generation, plan, parts, corpus)
    intake.left_out = parts.texts.left_out()
    manifest = manifest.model_copy(
        update={
            "probes": probes,
            "segments": segments_of(parts.texts, named),
            "files": describe_files(place.generation),
        }
    )
    parts.texts.close()
    manifest.write(place.generation)
    if not plan.settings.go_live:
        name = generations.finish(place.generation)
        return _report(name, intake, (documents, chunks), filled, clock.finish(), switched=False)
    name = generations.commit(place.generation, manifest.reason)
    _tidy(plan)
    generations.prune(plan.settings.keep)
    report = _report(name, intake, (documents, chunks), filled, clock.finish(), switched=True)
    return replace(report, words=words_chosen(plan.analyzer, plan.languages) if plan.live is None else None)


def _refuse_damaged_parts(table: WorkingTable, plan: Plan, merged: Sequence[int]) -> None:
    """Refuse to merge damaged segments, unless vectors and terms are made anew from the texts, which were compared."""
    if plan.live_is_sound:
        names = dict(zip(sorted(table.left()), plan.live.segments if plan.live else (), strict=False))
        refuse_damaged(plan.index, [names[number] for number in merged if number in names])


def _taken_in(table: ChunkTable, plan: Plan, clock: Clock, take_in: TakeIn) -> Intake:
    """Bring the table in step with the documents; what is there is cut again where the settings are others."""
    lost: list[Skipped] = []
    if plan.fresh_cut:
        clock.phase("cutting", table.counts()[0])
        lost = recut(table, plan.cutter, clock.observer.advance)
    clock.phase("reading", None)
    intake = take_in(table, plan.cutter, clock.observer.advance)
    intake.skipped.extend(lost)
    return intake


def _tidy(plan: Plan) -> None:
    """Remove what was encoded for the generation that is live now: its segments have it. A candidate's stays until it is judged."""
    if plan.embedder is not None:
        KeptVectors.remove_finished(plan.index, plan.embedder.spec.fingerprint)


def _report(
    generation: str,
    intake: Intake,
    counts: tuple[int, int],
    filled: Filled,
    seconds: dict[str, float],
    *,
    switched: bool,
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
        encoded=filled.encoded,
        taken=filled.taken,
        skipped=tuple(intake.skipped),
        left_out=intake.left_out,
        seconds=seconds,
    )


def _nothing_found(intake: Intake) -> CorpusError:
    reasons = Counter(skip.reason for skip in intake.skipped)
    listed = [
        Message.of("build.skips", "{count} {reason}", count=count, reason=REASONS[reason])
        for reason, count in sorted(reasons.items())
    ]
    return CorpusError(
        "build.nothing_found",
        "no readable document was found ({skips})",
        expected="at least one",
        do="Nothing was written",
        skips=listed or Message.of("build.no_files", "no files"),
    )
