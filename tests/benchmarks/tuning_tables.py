"""The tables and the curve of docs/results.md out of the results of `tests.benchmarks.tuning`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from quarry.retriever.evaluation.bootstrap import mean_intervals
from quarry.retriever.evaluation.compare import RESAMPLES

Result = Mapping[str, Any]  # a file of WORK/SET/results
MAIN = (
    "set",
    "seed",
    "pairs",
    "trained on",
    "dense before",
    "after",
    "gain",
    "p",
    "hybrid gain",
    "general set",
    "gate",
    "minutes",
)
CURVE = ("set", "pairs", "trained on", "after", "gain", "general set", "gate")
ABLATION = (
    "without or with",
    "set",
    "dense before",
    "after",
    "gain",
    "against the full recipe",
    "general set",
    "dev",
    "minutes",
)


@dataclass(frozen=True, slots=True)
class Gain:
    """A mean over queries with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, deltas: Sequence[Mapping[str, float]]) -> "Gain":
        """From the differences of each query, one mapping per seed; a query's gain is its mean over the seeds."""
        values = np.array([np.mean([one[query] for one in deltas]) for query in deltas[0]])
        low, high = mean_intervals(values[:, None], resamples=RESAMPLES, seed=0)
        return cls(float(values.mean()), float(low[0]), float(high[0]))

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ({self.low:+.4f} to {self.high:+.4f})"


def write_tables(work: Path, names: Sequence[str]) -> None:
    """Print the tables of all results below a folder, and draw its `curve.png`: gain by pairs, the runs of seed 0."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in work.glob("*/results/*.json")]
    found.sort(key=lambda one: (names.index(one["set"]), one["pairs"], one["seed"]))
    whole = [one for one in found if not one["label"]]
    most = {
        name: max((one["pairs"] for one in whole if one["set"] == name and one["seed"]), default=0) for name in names
    }
    _print(MAIN, _main_rows([one for one in whole if one["pairs"] == (most[one["set"]] or one["pairs"])]))
    curve = [one for one in whole if one["seed"] == 0]
    sets = [list(runs) for _, runs in groupby(curve, key=lambda one: one["set"])]
    sets = [runs for runs in sets if len(runs) > 1]
    _print(CURVE, (_curve_row(one) for runs in sets for one in runs))
    if sets:
        draw_curve(work / "curve.png", sets)
    _print(ABLATION, (_ablation_row(one, whole) for one in found if one["label"]))


def _print(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print("\n".join(["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]))
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def _main_rows(runs: Sequence[Result]) -> list[list[str]]:
    """One row a run, and one for the mean of a set's seeds."""
    rows = []
    for name, group in groupby(runs, key=lambda one: one["set"]):
        seeds = list(group)
        rows += [_main_row(one) for one in seeds]
        if len(seeds) > 1:
            after = f"{np.mean([one['comparisons']['dense']['after'] for one in seeds]):.4f}"
            gains = [str(_gain(seeds)), "", _hybrid_gain(seeds), _general(seeds)]
            rows.append([name, "mean", "", "", "", after, *gains, "", ""])
    return rows


def _main_row(one: Result) -> list[str]:
    dense = one["comparisons"]["dense"]
    return [
        one["set"], str(one["seed"]), _count(one["pairs"]), _count(one["examples"]["to train on"]),
        f"{dense['before']:.4f}", f"{dense['after']:.4f}", str(_gain([one])), f"{dense['p']:.4f}",
        _hybrid_gain([one]), _general([one]), _gate(one), _minutes(one),
    ]  # fmt: skip  # a table


def _curve_row(one: Result) -> list[str]:
    after = f"{one['comparisons']['dense']['after']:.4f}"
    trained = _count(one["examples"]["to train on"])
    return [one["set"], _count(one["pairs"]), trained, after, str(_gain([one])), _general([one]), _gate(one)]


def _ablation_row(one: Result, whole: Sequence[Result]) -> list[str]:
    key = (one["set"], one["pairs"], one["seed"])
    full = [other for other in whole if (other["set"], other["pairs"], other["seed"]) == key]
    dense = one["comparisons"]["dense"]
    against = _against(one, full[0]) if full else "no such run"
    after = f"{dense['after']:.4f}"
    shown = [one["label"], one["set"], f"{dense['before']:.4f}", after, str(_gain([one])), against]
    return [*shown, _general([one]), f"{one['dev'][1]:.4f}", _minutes(one)]


def _against(one: Result, full: Result) -> str:
    """The paired difference with the full recipe; without interval when they begin at different scores."""
    first, other = one["comparisons"]["dense"], full["comparisons"]["dense"]
    if abs(first["before"] - other["before"]) > 1e-9:
        return f"{first['after'] - other['after']:+.4f}"
    return str(Gain.of([{query: one["deltas"][query] - full["deltas"][query] for query in one["deltas"]}]))


def draw_curve(path: Path, sets: Sequence[Sequence[Result]]) -> None:
    """Draw the gain of each set with its interval over the number of pairs, from none."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for runs in sets:
        pairs = [one["examples"]["to train on"] for one in runs]
        gains = [_gain([one]) for one in runs]
        bars = [[gain.mean - gain.low for gain in gains], [gain.high - gain.mean for gain in gains]]
        means = [gain.mean for gain in gains]
        axes.errorbar(
            [0, *pairs], [0.0, *means], [[0.0, *bars[0]], [0.0, *bars[1]]], marker="o", capsize=3, label=runs[0]["set"]
        )
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_xscale("symlog", linthresh=50)
    ticks = (0, 100, 300, 1000, 3000)
    axes.set_xlim(-5, 5000)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("examples trained on")
    axes.set_ylabel("gain in dense nDCG@10, 95 % interval")
    axes.legend()
    figure.savefig(path, dpi=120)


def _gain(runs: Sequence[Result]) -> Gain:
    return Gain.of([one["deltas"] for one in runs])


def _hybrid_gain(runs: Sequence[Result]) -> str:
    return str(Gain.of([one["hybrid_deltas"] for one in runs]))


def _general(runs: Sequence[Result]) -> str:
    return f"{np.mean([one['comparisons']['general']['difference'] for one in runs]):+.4f}"


def _gate(one: Result) -> str:
    return "promotes" if one["promote"] else "refuses"


def _count(number: int) -> str:
    return f"{number:,}"


def _minutes(one: Result) -> str:
    return f"{one['seconds'] / 60:.0f}"
