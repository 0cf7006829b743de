"""A training run from the first check to the finished folder, the same for embedders and rerankers.

It can be killed at any moment; the same call resumes from the last complete checkpoint and ends with the same weights.
"""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quarry.indexer.errors import TrainingError
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.forward.precision import chosen_precision
from quarry.indexer.models.loading import quiet_libraries
from quarry.indexer.storage.files.durable import sync_folder, sync_tree
from quarry.training.fit.failures import explained
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.loop.progress import TrainObserver
from quarry.training.fit.loop.sharding import Sharding, without_accelerate
from quarry.training.fit.models.model_folder import add_versions, write_curves
from quarry.training.fit.models.trainable import own_device, require_training
from quarry.training.fit.models.weights import restore_weights, trainable_weights, weights_without_numbers
from quarry.training.fit.rows.batches import plan_batches
from quarry.training.fit.rows.table import RowTable
from quarry.training.fit.run_folder import RunFolder, digest_of, losses, versions
from quarry.training.fit.spec import TrainSpec

if TYPE_CHECKING:
    from quarry.training.fit.loop.steps import Outcome, Trainee


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """What came of a run.

    Attributes:
        folder: The model, ready for `quarry.indexer.models.encoder.load_embedder`.
        run: The run's folder, with log and curves.
        digest: Digest of the model's files (40 hex digits).
        steps: Steps that were run.
        best_step: The step whose weights these are; the last one without a dev set.
        dev_before: nDCG@10 of the base model on the dev set, in [0, 1]; None without one.
        dev_after: nDCG@10 of this model. Not proof of improvement; the gate decides.
        stopped_early: Whether the dev score stopped getting better.
        seconds: Wall time of this call.
    """

    folder: Path
    run: Path
    digest: str
    steps: int
    best_step: int
    dev_before: float | None
    dev_after: float | None
    stopped_early: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Start:
    """What a run begins with.

    Attributes:
        base: Folder of the model; only read.
        device: `auto`, `cpu`, `cuda` or `cuda:N`; under torchrun each process takes its own.
        opened: Opens what is trained on a device.
    """

    base: Path
    device: str
    opened: Callable[[str], "Trainee"]


def run_training(
    start: Start,
    table: RowTable,
    spec: TrainSpec,
    out: Path,
    *,
    dev: DevSet | None,
    observer: TrainObserver | None,
) -> TrainedModel:
    """Train, or resume an unfinished run.

    Args:
        start: What is trained; opened after the cheap checks.
        table: What to learn from.
        spec: How.
        out: The run's folder; new, or that of the same run.
        dev: Held-out queries that choose the checkpoint.
        observer: Receives progress events.

    Raises:
        FeedbackError: If no batch can be made of the rows.
        MissingExtraError: If the packages for training are not installed.
        TrainingStopped: After Ctrl-C; a checkpoint was saved.
        TrainingError: If `out` holds another run, dev queries are among the rows, memory or disk runs out, or the loss is
            not a number.
    """
    require_training()
    began = time.monotonic()
    processes, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    sharding = Sharding.asked()
    asked = {query.text for query in dev.queries} if dev is not None else set()
    if shared := {row.query for row in table.rows if row.query in asked} if asked else set():
        raise TrainingError(
            "fit.dev_in_rows",
            "{count} dev queries are also training rows, first {first}",
            expected="none",
            do="Split by query",
            count=len(shared),
            first=repr(min(shared)),
        )
    run = RunFolder(out, writes=rank == 0)
    plan = plan_batches(table, spec, processes=processes)
    with explained(spec, out), quiet_libraries(), without_accelerate():
        from transformers import set_seed

        set_seed(spec.seed)  # what new weights draw comes before the trainer sets its own
        trainee = start.opened("cpu" if sharding else start.device)
        if sharding:
            _shard(sharding, trainee, spec, own_device(start.device))
        config = _config(trainee, start.base, table, dev, spec, processes)
        if run.writes:
            run.begin(config)
        if done := run.result():
            return _trained(run, done, time.monotonic() - began)
        from quarry.training.fit.loop.steps import train_steps

        outcome = train_steps(trainee, spec, plan=plan, run=run, dev=dev, observer=observer)
        weights = trainable_weights(trainee.model) if sharding else {}
        if rank == 0:
            if sharding:
                trainee = start.opened("cpu")
                restore_weights(trainee.model, weights)
            _finish(run, trainee, config, outcome, len(dev.queries) if dev is not None else 0)
    if processes > 1:
        import torch.distributed

        torch.distributed.barrier()  # the others return when the model is there
    return _trained(run, run.result(), time.monotonic() - began)


def _shard(sharding: Sharding, trainee: "Trainee", spec: TrainSpec, device: str) -> None:
    """Shard what is trained.

    Raises:
        TrainingError: If its forward passes cannot be the same in all processes.
    """
    if trainee.what != "embedder":
        raise TrainingError(
            "fit.sharded",
            "accelerate was told to shard the weights (FSDP), which Quarry does for embedders only",
            expected="whole weights in each process",
            do="Train rerankers with LoRA",
        )
    import torch

    half = chosen_precision(spec.precision, torch.device(device)) == "bfloat16"
    sharding.apply(trainee.model, device, half=half)


def _config(
    trainee: "Trainee", base: Path, table: RowTable, dev: DevSet | None, spec: TrainSpec, processes: int
) -> dict[str, Any]:
    return {
        "what": trainee.what,
        "base": {"model": trainee.base, "revision": content_digest(base)},
        "rows": len(table),
        "rows_digest": table.digest,
        "dev_digest": digest_of([asdict(query) for query in dev.queries] + [dev.passages, dev.qrels, dev.hard])
        if dev
        else "",
        "spec": spec.model_dump(mode="json"),
        "precision": chosen_precision(spec.precision, trainee.model.device),
        "processes": processes,
        "versions": versions(),
    }


def _finish(run: RunFolder, trainee: "Trainee", config: dict[str, Any], outcome: "Outcome", queries: int) -> None:
    """Write the model beside its place, move it there whole, and record the run as done.

    Raises:
        TrainingError: If the last step made weights that are no numbers: the loss is looked at before the step.
    """
    if broken := weights_without_numbers(trainee.model):
        raise TrainingError(
            "fit.broken_weights",
            "after training {count} weights are not finite numbers, first {first}",
            expected="numbers",
            do="Use a lower learning_rate or a higher temperature, in another run",
            count=len(broken),
            first=broken[0],
        )
    scores = dict(outcome.scores)
    dev = {"queries": queries, "before": scores[0], "after": scores[outcome.best_step]} if scores else None
    kept = ("what", "base", "rows", "rows_digest", "dev_digest", "spec", "precision")
    record = {key: config[key] for key in kept} | {
        "steps": outcome.best_step,
        "dev": dev,
    }
    digest = digest_of([config["base"], config["rows_digest"], config["spec"], config["processes"]])
    part = run.folder / ".model.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(run.model, ignore_errors=True)
    trainee.write(part, digest, record)
    add_versions(part / "README.md", config["versions"])
    sync_tree(part)
    part.rename(run.model)
    sync_folder(run.folder)
    write_curves(run.folder / "curves.png", losses(run.lines()), outcome.scores)
    run.finish(
        {
            "digest": content_digest(run.model),
            "steps": outcome.steps,
            "best_step": outcome.best_step,
            "dev": dev,
            "stopped_early": outcome.stopped_early,
            "left_out": outcome.left_out,
        }
    )


def finished(out: Path) -> TrainedModel:
    """Return what a finished run made, as `run_training` returned it; its seconds are not known."""
    run = RunFolder(out, writes=False)
    return _trained(run, run.result(), 0.0)


def _trained(run: RunFolder, result: dict[str, Any], seconds: float) -> TrainedModel:
    dev = result["dev"] or {}
    return TrainedModel(
        folder=run.model,
        run=run.folder,
        digest=result["digest"],
        steps=result["steps"],
        best_step=result["best_step"],
        dev_before=dev.get("before"),
        dev_after=dev.get("after"),
        stopped_early=result["stopped_early"],
        seconds=seconds,
    )
