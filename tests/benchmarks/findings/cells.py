"""One arm with one seed, what it measured, and the file that keeps the measurements of a finding."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.findings.finding import SEEDS, Scores, as_json, from_json


@dataclass(frozen=True, slots=True)
class Cell:
    """What is trained and measured in one go.

    Attributes:
        name: Of the finding.
        arm: Which way to train.
        seed: Draws rows, weights and order.
    """

    name: str
    arm: str
    seed: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.name}, {self.arm}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a cell.

    Attributes:
        cell: Which.
        scores: Of every held-out query.
        seconds: Of training and measuring.
    """

    cell: Cell
    scores: Scores
    seconds: float


class Measurements:
    """What is measured of one finding, in a file that is written after each cell."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cells: dict[str, dict[str, dict[str, list[float]]]] = {}
        if path.exists():
            self._cells = json.loads(path.read_text(encoding="utf-8"))

    def has(self, arm: str, seed: int) -> bool:
        """Tell whether a cell is measured."""
        return str(seed) in self._cells.get(arm, {})

    def put(self, done: Measured) -> None:
        """Keep a cell."""
        self._cells.setdefault(done.cell.arm, {})[str(done.cell.seed)] = as_json(done.scores)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self._cells), encoding="utf-8")
        part.replace(self._path)

    def count(self, arms: Iterable[str]) -> int:
        """Return how many cells of these arms are measured."""
        return sum(self.has(arm, seed) for arm in arms for seed in SEEDS)

    def of(self, arms: Iterable[str]) -> dict[str, list[Scores]]:
        """Return what each seed of each arm measured, in the order of the seeds."""
        return {arm: [from_json(self._cells[arm][str(seed)]) for seed in SEEDS] for arm in arms}
