"""One loop for all that is tuned. Read `tune` from top to bottom; the page of this room is in its `__init__`."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from quarry.indexer.errors import IndexMismatchError, TrainingError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import is_disk_full
from quarry.indexer.storage.generations import Generations
from quarry.indexer.stores.lake.view import as_index
from quarry.training.examples.reasons import Counts, counts_json
from quarry.training.fit.models.trainable import require_training
from quarry.training.fit.spec import RerankerSpec
from quarry.training.tuning.candidates import MODELS, install, sweep
from quarry.training.tuning.data import tuning_data
from quarry.training.tuning.embedder.subject import EmbedderSubject
from quarry.training.tuning.gate import GateVerdict
from quarry.training.tuning.plan import TuningObserver, TuningPlan, Unwatched
from quarry.training.tuning.query_shift.spec import QueryShiftSpec
from quarry.training.tuning.query_shift.subject import QueryShiftSubject
from quarry.training.tuning.reranker.subject import RerankerSubject
from quarry.training.tuning.run import TuningRun
from quarry.training.tuning.search.spec import SearchSpec
from quarry.training.tuning.search.subject import SearchSubject
from quarry.training.tuning.second_stage.spec import SecondStageSpec
from quarry.training.tuning.second_stage.subject import SecondStageSubject
from quarry.training.tuning.steps import NOTHING_ENCODED
from quarry.training.tuning.subject import Judged, LiveStage, Subject
from quarry.training.tuning.turn import in_turn

_ROUNDS = 3  # of judging, when what answers changes meanwhile
L = TypeVar("L", bound=LiveStage)
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What a run did.

    Attributes:
        run: The run's name.
        folder: The run's folder, with mining report, training curves and evaluations.
        examples: How many examples there were for training, choosing and the verdict, and what was left out.
        dev: nDCG@10 on the dev queries of the base model and of the chosen one.
        share: Share of the tuned weights in the chosen model; 1 when it was not merged with the base. Of a second stage, its gain.
        verdict: The gate's verdict.
        generation: The generation that is live now.
        promoted: Whether the tuned model answers in it.
        forced: Whether it was promoted against the verdict.
        against: What the tuned reranker or second stage was compared with; empty for an embedder, which is compared with the live one.
        model: The folder of the tuned model: in the index when it was promoted, otherwise in the run's folder.
    """

    run: str
    folder: Path
    examples: Counts
    dev: tuple[float | None, float | None]
    share: float
    verdict: GateVerdict
    generation: str
    promoted: bool
    forced: bool
    against: str = ""
    model: Path = Path()

    def to_dict(self) -> dict[str, Any]:
        """Return the report in the types of JSON, with the verdict in English and as messages."""
        return {
            **asdict(replace(self, examples={})),
            "folder": str(self.folder),
            "model": str(self.model),
            "examples": {str(what): count for what, count in self.examples.items()},
            "counts": counts_json(self.examples),
            "words": {"en": str(self.verdict.message())},
            "messages": [part.as_json() for part in (self.verdict.reason(), *self.verdict.figures())],
        }


def tune(
    index: Path | str, plan: TuningPlan, *, run: str | None = None, observer: TuningObserver | None = None
) -> TuningReport:
    """Run the loop once, for the embedder, the reranker, the second stage, the query shift or the search, whichever the plan's spec is for.

    Args:
        index: The index whose model is tuned, or a lake: its folder, or an address such as `s3://bucket/kb`.
        plan: What to do.
        run: Name of the run below INDEX/tuning; the name of an interrupted run resumes it.
        observer: Receives progress events.

    Raises:
        IndexFormatError: If this is not an index, or it has no vectors.
        IndexBusyError: If another process works on the same run, or writes to the index for hours.
        IndexMismatchError: If the run was begun with another model than the one that answers, or what answers changed again
            and again while it was judged.
        FeedbackError: If there are too few examples, or the run's name belongs to other settings.
        ModelError: If there is no reranker to begin with, or a model cannot be loaded.
        TrainingError: If it was started by torchrun, training fails or the disk is full; what was reached is kept, and the same
            call resumes.
        MissingExtraError: If the packages for training are not installed.
    """
    watch, index = observer or Unwatched(), as_index(index)
    if plan.what not in NOTHING_ENCODED:
        require_training()
    if (processes := int(os.environ.get("WORLD_SIZE", "1"))) > 1:
        raise TrainingError(
            "tuning.several_processes",
            "tuning was started by torchrun in {processes} processes",
            expected="one",
            do="Start it without torchrun, with --processes {processes}",
            processes=processes,
        )
    if isinstance(plan.spec, SearchSpec):
        search = SearchSubject(index, plan.spec, plan.exam, plan.device, own=plan.evaluate is None)
        return _tune(search, plan, run, watch)
    if isinstance(plan.spec, QueryShiftSpec):
        queries = QueryShiftSubject(index, plan.spec, plan.exam, plan.device, own=plan.evaluate is None)
        return _tune(queries, plan, run, watch)
    if isinstance(plan.spec, SecondStageSpec):
        return _tune(SecondStageSubject(index, plan.spec, plan.exam, plan.device), plan, run, watch)
    if isinstance(plan.spec, RerankerSpec):
        reranker = RerankerSubject(index, plan.spec, plan.reranker, plan.exam, plan.device)
        return _tune(reranker, plan, run, watch)
    return _tune(
        EmbedderSubject(index, plan.spec, plan.merge, plan.exam, plan.device, plan.processes), plan, run, watch
    )


def _tune(subject: Subject[L, C], plan: TuningPlan, name: str | None, watch: TuningObserver) -> TuningReport:
    live = subject.check()
    with closing(TuningRun.open(subject.root, name, plan.facts())) as run:
        run.tunes(live)
        sweep(subject.root, run.name)
        done = False
        with _room(run):
            try:
                report = _run(subject, plan, run, watch)
                done = True
            finally:
                sweep(subject.root, run.name, vectors=done)
            run.finish(report.to_dict())
    return report


def _run(subject: Subject[L, C], plan: TuningPlan, run: TuningRun, watch: TuningObserver) -> TuningReport:
    generations = Generations(subject.root)
    live = subject.open_live()
    watch.stage(subject.announced(live, run.name))
    data = tuning_data(live.index, live.embedder, plan.data, run, watch)
    fitted = subject.train(live, data, run, watch)
    model = install(fitted.folder, subject.root / MODELS / run.name)
    for _ in range(_ROUNDS):
        tuned = subject.contender(model, watch)
        if generations.pointer().generation != live.index.generation:
            live = subject.open_live()
            watch.stage(
                Message.of(
                    "tuning.other_generation",
                    "generation {generation} answers now; the tuned model is compared with it",
                    generation=live.index.generation,
                )
            )
        judged = subject.judge(live, tuned, data.held_out, run, watch)
        promoted = plan.promote and (judged.verdict.promote or plan.force)
        report = TuningReport(
            run=run.name,
            folder=run.folder,
            examples=data.counts,
            dev=(fitted.dev_before, fitted.dev_after),
            share=fitted.share,
            verdict=judged.verdict,
            generation=generations.pointer().generation,
            promoted=promoted,
            forced=promoted and not judged.verdict.promote,
            against=judged.against,
            model=model if promoted else fitted.folder,
        )
        if not promoted:
            return report
        run.judged(report.to_dict())
        if generation := _promoted(subject, live, tuned, judged, run, watch):
            return replace(report, generation=generation)
    raise IndexMismatchError(
        "tuning.never_rests",
        "another generation went live {rounds} times while the tuned model was judged",
        expected="the one that it was compared with",
        do="Resume with --run {run} when nobody is indexing",
        rounds=_ROUNDS,
        run=run.name,
    )


def _promoted(subject: Subject[L, C], live: L, tuned: C, judged: Judged, run: TuningRun, watch: TuningObserver) -> str:
    """Return the generation that is live after the switch; empty when the model was compared with what no longer answers."""
    try:
        return in_turn(lambda: subject.promote(live, tuned, judged, run.name), watch)
    except IndexMismatchError:
        return ""


@contextmanager
def _room(run: TuningRun) -> Iterator[None]:
    """Turn a full disk into a sentence, wherever a run meets it; everything else passes.

    Raises:
        TrainingError: If the disk is full.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, sqlite3.Error, SafetensorError) as err:
        if not is_disk_full(err):
            raise
        raise TrainingError(
            "tuning.disk_full",
            "the disk is full ({why}) in run {run}",
            expected="room for its data, checkpoints, model and vectors",
            do="Make room and give the same command with --run {run}: what was reached is kept",
            why=str(err),
            run=run.name,
        ) from err
