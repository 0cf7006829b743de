"""Which rows come together in which step, for a whole run, from a seed: what makes a run repeatable and resumable.

It is all decided before the first step, so that a killed run resumes with the same batches: a step is a row of numbers, eight bytes
for each of its rows, and which positive and negatives a row brings is drawn again, from the seed, when its batch is read.
Nothing is encoded here.

A step of several processes is planned as one batch and then dealt out, so that all of them see one kind, and the same rows
as one process with as many times the batch.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from quarry.indexer.errors import FeedbackError
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.rows.table import Numbers, RowTable, usable_negatives
from quarry.training.fit.spec import TrainSpec

_LOOK_AHEAD = 8  # batches of rows that are passed over for one batch: bounds the time where many rows share a text


@dataclass(frozen=True, slots=True)
class Draw:
    """One query in one step.

    Attributes:
        row: Number of the row.
        positive: Which of its `pos` was drawn for this epoch.
        negatives: Which of its `neg` were, in order of the draw.
        epoch: In which pass over the rows, from 0.
    """

    row: int
    positive: int
    negatives: tuple[int, ...]
    epoch: int = 0


class Batches(Sequence[tuple[Draw, ...]]):
    """The batches of a plan, each made when it is read."""

    def __init__(self, table: RowTable, spec: TrainSpec, rows: Sequence[Numbers], epochs: Sequence[int]) -> None:
        self._table, self._spec, self._rows, self._epochs = table, spec, rows, epochs

    def __len__(self) -> int:
        """Return the number of batches, of all processes."""
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> tuple[Draw, ...]: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[Draw, ...]]: ...

    def __getitem__(self, place: int | slice) -> tuple[Draw, ...] | Sequence[tuple[Draw, ...]]:
        """Draw one batch, or several."""
        if isinstance(place, slice):
            return tuple(self[number] for number in range(*place.indices(len(self))))
        rows, epoch = self._rows[place], self._epochs[place]
        return tuple(self._draw(int(row), epoch) for row in rows)

    def __eq__(self, other: object) -> bool:
        """Plans are equal when the same is drawn from the same rows."""
        return (
            isinstance(other, Batches)
            and len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]  # compared by content

    def __iter__(self) -> Iterator[tuple[Draw, ...]]:
        """Draw every batch in order."""
        return (self[number] for number in range(len(self)))

    def _draw(self, number: int, epoch: int) -> Draw:
        row = self._table.rows[number]
        positive = int(_places(self._table, self._spec.seed, epoch, np.array([number]))[0])
        usable = usable_negatives(row) if row.neg and self._spec.loss.hard_negatives else []
        if not usable:
            return Draw(number, positive, (), epoch)
        rng = np.random.default_rng([self._spec.seed, epoch, number])
        chosen = rng.choice(len(usable), min(self._spec.loss.hard_negatives, len(usable)), replace=False)
        return Draw(number, positive, tuple(usable[place] for place in chosen.tolist()), epoch)


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """All steps of a run.

    Attributes:
        batches: One per step and process; step s of process p is batch s * processes + p.
        epoch_ends: Number of batches after each epoch.
        left_out: Draws that were dropped because nothing in their batch could be a negative, or to fill no whole step.
    """

    batches: Batches
    epoch_ends: tuple[int, ...]
    left_out: int


def plan_batches(rows: Sequence[TrainingRow] | RowTable, spec: TrainSpec, *, processes: int = 1) -> BatchPlan:
    """Lay out every epoch.

    In a step a query or drawn positive comes once, or, where more rows share it than there are steps, no oftener than an even
    spread needs; what is left at the end of an epoch fills its last steps.

    Raises:
        FeedbackError: If there are no rows, or not one batch with a negative can be made of them.
    """
    if not len(rows):
        raise FeedbackError(
            "fit.no_rows",
            "there are 0 training rows",
            expected="at least 2",
            do="Collect judgements or give a file of pairs",
        )
    table = RowTable.of(rows)
    batches: list[Numbers] = []
    epochs: list[int] = []
    ends = []
    for epoch in range(spec.epochs):
        planner = _Epoch(table, spec, epoch, processes)
        for step in planner.steps():
            if len(step) >= processes and planner.teaches(step):
                batches += np.array_split(step, processes)
        epochs += [epoch] * (len(batches) - len(epochs))
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
    left_out = len(rows) * spec.epochs - sum(len(batch) for batch in batches)
    return BatchPlan(Batches(table, spec, batches, epochs), tuple(ends), left_out)


def _places(table: RowTable, seed: int, epoch: int, rows: Numbers) -> Numbers:
    """Draw which of its positives each row brings, int64, by SplitMix64 over seed, epoch and row."""
    mixed = rows.astype(np.uint64) + np.uint64((seed * 1_000_003 + epoch + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    counts = table.starts[rows + 1] - table.starts[rows]
    return ((mixed ^ (mixed >> np.uint64(31))) % counts.astype(np.uint64)).astype(np.int64)


class _Epoch:
    """One pass over the rows, cut into steps."""

    def __init__(self, table: RowTable, spec: TrainSpec, epoch: int, processes: int) -> None:
        self._table, self._spec, self._processes = table, spec, processes
        self._rng = np.random.default_rng([spec.seed, epoch])
        rows = np.arange(len(table), dtype=np.int64)
        self._positive = table.drawn(_places(table, spec.seed, epoch, rows))

    def teaches(self, step: Numbers) -> bool:
        """Tell whether some query of a step has a negative in it."""
        spec = self._spec.loss
        if spec.hard_negatives and self._table.usable[step].any():
            return True
        return spec.in_batch_negatives and all(
            len(np.unique(column[step])) > 1 for column in (self._table.query, self._positive)
        )

    def steps(self) -> Iterator[Numbers]:
        """Return the rows of each step."""
        order = self._rng.permutation(len(self._table))
        batches = self._spec.batches
        if batches.order == "random":
            return self._cut(order, self._spec.batch_size)
        if batches.order == "homogeneous":
            return self._homogeneous(order)
        return self._cut(self._mostly_of_a_kind(order), self._spec.batch_size)

    def _homogeneous(self, order: Numbers) -> Iterator[Numbers]:
        of_kind = self._table.kind[order]
        names = self._table.kinds
        steps = [
            step
            for kind in sorted(range(len(names)), key=lambda kind: names[kind])
            for step in self._cut(order[of_kind == kind], self._spec.size_of(names[kind]))
        ]
        return (steps[number] for number in self._rng.permutation(len(steps)))

    def _mostly_of_a_kind(self, order: Numbers) -> Numbers:
        """Return an order in which each step begins with rows of one kind and ends with rows of any."""
        size, ratio = self._spec.batch_size * self._processes, self._spec.batches.ratio
        core = min(size - 1, max(1, round(size * ratio)))
        chosen = self._rng.random(len(order)) < ratio
        mixed = deque(order[~chosen].tolist())
        kinds: dict[int, list[int]] = defaultdict(list)
        for row in order[chosen].tolist():
            kinds[int(self._table.kind[row])].append(row)
        names = self._table.kinds
        cores = [
            kinds[kind][at : at + core]
            for kind in sorted(kinds, key=lambda kind: names[kind])
            for at in range(0, len(kinds[kind]), core)
        ]
        sequence: list[int] = []
        for number in self._rng.permutation(len(cores)):
            rest = min(size - len(cores[number]), len(mixed))
            sequence += cores[number] + [mixed.popleft() for _ in range(rest)]
        return np.array(sequence + list(mixed), dtype=np.int64)

    def _cut(self, order: Numbers, size: int) -> Iterator[Numbers]:
        """Cut an order into steps; a row whose text is taken waits, and those after it go first."""
        size *= self._processes
        source = iter(order.tolist())
        waiting: deque[int] = deque()
        limit = self._share(order, -(-len(order) // size))
        done = 0
        while done < len(order):
            step: list[int] = []
            used: Counter[int] = Counter()
            passed: list[int] = []
            while len(step) < size and len(passed) < size * _LOOK_AHEAD:
                row = waiting.popleft() if waiting else next(source, None)
                if row is None:
                    break
                texts = (int(self._table.query[row]), int(self._positive[row]))
                if any(used[text] >= limit.get(text, 1) for text in texts):
                    passed.append(row)
                else:
                    step.append(row)
                    used.update(texts)
            missing = size - len(step)
            step += passed[:missing]
            waiting.extendleft(reversed(passed[missing:]))
            done += len(step)
            yield np.array(step, dtype=np.int64)

    def _share(self, order: Numbers, steps: int) -> dict[int, int]:
        """Return how often a text may come in a step, for texts of more rows than there are steps."""
        found: Counter[int] = Counter()
        for column in (self._table.query, self._positive):
            texts, counts = np.unique(column[order], return_counts=True)
            many = counts > steps
            found.update(dict(zip(texts[many].tolist(), (-(-counts[many] // steps)).tolist(), strict=True)))
        return dict(found)
