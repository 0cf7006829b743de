"""The closed loop for the reranker: the same data, the same gate, one switch; no vector of the index changes.

    sources -> examples -> split by query -> mined negatives         tuning_data, as for the embedder
    -> fine-tune the cross-encoder                                   finetune_reranker
    -> held-out queries by the reranked route, and the general set   reranker_trials
    -> verdict against each rival                                    gate
    -> the index records the tuned reranker, or it is removed        quarry.indexer.storage.relabel

Rivals are what answers now and, when it is another one, the reranker that was tuned: the tuned one goes live only when it is
shown to be better than each of them.
"""

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from quarry.indexer.errors import IndexFormatError, ModelError
from quarry.indexer.models.loading import read_json
from quarry.indexer.models.source import content_digest
from quarry.indexer.opened import Index
from quarry.indexer.storage.durable import sync_folder, sync_tree
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import RerankerFacts
from quarry.indexer.storage.relabel import with_reranker
from quarry.retriever.data.datasets import load_dataset
from quarry.retriever.stages.models import recorded_embedder, usable_device
from quarry.training.fit.spec import RerankerSpec
from quarry.training.tuning.base_reranker import BaseReranker, base_reranker, loaded_ranker
from quarry.training.tuning.candidates import MODELS, sweep
from quarry.training.tuning.data import TuningData, tuning_data
from quarry.training.tuning.embedder_loop import TuningReport
from quarry.training.tuning.gate import GateVerdict, Trial, judge
from quarry.training.tuning.plan import TuningObserver, TuningPlan, Unwatched
from quarry.training.tuning.promotion import in_turn
from quarry.training.tuning.reranker_trials import FirstStage, Ranker, general_evaluation, held_out_evaluation
from quarry.training.tuning.run import TuningRun

FEW_FOR_A_HEAD = 1000  # 425 taught it next to nothing: docs/results.md


@dataclass(frozen=True, slots=True)
class _Judged:
    """The verdict against the hardest rival."""

    verdict: GateVerdict
    against: str


def tune_reranker(
    index: Path, plan: TuningPlan, *, run: str | None = None, observer: TuningObserver | None = None
) -> TuningReport:
    """Run the loop once for the reranker.

    Args:
        index: The index whose answers are reranked.
        plan: What to do; its spec is a `RerankerSpec`.
        run: Name of the run below INDEX/tuning; that of an interrupted run goes on with it.
        observer: Told how far it is.

    Raises:
        IndexFormatError: If the index has no vectors.
        IndexBusyError: If another process works on the same run, or writes to the index for hours.
        IndexMismatchError: If another model or reranker went live meanwhile, or since the run was begun.
        ModelError: If there is no reranker to begin with, or a model cannot be loaded.
        FeedbackError: If there are too few examples, or the run's name belongs to other settings.
        TrainingError: If training fails; what was reached is kept, and the same call goes on.
        MissingExtraError: If the packages for training are not installed.
        TypeError: If the plan is for an embedder.
    """
    _spec(plan)
    watch = observer or Unwatched()
    first = _first_stage(index, plan.device)
    base = base_reranker(index, first.index.manifest, plan.reranker)
    with closing(TuningRun.open(index, run, plan.facts())) as folder:
        folder.tunes(first.index.manifest)
        sweep(index, folder.name)
        try:
            report = _run(first, base, plan, folder, watch)
        finally:
            sweep(index, folder.name)  # what did not go live; the run's folder has it still
        folder.finish(report.to_dict())
    return report


def _run(
    first: FirstStage, base: BaseReranker, plan: TuningPlan, folder: TuningRun, watch: TuningObserver
) -> TuningReport:
    index = first.index.root
    head = "" if base.ranks else ", with a new head"
    watch.stage(f"run {folder.name}: tuning the reranker {base.name}{head} for generation {first.index.generation}")
    data = tuning_data(first.index, first.embedder, plan, folder, watch)
    if not base.ranks and len(data.train) < FEW_FOR_A_HEAD:
        watch.stage(
            f"a new head learns little from {len(data.train)} examples, so a refusal is likely; give more pairs, or begin with a "
            "released reranker (--reranker FOLDER)"
        )
    tuned, dev = _trained(index, base, data, plan, folder, watch)
    judged = _judged(first, base, tuned, data, (plan, folder, watch))
    promoted = plan.promote and (judged.verdict.promote or plan.force)
    report = TuningReport(
        run=folder.name,
        folder=folder.folder,
        examples=data.counts,
        dev=dev,
        share=1.0,
        verdict=judged.verdict,
        generation=first.index.generation,
        promoted=promoted,
        forced=promoted and not judged.verdict.promote,
        against=judged.against,
    )
    if not promoted:
        return replace(report, generation=Generations(index).pointer().generation)
    folder.judged(report.to_dict())
    facts = _facts(first, base, tuned, judged, folder)
    reason = "promoted the reranker against the verdict" if facts.forced else "promoted the reranker"
    return replace(
        report, generation=in_turn(lambda: with_reranker(index, facts, reason, expected=first.index.manifest), watch)
    )


def _spec(plan: TuningPlan) -> RerankerSpec:
    if not isinstance(plan.spec, RerankerSpec):
        raise TypeError(f"the plan's spec is a {type(plan.spec).__name__}; expected a RerankerSpec, to tune a reranker")
    return plan.spec


def _first_stage(index: Path, device: str) -> FirstStage:
    opened = Index.open(index)
    facts = opened.manifest.embedder
    if facts is None:
        raise IndexFormatError(
            f"{index} has no vectors, so the general set cannot be searched; expected an index with a model. "
            f"Build it with `quarry index PATH --into {index} --model auto --rebuild`"
        )
    return FirstStage(opened, recorded_embedder(index, facts, usable_device(device)[0]))


def _trained(
    index: Path, base: BaseReranker, data: TuningData, plan: TuningPlan, run: TuningRun, watch: TuningObserver
) -> tuple[Path, tuple[float | None, float | None]]:
    """Fine-tune, and put the model inside the index. Returns its folder and the dev scores."""
    from quarry.training.fit.reranker import finetune_reranker

    watch.stage(f"training on {len(data.train)} examples")
    trained = finetune_reranker(
        base.folder, data.train, _spec(plan), run.finetune, dev=data.dev, observer=watch.training, device=plan.device
    )
    target = index / MODELS / run.name
    if target.is_dir():  # of this run before it was interrupted, or promoted once and rolled back
        if content_digest(target.absolute()) != trained.digest:
            raise ModelError(
                f"{target} holds another model, which the index may need; expected none. Give another --run NAME"
            )
    else:
        part = target.with_name(f".{run.name}.part")
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(trained.folder, part)
        sync_tree(part)
        part.rename(target)
        sync_folder(target.parent)
    return target, (trained.dev_before, trained.dev_after)


def _judged(
    first: FirstStage,
    base: BaseReranker,
    folder: Path,
    data: TuningData,
    how: tuple[TuningPlan, TuningRun, TuningObserver],
) -> _Judged:
    plan, run, watch = how
    tuned = loaded_ranker(folder, f"the tuned {base.name}", plan.device)
    rivals = base.rivals(plan.device)
    watch.stage(
        f"asking {len(data.held_out.queries)} held-out queries by {plan.route}, reranked by {_listed([*rivals, tuned])}"
    )
    route = (plan.route, plan.rerank_depth)
    held = {
        ranker.key: held_out_evaluation(ranker, first, data.held_out, route, run.trials) for ranker in (*rivals, tuned)
    }
    watch.stage(f"reranking the general set by {_listed([*rivals, tuned])}")
    dataset = load_dataset(plan.general)
    watch.phase("reranking", None)
    general = {
        ranker.key: general_evaluation(ranker, first.embedder, dataset, run.general, watch.advance)
        for ranker in (*rivals, tuned)
    }

    def verdict(rival: Ranker) -> GateVerdict:
        return judge(
            Trial(held[rival.key], held[tuned.key], data.held_out.queries),
            Trial(general[rival.key], general[tuned.key], dataset.queries),
            plan.rule,
        )

    verdicts = [_Judged(verdict(rival), rival.name) for rival in rivals]
    return min(verdicts, key=lambda one: (one.verdict.promote, one.verdict.held_out.difference))


def _listed(rankers: Sequence[Ranker]) -> str:
    return ", ".join(ranker.name for ranker in rankers)


def _facts(first: FirstStage, base: BaseReranker, folder: Path, judged: _Judged, run: TuningRun) -> RerankerFacts:
    digest = content_digest(folder.absolute())
    return RerankerFacts(
        model=str(read_json(folder / "training.json").get("model") or base.name),
        digest=digest,
        folder=f"{MODELS}/{folder.name}",
        base=base.name,
        parent=first.index.generation,
        run=run.name,
        verdict=f"Against {judged.against}: {judged.verdict.words()}",
        forced=not judged.verdict.promote,
        promoted=datetime.now(UTC).isoformat(timespec="seconds"),
        before=first.index.manifest.reranker,
    )
