"""One build from its lock to its switch: what all doors of `quarry.indexer.build` run. Read `_build` from top to bottom."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from quarry.indexer.build.analyzing import with_suited_analyzer, words_chosen
from quarry.indexer.build.cutting.cutter import Cutter
from quarry.indexer.build.encoding import encode_passages, tokens_lost
from quarry.indexer.build.intake import Intake, recut
from quarry.indexer.build.leftovers import remove_leftovers
from quarry.indexer.build.live import live_to_continue, refuse_damaged, refuse_lake
from quarry.indexer.build.measuring.measurement import kept_measurement, measure_routes, still_good
from quarry.indexer.build.merging import segments_to_merge
from quarry.indexer.build.plan import BuildOptions, Plan
from quarry.indexer.build.progress import Clock, Observer
from quarry.indexer.build.report import BuildReport, report_of
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
from quarry.indexer.storage.files.durable import is_disk_full
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import describe_files
from quarry.indexer.storage.segments import Segments
from quarry.indexer.storage.texts.chunk_table import ChunkTable
from quarry.indexer.storage.texts.working_table import WorkingTable
from quarry.indexer.storage.writer_lock import writer_lock
from quarry.indexer.stores.kept_vectors import KeptVectors
from quarry.indexer.stores.parts import Parts

TakeIn: TypeAlias = Callable[[ChunkTable, Cutter, Callable[[int], None]], Intake]


def guarded(
    index: Path, embedder: Embedder | None, settings: BuildOptions, observer: Observer, take_in: TakeIn
) -> BuildReport:
    """Build under the writer's lock; whatever happens, the live generation stays and nothing half-made is left.

    Args:
        index: The index folder.
        embedder: As for `build_index`.
        settings: How to build.
        observer: Receives progress events.
        take_in: Brings the texts in step with what the caller has; it gets the table, the cutter, and a function to be told of progress.

    Raises:
        SearchError: As `build_index`.
    """
    refuse_lake(index)
    with writer_lock(index):
        generations, segments = Generations(index), Segments(index)
        live, damage = live_to_continue(generations, settings)
        plan = Plan.of(index, live, embedder, settings)
        if damage:  # terms are kept in the postings only, which may be what is damaged: all texts are cut again
            plan = replace(plan, live_is_sound=False, fresh_cut=True)
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
        return report_of(plan.live.generation, intake, (documents, chunks), filled, clock.finish(), switched=False)

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
        return report_of(name, intake, (documents, chunks), filled, clock.finish(), switched=False)
    name = generations.commit(place.generation, manifest.reason)
    _tidy(plan)
    generations.prune(plan.settings.keep)
    report = report_of(name, intake, (documents, chunks), filled, clock.finish(), switched=True)
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
    """Remove what was encoded for the generation that is live now: its segments have it. A candidate's stays until it is judged.

    What killed runs left for other models goes too, a week later.
    """
    if plan.embedder is not None:
        KeptVectors.remove_finished(plan.index, plan.embedder.spec.fingerprint)
    remove_leftovers(plan.index)


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
