"""The closed loop, from what users said to a better model that answers, or a refusal with its reasons.

    sources -> examples -> split by query -> mined negatives        tuning_data
    -> fine-tune, merge with the base                               finetune, model_merge
    -> the index's passages encoded beside the live ones            indexer.build.build_candidate
    -> held-out queries and the general set, live against tuned     tuning_trials
    -> verdict                                                      gate
    -> one switch, or the candidate is removed                      promotion

Searches go on being answered by the live generation throughout. Read `tune` from top to bottom.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from indexer.build import build_candidate
from indexer.build_plan import BuildSettings
from indexer.durable import sync_folder, sync_tree
from indexer.encoder import load_embedder
from indexer.errors import IndexFormatError, ModelError
from indexer.generations import Generations, writer_lock
from indexer.manifest import Manifest
from indexer.model_source import resolve_model
from indexer.opened import Index
from indexer.vector_cache import VectorCache
from retriever.diagnostics import ScoreBand
from retriever.models import recorded_embedder, recorded_source, usable_device
from retriever.searcher import Searcher
from training.gate import GateVerdict, judge
from training.promotion import lineage_of, promote
from training.tuning_data import TuningData, tuning_data
from training.tuning_plan import TuningObserver, TuningPlan, Unwatched
from training.tuning_run import TuningRun
from training.tuning_trials import Contender, calibration, general_trial, held_out_trial

MODELS = "models"


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
        IndexFormatError: If the index has no model that could be tuned.
        FeedbackError: If there are too few examples, or the run's name belongs to other settings.
        TrainingError: If training fails; what was reached is kept, and the same call goes on.
        MissingExtraError: If the packages for training are not installed.
    """
    watch = observer or Unwatched()
    folder = TuningRun.open(index, run, plan.facts())
    live = _live(index, plan.device)
    watch.stage(f"run {folder.name}: tuning {live.embedder.spec.model} of generation {live.searcher.index.generation}")
    data = tuning_data(live.searcher.index, live.embedder, plan, folder, watch)
    model, share, dev = _trained(index, live, data, plan, folder, watch)
    candidate = _candidate(index, model, plan, watch)
    try:
        verdict, band = _judged(live, candidate, data, plan, folder, watch)
        promoted = plan.promote and (verdict.promote or plan.force)
        if promoted:
            _promote(index, live, candidate, (verdict, band), folder)
    finally:
        _clear_away(index, candidate)
    report = TuningReport(
        run=folder.name,
        folder=folder.folder,
        examples=data.counts,
        dev=dev,
        share=share,
        verdict=verdict,
        generation=Generations(index).pointer().generation,
        promoted=promoted,
        forced=promoted and not verdict.promote,
    )
    folder.finish(report.to_dict())
    return report


def _live(index: Path, device: str) -> Contender:
    opened = Index.open(index)
    facts = opened.manifest.embedder
    if facts is None:
        raise IndexFormatError(
            f"{index} has no vectors, so there is no model to tune; expected an index with one. "
            f"Build it with `quarry index PATH --into {index} --model auto --rebuild`"
        )
    embedder = recorded_embedder(index, facts, usable_device(device)[0])
    searcher = Searcher.open(index, embedder=embedder, generation=opened.generation)
    return Contender(f"live-{opened.generation}", searcher, embedder, recorded_source(index, facts).folder)


def _trained(
    index: Path, live: Contender, data: TuningData, plan: TuningPlan, run: TuningRun, watch: TuningObserver
) -> tuple[Path, float, tuple[float | None, float | None]]:
    """Fine-tune, merge, and put the chosen model inside the index. Returns its folder, the share, and the dev scores."""
    from training.finetune import finetune
    from training.kept_share import keep_share

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
    if not target.is_dir():
        target.parent.mkdir(exist_ok=True)
        part = target.with_name(f".{run.name}.part")
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
    report = build_candidate(index, embedder, settings, watch)
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


def _promote(
    index: Path, live: Contender, candidate: Contender, found: tuple[GateVerdict, ScoreBand | None], run: TuningRun
) -> None:
    verdict, band = found
    numbers = {name: float(value) for name, value in asdict(band).items()} if band else {}
    lineage = lineage_of(
        live.searcher.index.manifest,
        run.name,
        verdict.words(),
        forced=not verdict.promote,
        calibration=numbers,
    )
    promote(index, candidate.searcher.index.generation, lineage)


def _clear_away(index: Path, candidate: Contender) -> None:
    """Remove a candidate that did not go live: its generation, its copy of the model, its vectors. The run's folder stays."""
    generations = Generations(index)
    with writer_lock(index):
        name = candidate.searcher.index.generation
        if name == generations.pointer().generation or name not in generations.finished():
            return
        generations.discard(name)
        used = {
            facts.fingerprint
            for other in generations.finished()
            if (facts := Manifest.read(generations.folder / other).embedder) is not None
        }
        if candidate.embedder.spec.fingerprint not in used:
            VectorCache.remove(index, candidate.embedder.spec.fingerprint)
            shutil.rmtree(candidate.model, ignore_errors=True)
