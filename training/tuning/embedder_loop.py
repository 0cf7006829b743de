"""The closed loop, from what users said to a better model that answers, or a refusal with its reasons.

    sources -> examples -> split by query -> mined negatives        tuning_data
    -> fine-tune, merge with the base                               finetune, model_merge
    -> the index's passages encoded beside the live ones            quarry.indexer.build.build_candidate
    -> held-out queries and the general set, live against tuned     tuning_trials
    -> verdict                                                      gate
    -> one switch, or the candidate is removed                      promotion

Searches go on being answered by the live generation throughout. Read `tune` from top to bottom.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from quarry.indexer.build import build_candidate
from quarry.indexer.build.plan import BuildSettings
from quarry.indexer.errors import IndexFormatError, IndexMismatchError, ModelError, TrainingError
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.source import content_digest, resolve_model
from quarry.indexer.opened import Index
from quarry.indexer.storage.durable import is_disk_full, sync_folder, sync_tree
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import EmbedderFacts, Manifest
from quarry.retriever.diagnosis.vectors import ScoreBand
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages.models import recorded_embedder, recorded_source, usable_device
from quarry.training.tuning.candidates import MODELS, sweep
from quarry.training.tuning.data import TuningData, tuning_data
from quarry.training.tuning.gate import GateVerdict, judge
from quarry.training.tuning.plan import TuningObserver, TuningPlan, Unwatched
from quarry.training.tuning.promotion import in_turn, lineage_of, promote
from quarry.training.tuning.run import TuningRun
from quarry.training.tuning.trials import Contender, calibration, general_trial, held_out_trial

__all__ = ["MODELS", "TuningReport", "tune"]
_ROUNDS = 3  # of judging, when what answers changes meanwhile


@dataclass(frozen=True, slots=True)
class TuningReport:
    """What a run did.

    Attributes:
        run: Its name.
        folder: Its folder, with mining report, training curves and evaluations.
        examples: How many examples there were for training, choosing and the verdict.
        dev: nDCG@10 on the dev queries of the base model and of the chosen one.
        share: Of the tuned weights in the chosen model; 1 when it was not merged with the base.
        verdict: The gate's.
        generation: The one that is live now.
        promoted: Whether that is the tuned model's.
        forced: Whether it was promoted against the verdict.
        against: What the tuned reranker was compared with; empty for an embedder, which is compared with the live one.
    """

    run: str
    folder: Path
    examples: Mapping[str, int]
    dev: tuple[float | None, float | None]
    share: float
    verdict: GateVerdict
    generation: str
    promoted: bool
    forced: bool
    against: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it in the types of JSON, with the verdict in words."""
        return {
            **asdict(self),
            "folder": str(self.folder),
            "words": {"en": self.verdict.words("en"), "zh": self.verdict.words("zh")},
        }


def tune(
    index: Path, plan: TuningPlan, *, run: str | None = None, observer: TuningObserver | None = None
) -> TuningReport:
    """Run the loop once.

    Args:
        index: The index whose model is tuned.
        plan: What to do.
        run: Name of the run below INDEX/tuning; that of an interrupted run goes on with it.
        observer: Told how far it is.

    Raises:
        IndexFormatError: If this is no index, or it has no model that could be tuned.
        IndexBusyError: If another process works on the same run, or writes to the index for hours.
        IndexMismatchError: If the run was begun with another model than the one that answers, or what answers changed again
            and again while it was judged.
        FeedbackError: If there are too few examples, or the run's name belongs to other settings.
        TrainingError: If training fails; what was reached is kept, and the same call goes on.
        MissingExtraError: If the packages for training are not installed.
    """
    watch = observer or Unwatched()
    live = Manifest.read(Generations(index).live())
    _model_of(index, live)
    with closing(TuningRun.open(index, run, plan.facts())) as folder:
        folder.tunes(live)
        sweep(index, folder.name)
        done = False
        with _room(folder):
            try:
                report = _run(index, plan, folder, watch)
                done = True
            finally:
                sweep(index, folder.name, vectors=done)
            folder.finish(report.to_dict())
    return report


@contextmanager
def _room(run: TuningRun) -> Iterator[None]:
    """Turn a disk that is full into a sentence, at whatever a run is; everything else passes."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, sqlite3.Error, SafetensorError) as err:
        if not is_disk_full(err):
            raise
        raise TrainingError(
            f"the disk is full ({err}) in run {run.name}; expected room for its data, checkpoints, model and vectors. Make room and give "
            f"the same command with --run {run.name}: what was reached is kept"
        ) from err


def _model_of(index: Path, manifest: Manifest) -> EmbedderFacts:
    if manifest.embedder is None:
        raise IndexFormatError(
            f"{index} has no vectors, so there is no model to tune; expected an index with one. "
            f"Build it with `quarry index PATH --into {index} --model auto --rebuild`"
        )
    return manifest.embedder


def _generation(contender: Contender) -> str:
    return contender.searcher.index.generation


def _run(index: Path, plan: TuningPlan, folder: TuningRun, watch: TuningObserver) -> TuningReport:
    live = _live(index, plan.device)
    watch.stage(f"run {folder.name}: tuning {live.embedder.spec.model} of generation {_generation(live)}")
    data = tuning_data(live.searcher.index, live.embedder, plan, folder, watch)
    model, share, dev = _trained(index, live, data, plan, folder, watch)
    for _ in range(_ROUNDS):
        candidate = _candidate(index, model, plan, watch)
        if Generations(index).pointer().generation != _generation(live):
            live = _live(index, plan.device)
            watch.stage(f"generation {_generation(live)} answers now; the tuned model is compared with it")
        verdict, band = _judged(live, candidate, data, plan, folder, watch)
        promoted = plan.promote and (verdict.promote or plan.force)
        report = TuningReport(
            run=folder.name,
            folder=folder.folder,
            examples=data.counts,
            dev=dev,
            share=share,
            verdict=verdict,
            generation=_generation(candidate if promoted else live),
            promoted=promoted,
            forced=promoted and not verdict.promote,
        )
        if not promoted:
            return report
        folder.judged(report.to_dict())
        if in_turn(partial(_promoted, index, live, candidate, (verdict, band), folder), watch):
            return report
    raise IndexMismatchError(
        f"another generation went live {_ROUNDS} times while the tuned model was judged; expected the one that it was compared "
        f"with. Go on with --run {folder.name} when nobody indexes"
    )


def _live(index: Path, device: str) -> Contender:
    opened = Index.open(index)
    facts = _model_of(index, opened.manifest)
    embedder = recorded_embedder(index, facts, usable_device(device)[0])
    searcher = Searcher.open(index, embedder=embedder, generation=opened.generation)
    return Contender(f"live-{opened.generation}", searcher, embedder, recorded_source(index, facts).folder)


def _trained(
    index: Path, live: Contender, data: TuningData, plan: TuningPlan, run: TuningRun, watch: TuningObserver
) -> tuple[Path, float, tuple[float | None, float | None]]:
    """Fine-tune, merge, and put the chosen model inside the index. Returns its folder, the share, and the dev scores."""
    from quarry.training.fit.embedder import finetune
    from quarry.training.fit.kept_share import keep_share

    watch.stage(f"training on {len(data.train)} examples")
    trained = finetune(
        live.model, data.train, plan.spec, run.finetune, dev=data.dev, observer=watch.training, device=plan.device
    )
    watch.stage("choosing how much of the tuned weights to keep")
    measured = {0.0: trained.dev_before, 1.0: trained.dev_after}
    chosen = keep_share(
        (live.model, trained.folder), plan.merge, data.dev, plan.spec, run.folder / "merged",
        known={share: score for share, score in measured.items() if score is not None}, device=plan.device,
    )  # fmt: skip
    target = index / MODELS / run.name
    if target.is_dir():  # promoted once and rolled back
        if content_digest(target.absolute()) != content_digest(chosen.folder.absolute()):
            raise ModelError(
                f"{target} holds another model, which a generation needs; expected none. Give another --run NAME"
            )
        return target, chosen.share, (chosen.base_score, chosen.score)
    part = target.with_name(f".{run.name}.part")
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(chosen.folder, part)
    sync_tree(part)
    part.rename(target)
    sync_folder(target.parent)
    return target, chosen.share, (chosen.base_score, chosen.score)


def _candidate(index: Path, folder: Path, plan: TuningPlan, watch: TuningObserver) -> Contender:
    source = resolve_model(str(folder))
    if source is None:
        raise ModelError(f"{folder} is no model; expected the tuned one. Tune again under another name")
    device, _ = usable_device(plan.device)
    embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device=device)
    watch.stage("encoding the passages with the tuned model, beside the live ones")
    settings = BuildSettings(model_folder=f"{MODELS}/{folder.name}")
    report = in_turn(lambda: build_candidate(index, embedder, settings, watch), watch)
    searcher = Searcher.open(index, embedder=embedder, generation=report.generation)
    return Contender(f"tuned-{report.generation}", searcher, embedder, folder)


def _judged(
    live: Contender,
    candidate: Contender,
    data: TuningData,
    plan: TuningPlan,
    run: TuningRun,
    watch: TuningObserver,
) -> tuple[GateVerdict, ScoreBand | None]:
    watch.stage(f"asking {len(data.held_out.queries)} held-out queries of both, by {plan.route}")
    held = held_out_trial(live, candidate, data.held_out, plan.route, run.trials)
    watch.stage("measuring both on the general set")
    watch.phase("encoding", None)
    general = general_trial(live, candidate, plan.general, run.general, watch.advance)
    band = calibration(candidate.searcher.index, candidate.embedder, data.held_out)
    return judge(held, general, plan.rule), band


def _promoted(
    index: Path, live: Contender, candidate: Contender, found: tuple[GateVerdict, ScoreBand | None], run: TuningRun
) -> bool:
    """Make the candidate live; False when it was compared with what does not answer any more."""
    verdict, band = found
    numbers = {name: float(value) for name, value in asdict(band).items()} if band else {}
    lineage = lineage_of(
        live.searcher.index.manifest,
        run.name,
        verdict.words(),
        forced=not verdict.promote,
        calibration=numbers,
    )
    try:
        promote(index, _generation(candidate), lineage)
    except IndexMismatchError:
        return False
    return True
