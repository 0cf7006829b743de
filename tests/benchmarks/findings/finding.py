"""What a finding is, and what its measurements say: means with the range over seeds, differences with intervals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tests.benchmarks.findings.bench import Bench

SEEDS = (0, 1, 2)
_DRAWS = 4000
Scores: TypeAlias = dict[str, NDArray[np.float64]]
"""What is measured to one number per held-out query, in their order."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that the papers say: one arm is better than another.

    Attributes:
        text: In words.
        better: Arm and measure.
        worse: Arm and measure.
    """

    text: str
    better: tuple[str, str]
    worse: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Arms that are trained, and the claims about them.

    Attributes:
        title: What it is about, and whose it is.
        arms: Name to what trains and measures it, given the bench and a seed.
        claims: What is compared.
    """

    title: str
    arms: Mapping[str, "Callable[[Bench, int], Scores]"]
    claims: tuple[Claim, ...]


Cells: TypeAlias = Mapping[str, list[Scores]]
"""Arm to what each seed measured."""


def difference(cells: Cells, claim: Claim, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean difference of a claim and its 95 % interval; seeds and queries are drawn again, both sides alike."""
    first, second = (np.stack([one[measure] for one in cells[arm]]) for arm, measure in (claim.better, claim.worse))
    gaps = first - second  # (seeds, queries)
    draw = np.random.default_rng(seed)
    seeds, queries = gaps.shape
    means = [gaps[draw.integers(0, seeds, seeds)][:, draw.integers(0, queries, queries)].mean() for _ in range(_DRAWS)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(gaps.mean()), float(low), float(high)


def verdict(low: float, high: float) -> str:
    """Return what an interval says of a claim."""
    if low > 0:
        return "comes back"
    return "the opposite" if high < 0 else "not shown"


def report(finding: Finding, cells: Cells) -> list[str]:
    """Return the lines of a table in Markdown: arms, then claims."""
    lines = [f"### {finding.title}", "", "| arm | measure | mean nDCG@10 | seeds |", "|---|---|---|---|"]
    for arm, measured in cells.items():
        for measure in measured[0]:
            means = [float(one[measure].mean()) for one in measured]
            lines.append(f"| {arm} | {measure} | {np.mean(means):.3f} | {min(means):.3f} to {max(means):.3f} |")
    lines += ["", "| claim | difference | 95 % interval | |", "|---|---|---|---|"]
    for claim in finding.claims:
        mean, low, high = difference(cells, claim)
        lines.append(f"| {claim.text} | {mean:+.3f} | {low:+.3f} to {high:+.3f} | {verdict(low, high)} |")
    return lines


def as_json(scores: Scores) -> dict[str, list[float]]:
    """Return measurements in the types of JSON."""
    return {measure: [round(float(value), 6) for value in values] for measure, values in scores.items()}


def from_json(content: Mapping[str, list[float]]) -> Scores:
    """Return what `as_json` wrote."""
    return {measure: np.array(values) for measure, values in content.items()}
