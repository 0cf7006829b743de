"""What happens between the steps of a run: log, progress, dev score, early stopping, sealed checkpoints, Ctrl-C.

Like `quarry.training.fit.loop.trainer` it is imported only where a run begins.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from math import ceil, isfinite
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import TrainerCallback

from quarry.indexer.errors import TrainingError
from quarry.indexer.messages import Message
from quarry.training.fit.loop.processes import agreed, any_process
from quarry.training.fit.loop.progress import TrainObserver, TrainProgress
from quarry.training.fit.loop.sharding import is_sharded
from quarry.training.fit.models.weights import restore_weights, trainable_weights
from quarry.training.fit.rows.batches import BatchPlan
from quarry.training.fit.run_folder import RunFolder, dev_scores
from quarry.training.fit.spec import TrainSpec

_EVALUATIONS = 10  # of a run at most, where the spec leaves it open
_FORWARDS_PER_STEP = 3  # what a step costs per text: forward, and backward for twice as much
_SHARE = 0.25  # of the time of training that evaluating may take


@dataclass(frozen=True, slots=True)
class RunParts:
    """What the callback works with.

    Attributes:
        run: The run's folder.
        spec: Its settings.
        plan: Its batches.
        processes: How many share them.
        first: The step it resumes from, -1 for a new run.
        score: Evaluates the model as it is; None without a dev set.
        dev_texts: How many texts it encodes for that.
        observer: Receives progress events; None for nobody.
    """

    run: RunFolder
    spec: TrainSpec
    plan: BatchPlan
    processes: int
    first: int
    score: Callable[[], float] | None
    dev_texts: int
    observer: TrainObserver | None

    @property
    def steps(self) -> int:
        """Steps planned."""
        return len(self.plan.batches) // self.processes

    @property
    def every(self) -> int:
        """Steps between evaluations: the spec's, or as many as keep them to ten at most and to a quarter of the time."""
        if self.spec.eval_steps:
            return self.spec.eval_steps
        texts = self.spec.batch_size * (2 + self.spec.loss.hard_negatives)
        affordable = ceil(self.dev_texts / (_FORWARDS_PER_STEP * texts * _SHARE))
        return max(1, self.steps // _EVALUATIONS, min(affordable, self.steps))


class RunCallback(TrainerCallback):
    """Follows a run and decides when it ends early."""

    def __init__(self, parts: RunParts, model: Any) -> None:
        self._parts = parts
        self._model = model
        self._every = parts.every
        self._scores = [(step, score) for step, score in dev_scores(parts.run.lines()) if step <= parts.first]
        self._began = (0.0, 0)
        self._dev: float | None = None
        self.interrupted = False
        self.stopped_early = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 (its signature)
        """Evaluate the base model, and start the clock."""
        if self._parts.score is not None and not self._scores:
            self._note_score(state.global_step)
            self._tell(state.global_step, None, note=Message.of("fit.before", "the model before training"))
        self._began = (time.monotonic(), state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:  # noqa: ARG002 (its signature)
        """Evaluate when it is time; stop when nothing gets better or somebody asked."""
        step = state.global_step
        self._dev = None
        if self._parts.score is not None and (step % self._every == 0 or step == self._parts.steps):
            before = max((score for at, score in self._scores if at), default=-1.0)
            self._dev = self._note_score(step)
            if self._dev > before:
                self._keep_best(step, self._dev)
            elif self._without_gain() >= (self._parts.spec.patience or float("inf")):
                self.stopped_early = control.should_training_stop = True
        self.interrupted = any_process(self.interrupted)
        if self.interrupted:
            control.should_save = control.should_training_stop = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:  # noqa: ARG002 (its signature)
        """Write the loss to the log and tell the observer.

        Raises:
            TrainingError: If the loss is not finite.
        """
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not isfinite(loss):
            raise TrainingError(
                "fit.loss",
                "the loss at step {step} is {loss}",
                expected="a number",
                do="Use a lower learning_rate or a higher temperature",
                step=state.global_step,
                loss=str(loss),
            )
        line = {"step": state.global_step, "loss": round(loss, 6), "learning_rate": logs.get("learning_rate")}
        self._parts.run.add(line)
        self._tell(state.global_step, loss)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 (its signature)
        """Seal the checkpoint: without the seal it does not count."""
        if self._parts.run.writes:
            self._parts.run.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    def scores(self) -> list[tuple[int, float]]:
        """Return step and dev score so far, step 0 first."""
        return list(self._scores)

    def restore_best(self) -> int | None:
        """Put the weights with the best dev score back and return their step; None when none were kept.

        Raises:
            TrainingError: If the file that kept them is damaged.
        """
        path = self._parts.run.best_weights
        if not path.is_file():
            return None
        with safe_open(path, framework="pt") as file:
            noted = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it has no __iter__)
        if noted.get("sha256") not in (None, _digest(weights)):
            raise TrainingError(
                "fit.best_damaged",
                "{file} is damaged: its weights do not match their digest",
                do="Remove the folder of this run and train again",
                file=path,
            )
        restore_weights(self._model, weights)
        return int(noted["step"])

    def _note_score(self, step: int) -> float:
        score = agreed(self._parts.score()) if self._parts.score is not None else 0.0
        self._scores.append((step, score))
        self._parts.run.add({"step": step, "dev": score})
        self._dev = score
        return score

    def _keep_best(self, step: int, score: float) -> None:
        if not (self._parts.run.writes or is_sharded(self._model)):
            return
        weights = trainable_weights(self._model)  # all processes take part where each holds a shard
        if self._parts.run.writes:
            path = self._parts.run.best_weights
            temp = path.with_name(f".{path.name}.part")
            save_file(weights, temp, metadata={"step": str(step), "dev": repr(score), "sha256": _digest(weights)})
            temp.replace(path)

    def _without_gain(self) -> int:
        """Evaluations since the best one."""
        values = [score for at, score in self._scores if at]
        return len(values) - 1 - values.index(max(values))

    def _tell(self, step: int, loss: float | None, note: Message | None = None) -> None:
        if self._parts.observer is None or not self._parts.run.writes:
            return
        began, first = self._began
        done = step - first
        left = (time.monotonic() - began) / done * (self._parts.steps - step) if done > 0 else None
        epoch = self._parts.spec.epochs * step / self._parts.steps
        self._parts.observer(TrainProgress(step, self._parts.steps, epoch, loss, self._dev, left, note))

    @contextmanager
    def catching_interrupt(self) -> Iterator[None]:
        """Turn the first Ctrl-C into a checkpoint at the end of the step; a second one ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        usual = signal.getsignal(signal.SIGINT)

        def remember(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a handler's signature)
            self.interrupted = True
            signal.signal(signal.SIGINT, usual)

        signal.signal(signal.SIGINT, remember)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)


def _digest(weights: dict[str, Any]) -> str:
    """Return the SHA-256 of weights by name, whatever their precision."""
    found = sha256()
    for name, weight in sorted(weights.items()):
        found.update(name.encode())
        found.update(weight.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
