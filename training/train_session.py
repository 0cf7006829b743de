"""One stretch of training in this process, from the last whole checkpoint to the end of the plan.

Like `training.trainer` it is imported only where a run begins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformerTrainingArguments

from indexer.errors import TrainingStopped
from training.batch_plan import BatchPlan
from training.collation import Collator
from training.exchange import TrainingRow
from training.run_callback import RunCallback, RunParts
from training.run_folder import RunFolder, step_of
from training.train_progress import TrainObserver
from training.train_spec import TrainSpec
from training.trainable import Trainable
from training.trainer import ContrastiveLoss, PlannedTrainer, rows_placeholder


@dataclass(frozen=True, slots=True)
class Session:
    """What a stretch of training came to; the weights are in the model.

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


def train_session(
    trainable: Trainable,
    rows: Sequence[TrainingRow],
    spec: TrainSpec,
    *,
    plan: BatchPlan,
    run: RunFolder,
    dev: Callable[[], float] | None,
    observer: TrainObserver | None,
) -> Session:
    """Train, keep the best weights, and leave them in the model.

    Raises:
        TrainingStopped: After Ctrl-C, when the checkpoint is saved.
    """
    arguments = _arguments(spec, run, len(plan.batches), trainable.model.device)
    checkpoint = run.last_checkpoint()
    first = step_of(checkpoint) if checkpoint else -1
    run.forget_after(first)
    parts = RunParts(run, spec, plan, arguments.world_size, first, dev, observer)
    callback = RunCallback(parts, trainable.model)
    trainer = PlannedTrainer(
        model=trainable.model,
        args=arguments,
        train_dataset=rows_placeholder(len(rows)),
        loss=ContrastiveLoss(trainable.model, spec),
        callbacks=[callback],
    )
    trainer.plan(plan.batches, Collator(rows, spec, trainable.tokenizer, trainable.shape))
    _quiet(trainer)
    with callback.catching_interrupt():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    steps = int(trainer.state.global_step)
    if callback.interrupted and steps < parts.steps:
        raise TrainingStopped(
            f"stopped at step {steps} of {parts.steps}; a checkpoint is in {run.checkpoints}. Run the same command again to go on"
        )
    best = callback.restore_best() if dev is not None else None
    return Session(steps, best or steps, callback.scores(), callback.stopped_early, plan.left_out)


def _arguments(spec: TrainSpec, run: RunFolder, batches: int, device: torch.device) -> Any:
    gpu = device.type == "cuda"
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(run.checkpoints),
        per_device_train_batch_size=spec.batch_size,
        num_train_epochs=1,  # the plan holds every epoch
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        lr_scheduler_type="linear",
        seed=spec.seed,
        use_cpu=not gpu,
        bf16=gpu and torch.cuda.is_bf16_supported(),
        optim="adamw_torch_fused",
        logging_steps=1 if not gpu else max(1, batches // 200),
        logging_nan_inf_filter=False,
        save_strategy="steps" if spec.checkpoint_steps else "no",
        save_steps=spec.checkpoint_steps or 1,
        save_total_limit=2,  # the older one stays whole while the newer one is written
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=gpu,
        ddp_find_unused_parameters=False,
    )
    arguments.warmup_steps = int(spec.warmup * batches / max(1, arguments.world_size))
    return arguments


def _quiet(trainer: Any) -> None:
    """The trainer prints its log lines to stdout, where only results belong; ours are with the observer."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
