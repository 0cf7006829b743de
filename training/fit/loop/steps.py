"""The steps of a run in this process, from the last whole checkpoint to the end of the plan; and what is trained, a `Trainee`.

Like `quarry.training.fit.loop.trainer` it is imported only where a run begins.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from quarry.indexer.errors import TrainingStopped
from quarry.indexer.models.forward.precision import chosen_precision
from quarry.training.fit.loop.callback import RunCallback, RunParts
from quarry.training.fit.loop.dev_score import DevSet
from quarry.training.fit.loop.progress import TrainObserver
from quarry.training.fit.rows.batches import BatchPlan, Draw
from quarry.training.fit.run_folder import RunFolder, step_of
from quarry.training.fit.spec import TrainSpec


class Trainee(Protocol):
    """What a run needs of the model that it trains: an embedder and a reranker differ only in this."""

    @property
    def what(self) -> str:
        """`embedder` or `reranker`."""

    @property
    def base(self) -> str:
        """Name of the model that it starts from."""

    @property
    def model(self) -> Any:
        """The sentence-transformers model whose weights change."""

    def trainer(self, arguments: Mapping[str, Any], callback: Any) -> Any:
        """Return a trainer with `quarry.training.fit.loop.trainer.Planned` in it."""

    def collate(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """Return what the model and the loss read, for one batch."""

    def score(self, dev: DevSet) -> float:
        """Return nDCG@10 of the model as it is, in [0, 1]."""

    def write(self, folder: Path, digest: str, record: Mapping[str, Any]) -> None:
        """Write the model as a plain folder."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the steps came to; the weights are in the model.

    Attributes:
        steps: Steps done, those before a resumption counted.
        best_step: The step of the weights that are in the model now.
        scores: Step and dev score, step 0 is the base model; empty without a dev set.
        stopped_early: Whether it ended before the plan.
        left_out: Draws that could not be used.
    """

    steps: int
    best_step: int
    scores: list[tuple[int, float]]
    stopped_early: bool
    left_out: int


def train_steps(
    trainee: Trainee,
    spec: TrainSpec,
    *,
    plan: BatchPlan,
    run: RunFolder,
    dev: DevSet | None,
    observer: TrainObserver | None,
) -> Outcome:
    """Train, keep the best weights, and leave them in the model.

    Raises:
        TrainingStopped: After Ctrl-C, when the checkpoint is saved.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    checkpoint = run.last_checkpoint()
    first = step_of(checkpoint) if checkpoint else -1
    run.forget_after(first)
    score = None if dev is None else lambda: trainee.score(dev)
    texts = 0 if dev is None else len(dev.queries) + len(dev.passages)
    parts = RunParts(run, spec, plan, processes, first, score, texts, observer)
    callback = RunCallback(parts, trainee.model)
    trainer = trainee.trainer(_arguments(spec, run, parts.steps, trainee.model.device), callback)
    trainer.plan(plan.batches, trainee.collate)
    _quiet(trainer)
    with callback.catching_interrupt(), warnings.catch_warnings():
        # for each step of each process: what sentence-transformers and accelerate will do otherwise one day
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"(sentence_transformers|accelerate)\.")
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    steps = int(trainer.state.global_step)
    if callback.interrupted and steps < parts.steps:
        raise TrainingStopped(
            "fit.stopped",
            "stopped at step {step} of {steps}; a checkpoint is in {folder}",
            do="Run the same command again to resume",
            step=steps,
            steps=parts.steps,
            folder=run.checkpoints,
        )
    best = callback.restore_best() if dev is not None else None
    return Outcome(steps, best or steps, callback.scores(), callback.stopped_early, plan.left_out)


def _arguments(spec: TrainSpec, run: RunFolder, steps: int, device: torch.device) -> dict[str, Any]:
    gpu = device.type == "cuda"
    return {
        "output_dir": str(run.checkpoints),
        "per_device_train_batch_size": spec.batch_size,
        "num_train_epochs": 1,  # the plan holds every epoch
        "learning_rate": spec.learning_rate,
        "warmup_steps": int(spec.warmup * steps),
        "weight_decay": spec.weight_decay,
        "lr_scheduler_type": "linear",
        "seed": spec.seed,
        "use_cpu": not gpu,
        "bf16": chosen_precision(spec.precision, device) == "bfloat16",
        "optim": "adamw_torch_fused",
        "logging_steps": 1 if not gpu else max(1, steps // 200),
        "logging_nan_inf_filter": False,
        "save_strategy": "steps" if spec.checkpoint_steps else "no",
        "save_steps": spec.checkpoint_steps or 1,
        "save_total_limit": 2,  # the older one stays whole while the newer one is written
        "eval_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": gpu,
        "ddp_find_unused_parameters": False,
    }


def _quiet(trainer: Any) -> None:
    """The trainer prints its log lines to stdout, where only results belong; ours are with the observer."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
