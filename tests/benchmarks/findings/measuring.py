"""Training the arms of findings that are not trained yet, one after the other or beside each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from os import getpid
from time import perf_counter, time

from tests.benchmarks.findings.bench import Bench
from tests.benchmarks.findings.cells import Cell, Measured, Measurements
from tests.benchmarks.findings.finding import SEEDS, Finding, report
from tests.benchmarks.findings.papers import FINDINGS


def measure(
    names: Sequence[str],
    bench: Bench,
    *,
    findings: Mapping[str, Finding] = FINDINGS,
    processes: int = 1,
    minutes: float = float("inf"),
) -> list[str]:
    """Return the reports of findings, or how far each is after so many minutes; what is measured is kept in the folder.

    Args:
        names: Which findings.
        bench: Rows, bodies, device.
        findings: By name; with several processes, those of `papers`.
        processes: Arms that train beside each other.
        minutes: No arm is begun after them.
    """
    kept = {name: Measurements(bench.work / f"{name}.json") for name in names}
    waiting = [
        Cell(name, arm, seed)
        for seed in SEEDS
        for name in names
        for arm in findings[name].arms
        if not kept[name].has(arm, seed)
    ]
    end = time() + 60 * minutes
    for done in _each(waiting, bench, findings, end) if processes == 1 else _beside(waiting, bench, processes, end):
        kept[done.cell.name].put(done)
        means = ", ".join(f"{measure} {values.mean():.4f}" for measure, values in done.scores.items())
        print(f"{done.cell}: {means} ({done.seconds:.0f} s)", flush=True)
    lines: list[str] = []
    for name in names:
        finding = findings[name]
        found, runs = kept[name].count(finding.arms), len(SEEDS) * len(finding.arms)
        if found < runs:
            lines.append(f"{name}: {found} of {runs} runs; give the command again")
        else:
            lines += report(finding, kept[name].of(finding.arms))
    return lines


def _each(cells: Iterable[Cell], bench: Bench, findings: Mapping[str, Finding], end: float) -> Iterator[Measured]:
    for cell in cells:
        if time() >= end:
            return
        began = perf_counter()
        yield Measured(cell, findings[cell.name].arms[cell.arm](bench, cell.seed), perf_counter() - began)


def _beside(cells: Sequence[Cell], bench: Bench, processes: int, end: float) -> Iterator[Measured]:
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_one_thread) as pool:
        for done in as_completed([pool.submit(_one, cell, bench, end) for cell in cells]):
            yield from done.result()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _one(cell: Cell, bench: Bench, end: float) -> list[Measured]:
    return list(_each([cell], replace(bench, place=f"own-{getpid()}"), FINDINGS, end))
