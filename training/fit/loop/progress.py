"""How far a training run is: its progress events, and one observer that writes them to a terminal."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO, TypeAlias

from quarry.indexer.messages import Message


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """The state after a step.

    Attributes:
        step: Steps done.
        steps: Steps planned; early stopping may end before.
        epoch: Passes over the rows so far, as a fraction.
        loss: Loss of the last step; None before the first.
        dev: nDCG@10 on the dev set in [0, 1] when it was evaluated at this step, else None.
        seconds_left: Expected time until the last planned step; None before it can be estimated.
        note: A remark for people; mostly None.
    """

    step: int
    steps: int
    epoch: float
    loss: float | None = None
    dev: float | None = None
    seconds_left: float | None = None
    note: Message | None = None


TrainObserver: TypeAlias = Callable[[TrainProgress], None]
"""Receives an event after each step and each evaluation."""


def line_of(progress: TrainProgress) -> str:
    """Return one line of text: `step 12/90  epoch 0.13  loss 0.412  dev nDCG@10 0.731  4 min 10 s left`."""
    parts = [f"step {progress.step}/{progress.steps}", f"epoch {progress.epoch:.2f}"]
    parts += [f"loss {progress.loss:.3f}"] if progress.loss is not None else []
    parts += [f"dev nDCG@10 {progress.dev:.3f}"] if progress.dev is not None else []
    parts += [f"{_spoken(progress.seconds_left)} left"] if progress.seconds_left is not None else []
    return "  ".join(parts + ([str(progress.note)] if progress.note else []))


def terminal_observer(stream: TextIO | None = None) -> TrainObserver:
    """Return an observer that writes to stderr, or to `stream`: one line that is overwritten on a terminal, else lines."""
    out = stream or sys.stderr

    def observe(progress: TrainProgress) -> None:
        keep = progress.dev is not None or bool(progress.note) or progress.step == progress.steps
        if out.isatty():
            out.write(f"\r\x1b[K{line_of(progress)}" + ("\n" if keep else ""))
        elif keep or progress.step % 10 == 0:
            out.write(f"{line_of(progress)}\n")
        out.flush()

    return observe


def _spoken(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )
