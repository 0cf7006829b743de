"""Which rows come together in which step, for a whole run, from a seed: what makes a run repeatable and resumable.

It is all decided before the first step, so that a killed run resumes with the same batches. No texts are read
here but to keep equal ones apart; nothing is encoded.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.spec import TrainSpec

_LOOK_AHEAD = 8  # batches of rows that are passed over for one batch: bounds the time where many rows share a text


@dataclass(frozen=True, slots=True)
class Draw:
    """One query in one step.

    Attributes:
        row: Number of the row.
        positive: Which of its `pos` was drawn for this epoch.
        negatives: Which of its `neg` were, in order of the draw.
    """

    row: int
    positive: int
    negatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """All steps of a run.

    Attributes:
        batches: One per step and process; step s of process p is batch s * processes + p.
        epoch_ends: Number of batches after each epoch.
        left_out: Draws that were dropped because nothing in their batch could be a negative, or to fill no whole step.
    """

    batches: tuple[tuple[Draw, ...], ...]
    epoch_ends: tuple[int, ...]
    left_out: int


def plan_batches(rows: Sequence[TrainingRow], spec: TrainSpec, *, processes: int = 1) -> BatchPlan:
    """Lay out every epoch.

    In a batch no query and no drawn positive comes twice. Rows that do not fit wait for the next batch.

    Raises:
        FeedbackError: If there are no rows, or not one batch with a negative can be made of them.
    """
    if not rows:
        raise FeedbackError(
            "fit.no_rows",
            "there are 0 training rows",
            expected="at least 2",
            do="Collect judgements or give a file of pairs",
        )
    usable = [_usable_negatives(row) for row in rows]
    batches: list[tuple[Draw, ...]] = []
    ends = []
    drawn = 0
    for epoch in range(spec.epochs):
        rng = np.random.default_rng([spec.seed, epoch])
        draws = [_draw(number, row, usable[number], spec, rng) for number, row in enumerate(rows)]
        drawn += len(draws)
        made = [batch for batch in _epoch(draws, rows, spec, rng) if _teaches(batch, spec)]
        batches += made[: len(made) - len(made) % processes]
        ends.append(len(batches))
    if not batches:
        raise FeedbackError(
            "fit.no_batch",
            "no batch can be made of {count:row|rows}: they share one query or one passage and have no negatives to compare with "
            "({processes:process|processes})",
            expected="at least 2 different queries with different passages",
            count=len(rows),
            processes=processes,
        )
    return BatchPlan(tuple(batches), tuple(ends), drawn - sum(len(batch) for batch in batches))


def _usable_negatives(row: TrainingRow) -> list[int]:
    """A negative that is also a positive, or the query itself, would teach the opposite."""
    barred = {*row.pos, row.query}
    return [number for number, text in enumerate(row.neg) if text not in barred]


def _draw(number: int, row: TrainingRow, usable: list[int], spec: TrainSpec, rng: np.random.Generator) -> Draw:
    count = min(spec.loss.hard_negatives, len(usable))
    chosen: list[int] = rng.choice(len(usable), count, replace=False).tolist() if count else []
    return Draw(number, int(rng.integers(len(row.pos))), tuple(usable[place] for place in chosen))


def _teaches(batch: Sequence[Draw], spec: TrainSpec) -> bool:
    return (spec.loss.in_batch_negatives and len(batch) > 1) or any(draw.negatives for draw in batch)


def _epoch(
    draws: Sequence[Draw], rows: Sequence[TrainingRow], spec: TrainSpec, rng: np.random.Generator
) -> list[tuple[Draw, ...]]:
    order = [draws[number] for number in rng.permutation(len(draws))]
    if spec.batches.order == "random":
        return _cut(order, rows, spec.batch_size)
    kinds: dict[str, list[Draw]] = defaultdict(list)
    if spec.batches.order == "homogeneous":
        for draw in order:
            kinds[rows[draw.row].kind].append(draw)
        batches = [batch for kind in sorted(kinds) for batch in _cut(kinds[kind], rows, spec.batch_size)]
        return [batches[number] for number in rng.permutation(len(batches))]
    core = min(spec.batch_size - 1, max(1, round(spec.batch_size * spec.batches.ratio)))
    mixed: list[Draw] = []
    for draw in order:
        (kinds[rows[draw.row].kind] if rng.random() < spec.batches.ratio else mixed).append(draw)
    cores = [kinds[kind][at : at + core] for kind in sorted(kinds) for at in range(0, len(kinds[kind]), core)]
    sequence: list[Draw] = []
    for number in rng.permutation(len(cores)):
        rest = spec.batch_size - len(cores[number])
        sequence += cores[number] + mixed[:rest]
        del mixed[:rest]
    return _cut(sequence + mixed, rows, spec.batch_size)


def _cut(order: Iterable[Draw], rows: Sequence[TrainingRow], size: int) -> list[tuple[Draw, ...]]:
    """Cut an order into batches in which no text comes twice; what does not fit goes first into the next one."""
    source = deque(order)
    batches = []
    while source:
        batch: list[Draw] = []
        texts: set[str] = set()
        passed: list[Draw] = []
        while source and len(batch) < size and len(passed) < size * _LOOK_AHEAD:
            draw = source.popleft()
            own = {rows[draw.row].query, rows[draw.row].pos[draw.positive]}
            if texts & own:
                passed.append(draw)
            else:
                batch.append(draw)
                texts |= own
        source.extendleft(reversed(passed))
        batches.append(tuple(batch))
    return batches
