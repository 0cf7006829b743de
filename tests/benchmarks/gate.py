"""The gate of `quarry tune`, asked after every judgement: `python -m tests.benchmarks.gate [SCORES]` prints the table of docs/tuning.md.

SCORES is what `python -m tests.benchmarks.fusion CACHE --no-copies --json SCORES` writes: nDCG@10 of every question of the shared
sets after each stage. Pairs of stages are the two systems, and questions are drawn with replacement from their differences;
without SCORES there are only made-up differences. Equal systems: the same differences with random signs. About two minutes.

For a gain, N is how many questions the fixed test (one look, at the same 1 %; Guenther's formula for the t test, 1981) needs to see it in
80 % of cases. The gate sees it in as many when it is asked up to a largest number of questions, and stops earlier where it passes: the
columns give the mean number at which it stops and this largest number, both in N.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from quarry.retriever.evaluation.betting import e_values
from quarry.retriever.evaluation.compare import MINIMUM_QUERIES
from quarry.training.tuning.gate import ENOUGH, FALSE_PROMOTIONS

NULLS, LOOKS, GAINS = 1000, 300, 1000  # simulations of equal systems, looks at each, simulations of a gain
POWER = 0.8
PAIRS = (
    ("BM25", "titles"),
    ("dense", "titles"),
    ("BM25", "dense"),
    ("RRF", "titles"),
    ("0.1.0", "titles"),
    ("titles", "second stage"),
)
SMALLEST, LARGEST = 20, 800  # questions that the fixed test needs: gains that a gate is asked about
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two systems on one set of questions: the differences of their nDCG@10."""

    name: str
    deltas: Numbers

    @property
    def needed(self) -> float:
        """Questions that the fixed test needs for a gain as large as this one."""
        level, power = NormalDist().inv_cdf(1 - FALSE_PROMOTIONS), NormalDist().inv_cdf(POWER)
        gain, spread = float(self.deltas.mean()), float(self.deltas.std())
        return ((level + power) * spread / gain) ** 2 + level**2 / 2 if gain > 0 else float("inf")


@dataclass(frozen=True)
class Found:
    """What the gate does with one pair.

    Attributes:
        pair: The two systems.
        equal: Share of simulations of equal systems in which it passes at any look, by signs.
        lopsided: The same where the systems are equal in the mean only: the differences less their mean.
        mirrored: The same with opposite signs: many small gains, few large losses.
        fixed: The last, of the fixed test at one look after 60 questions.
        stops: Mean number of questions at which it stops where there is a gain, in those of the fixed test.
        most: How many it may need for the same power.
    """

    pair: Pair
    equal: float
    lopsided: float
    mirrored: float
    fixed: float
    stops: float
    most: float


def made_up() -> Iterator[Pair]:
    """Yield differences that no system made: normal ones, steps of a rank, and ones that are nearly always 0."""
    draw = np.random.default_rng(7)
    yield Pair("made up: normal, 0.03, deviation 0.15", np.clip(draw.normal(0.03, 0.15, 4000), -1, 1))
    yield Pair("made up: ranks 1 and 2 exchanged, 58 of 100", np.where(draw.random(4000) < 0.58, 0.37, -0.37))
    yield Pair(
        "made up: nine of ten equal", draw.choice([0.0] * 18 + [0.6, 0.2], 4000) - (draw.random(4000) < 0.02) * 0.5
    )


def real(path: Path) -> Iterator[Pair]:
    """Yield pairs of stages on the shared sets that differ by a gain of the wanted size."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for one, other in PAIRS:
            if one in row["scores"] and other in row["scores"]:
                yield Pair(f"{row['set']}: {one}, {other}", np.subtract(row["scores"][other], row["scores"][one]))


def passes(deltas: Numbers) -> NDArray[np.bool_]:
    """Return at which looks the gate would promote; shape as the differences, (simulations, questions)."""
    looks = e_values(deltas) >= ENOUGH
    looks[:, : MINIMUM_QUERIES - 1] = False
    return looks


def measure(pair: Pair, seed: int = 0) -> Found:
    """Simulate one pair."""
    draw = np.random.default_rng(seed)
    most = int(4 * pair.needed)
    gains = passes(draw.choice(pair.deltas, (GAINS, most)))
    stopped = np.where(gains.any(axis=1), gains.argmax(axis=1) + 1, most)
    last = float(np.quantile(stopped, POWER))
    centered = pair.deltas - pair.deltas.mean()
    signs = draw.choice([-1, 1], (NULLS, LOOKS))
    mirrored = draw.choice(-centered, (NULLS, LOOKS))
    return Found(
        pair,
        equal=share(draw.choice(pair.deltas, (NULLS, LOOKS)) * signs),
        lopsided=share(draw.choice(centered, (NULLS, LOOKS))),
        mirrored=share(mirrored),
        fixed=fixed(mirrored[:, :60]),
        stops=float(np.minimum(stopped, last).mean()) / pair.needed,
        most=last / pair.needed,
    )


def share(deltas: Numbers) -> float:
    """Return the share of simulations in which the gate passes at any look."""
    return float(passes(deltas).any(axis=1).mean())


def fixed(deltas: Numbers) -> float:
    """Return the share of simulations in which the fixed test passes."""
    spread = np.maximum(deltas.std(axis=1), 1e-9)
    return float(
        (deltas.mean(axis=1) / spread * deltas.shape[1] ** 0.5 > NormalDist().inv_cdf(1 - FALSE_PROMOTIONS)).mean()
    )


def informed() -> tuple[float, float]:
    """Return the same two numbers for a gambler who knows the gain of normal differences: Wald's test, the least that is possible."""
    gain, questions = 0.2, 1500
    wealth = np.cumsum(gain * np.random.default_rng(0).normal(gain, 1, (4 * GAINS, questions)) - gain**2 / 2, axis=1)
    rich = wealth >= np.log(ENOUGH)
    stopped = np.where(rich.any(axis=1), rich.argmax(axis=1) + 1, questions)
    last, normal = float(np.quantile(stopped, POWER)), NormalDist()
    needed = ((normal.inv_cdf(1 - FALSE_PROMOTIONS) + normal.inv_cdf(POWER)) / gain) ** 2
    return float(np.minimum(stopped, last).mean()) / needed, last / needed


def row(name: str, found: Sequence[Found]) -> str:
    """Return a row of means, with the worst in brackets."""
    cells = [
        f"{np.mean(values):.{digits}f} ({np.max(values):.{digits}f})"
        for digits, values in (
            (3, [one.equal for one in found]),
            (3, [one.lopsided for one in found]),
            (3, [one.mirrored for one in found]),
            (3, [one.fixed for one in found]),
            (2, [one.stops for one in found]),
            (2, [one.most for one in found]),
        )
    ]
    return f"| {name} | {len(found)} | {' | '.join(cells)} |"


def main(arguments: Sequence[str]) -> None:
    """Print the table: each row the mean over its pairs, and in brackets the worst one."""
    every = {"made up": list(made_up()), "shared sets": list(real(Path(arguments[0]))) if arguments else []}
    print("| differences | pairs | equal | lopsided | mirrored | mirrored, fixed test | stops after | at most |")
    print("|---" * 8 + "|")
    for name, pairs in every.items():
        wanted = [measure(pair) for pair in pairs if SMALLEST <= pair.needed <= LARGEST]
        if wanted:
            print(row(name, wanted), flush=True)
    print("| a gambler who knows the gain | | | | | | {:.2f} | {:.2f} |".format(*informed()))


if __name__ == "__main__":
    main(sys.argv[1:])
