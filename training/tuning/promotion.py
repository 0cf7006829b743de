"""Promotion and rollback of a model as one unit: weights, instruction, vectors, what its scores mean, and why it was promoted.

INDEX/models/NAME       a tuned model, inside the index that it was tuned for
INDEX/tuning/RUN        the run that made it
manifest.json           of the generation: the model's spec and its `Lineage`; a tuned reranker's `RerankerFacts`

Waiting for one's turn to write to an index: hours of training are not lost because somebody indexes at their end.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from quarry.indexer.build import build_candidate
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.progress import Observer
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import IndexBusyError, IndexFormatError, IndexMismatchError
from quarry.indexer.lake.relabel import with_parts, with_query_shift, with_reranker, with_second_stage
from quarry.indexer.messages import Message
from quarry.indexer.storage.facts import EmbedderFacts, Lineage, RerankerFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.writer_lock import writer_lock
from quarry.training.tuning.plan import TuningObserver

LoadEmbedder = Callable[[EmbedderFacts], Embedder]


@dataclass(frozen=True, slots=True)
class Step:
    """One time that a model went live.

    Attributes:
        generation: Which generation it answered with first.
        at: UTC time, ISO 8601.
        reason: Why the switch was made.
        model: Its id; empty for a lexical-only index.
        revision: Commit or content digest.
        lineage: How it came to be, None for a model that was not tuned here or whose generation is gone.
        live: Whether it answers now.
        kept: Whether the generation is still on disk.
        reranker: The tuned reranker that it answered with, None without one.
        second_stage: The tuned second stage, None without one.
        query_shift: What it had learned about questions, None when nothing.
    """

    generation: str
    at: str
    reason: Message
    model: str
    revision: str
    lineage: Lineage | None
    live: bool
    kept: bool
    reranker: RerankerFacts | None = None
    second_stage: RerankerFacts | None = None
    query_shift: RerankerFacts | None = None

    @property
    def newest(self) -> Lineage | RerankerFacts | None:
        """The newest promotion that it has."""
        return newest_promotion(self.lineage, self.reranker, self.second_stage, self.query_shift)

    @property
    def run(self) -> str:
        """The run of the newest promotion that it has; empty without one."""
        return self.newest.run if self.newest else ""


def newest_promotion(lineage: Lineage | None, *others: RerankerFacts | None) -> Lineage | RerankerFacts | None:
    """Return which of them went live last; of the same second, the last argument."""
    found: Lineage | RerankerFacts | None = None
    for one in (lineage, *others):
        if one is not None and (found is None or one.promoted >= found.promoted):
            found = one
    return found


def of_one_run(one: Lineage | RerankerFacts | None, other: Lineage | RerankerFacts | None) -> bool:
    """Whether two parts went live together, so that they are taken back together."""
    return one is not None and other is not None and one.run == other.run


def promote(index: Path, candidate: str, lineage: Lineage) -> None:
    """Make a candidate generation live, with its lineage in the manifest.

    Raises:
        IndexFormatError: If the candidate is not here.
        IndexMismatchError: If documents were indexed after the candidate was built (build it again, old vectors are reused), or
            another model went live than the lineage's base, with which it was compared.
        IndexBusyError: If another process is writing.
    """
    reason = (
        Message.of("tuning.promoted_anyway", "promoted against the verdict")
        if lineage.forced
        else Message.of("tuning.promoted", "promoted")
    )
    _go_live(index, candidate, lineage, reason, over=lineage.base)


def _go_live(index: Path, name: str, lineage: Lineage | None, reason: Message, *, over: EmbedderFacts | None) -> None:
    """Switch from the model `over`, and from no other, with the lineage in the manifest first."""
    generations = Generations(index)
    with writer_lock(index):
        if name not in generations.finished():
            raise IndexFormatError(
                "tuning.no_candidate",
                "generation {generation} is not here",
                expected="a finished candidate",
                do="Tune again",
                generation=repr(name),
            )
        folder = generations.folder / name
        manifest, live = Manifest.read(folder), Manifest.read(generations.live())
        if manifest.corpus_sha256 != live.corpus_sha256:
            raise IndexMismatchError(
                "tuning.other_documents",
                "generation {candidate} has other documents than {live}, which went live after it was built",
                expected="the same",
                do="Build the candidate again: what was encoded is kept",
                candidate=name,
                live=live.generation,
            )
        if _print(live.embedder) != _print(over):
            raise IndexMismatchError(
                "tuning.other_live",
                "generation {live} answers now with another model than the one that was looked at",
                expected="that one still",
                do="Compare with the new one, and try again",
                live=live.generation,
            )
        if (manifest.lineage, manifest.reranker) != (lineage, live.reranker):
            manifest.model_copy(update={"lineage": lineage, "reranker": live.reranker}).write(folder)
        generations.switch(name, reason)


def _print(facts: EmbedderFacts | None) -> str:
    return facts.fingerprint if facts else ""


def roll_back(
    index: Path, load: LoadEmbedder, settings: BuildOptions = BuildOptions(), observer: Observer | None = None
) -> str:
    """Take back the newest promotion, of a model, a reranker, a second stage, a query shift or a search of these two.

    Documents indexed since then stay.

    Args:
        index: The index folder.
        load: Loads an embedder by what the manifest says of it.
        settings: How to build, when the documents have changed since; otherwise the old generation goes live as it is.
        observer: Receives the progress events of such a build.

    Returns:
        The generation that is live now.

    Raises:
        IndexFormatError: If the live model was not promoted here.
        IndexMismatchError: If documents were indexed meanwhile (try again), or the base model's folder was changed.
        ModelError: If the base model has to be loaded and is not on this machine.
    """
    generations = Generations(index)
    live = Manifest.read(generations.live())
    newest = newest_promotion(live.lineage, live.reranker, live.second_stage, live.query_shift)
    if live.query_shift is not None and newest is live.query_shift and of_one_run(newest, live.second_stage):
        return _search_back(index, live)
    if newest is not None and newest is live.query_shift:
        return _query_shift_back(index, live, live.query_shift)
    if newest is not None and newest is live.second_stage:
        return _second_stage_back(index, live, live.second_stage)
    if isinstance(newest, RerankerFacts):
        back = Message.of(
            "tuning.reranker_back", "rolled back the reranker of {generation}", generation=live.generation
        )
        return with_reranker(index, newest.before, back, expected=live)
    if live.lineage is None:
        raise IndexFormatError(
            "tuning.not_tuned_here",
            "the model of generation {live} was not tuned here",
            expected="a promoted one to go back from",
            do="`quarry generations INDEX --rollback` goes back to older documents",
            live=live.generation,
        )
    name = _same_documents(generations, live) or _built_again(index, live.lineage, load, settings, observer)
    back = Message.of("tuning.model_back", "rolled back the model of {generation}", generation=live.generation)
    _go_live(index, name, live.lineage.before, back, over=live.embedder)
    return name


def _search_back(index: Path, live: Manifest) -> str:
    back = Message.of("tuning.search_back", "rolled back the tuned search of {generation}", generation=live.generation)
    parts = {"query_shift": live.query_shift, "second_stage": live.second_stage}
    before = {name: facts.before for name, facts in parts.items() if facts is not None}
    return with_parts(index, before, back, expected=live)


def _second_stage_back(index: Path, live: Manifest, facts: RerankerFacts) -> str:
    back = Message.of(
        "tuning.second_stage_back", "rolled back the second stage of {generation}", generation=live.generation
    )
    return with_second_stage(index, facts.before, back, expected=live)


def _query_shift_back(index: Path, live: Manifest, facts: RerankerFacts) -> str:
    back = Message.of(
        "tuning.query_shift_back",
        "rolled back what generation {generation} had learned about questions",
        generation=live.generation,
    )
    return with_query_shift(index, facts.before, back, expected=live)


def _same_documents(generations: Generations, live: Manifest) -> str | None:
    """Return the newest generation with the base model and the live documents."""
    lineage = live.lineage
    for name in reversed(generations.finished()):
        other = Manifest.read(generations.folder / name)
        same_model = other.embedder and lineage and other.embedder.fingerprint == lineage.base.fingerprint
        if same_model and (other.corpus_sha256, other.reranker) == (live.corpus_sha256, live.reranker):
            return name
    return None


def _built_again(
    index: Path, lineage: Lineage, load: LoadEmbedder, settings: BuildOptions, observer: Observer | None
) -> str:
    embedder = load(lineage.base)
    if embedder.spec.fingerprint != lineage.base.fingerprint:
        wanted = lineage.base.to_spec()
        raise IndexMismatchError(
            "tuning.other_base",
            "what is found as {model} is revision {revision}",
            expected="{wanted}, the base of the live model",
            do="Put that revision back, or keep the live model",
            model=wanted.model,
            revision=embedder.spec.revision[:12],
            wanted=wanted.revision[:12],
        )
    settings = replace(settings, model_folder=lineage.base.folder)
    return build_candidate(index, embedder, settings, observer).generation


def history(index: Path) -> list[Step]:
    """Return each change of the model or the reranker, oldest first, out of the pointer's history (its last 50 switches)."""
    generations = Generations(index)
    pointer = generations.pointer()
    kept = set(generations.finished())
    steps: list[Step] = []
    seen: tuple[str, ...] = ()
    for switch in pointer.history:
        manifest = Manifest.read(generations.folder / switch.generation) if switch.generation in kept else None
        facts = manifest.embedder if manifest else None
        reranker = manifest.reranker if manifest else None
        second = manifest.second_stage if manifest else None
        shift = manifest.query_shift if manifest else None
        models = (
            facts.fingerprint if facts else "",
            reranker.digest if reranker else "",
            second.digest if second else "",
            shift.digest if shift else "",
        )
        if manifest is not None and models == seen and steps:
            continue  # other documents, same models
        seen = models
        spec = facts.to_spec() if facts else None
        steps.append(
            Step(
                generation=switch.generation,
                at=switch.at,
                reason=switch.reason,
                model=spec.model if spec else "",
                revision=spec.revision if spec else "",
                lineage=manifest.lineage if manifest else None,
                live=False,
                kept=manifest is not None,
                reranker=reranker,
                second_stage=second,
                query_shift=shift,
            )
        )
    return [*steps[:-1], replace(steps[-1], live=True)] if steps else []


def lineage_of(parent: Manifest, run: str, verdict: Message, *, forced: bool, calibration: dict[str, float]) -> Lineage:
    """Describe a promotion that happens now.

    Raises:
        IndexFormatError: If the parent has no model.
    """
    if parent.embedder is None:
        raise IndexFormatError(
            "tuning.parent_without_model",
            "generation {generation} has no model to be tuned",
            expected="one",
            do="Build the index with --model",
            generation=parent.generation,
        )
    return Lineage(
        parent=parent.generation,
        base=parent.embedder,
        run=run,
        verdict=verdict,
        forced=forced,
        promoted=datetime.now(UTC).isoformat(timespec="seconds"),
        calibration=calibration,
        before=parent.lineage,
    )


LONGEST_WAIT = 3600.0  # seconds; longer than that something hangs, and the run can be gone on with
_PAUSE = 0.5  # seconds between two tries
T = TypeVar("T")


def in_turn(act: Callable[[], T], watch: TuningObserver) -> T:
    """Do something that takes the writer lock, after whoever holds it now.

    Args:
        act: What to do; it is tried again as long as the index is busy.
        watch: Receives one event when there is a wait; it may raise to end it.

    Raises:
        IndexBusyError: If the index is still busy after an hour.
    """
    until, told = time.monotonic() + LONGEST_WAIT, False
    while True:
        try:
            return act()
        except IndexBusyError as err:
            if time.monotonic() > until:
                raise
            if not told:
                watch.stage(Message.of("tuning.waiting", "waiting: {why}", why=err.message))
                told = True
            watch.advance(0)
            time.sleep(_PAUSE)
