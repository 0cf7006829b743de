"""Kills shared out among processes, each with a folder of its own, and their counts added up as they come in."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.reliability import kills

KINDS = (*kills.ACTS, "promotion", "checkpoints")
SHARE = 20  # kills of one process; fewer where the time may run out
_SPARE = 15.0  # seconds that a share is given to end by itself after its time


@dataclass(frozen=True)
class Plan:
    """What to kill how often, in how many processes, and how long."""

    kinds: tuple[str, ...]
    each: int
    processes: int
    seconds: float
    seed: int = 0
    store: str = ""

    def shares(self, earlier: list[dict[str, Any]]) -> Iterator[tuple[str, int, int]]:
        """Yield kind, kills and seed of each share, those with the fewest kills first: what the clock cuts off is cut off evenly.

        Args:
            earlier: Rows of a run that this one goes on from; its kills count, and their seeds are not used again.
        """
        done = {row["kind"]: row["kills"] for row in earlier}
        firsts = [(first, kind) for kind in self.kinds for first in range(_done(kind, done), self.each, SHARE)]
        for first, kind in sorted(firsts, key=lambda share: (share[0], self.kinds.index(share[1]))):
            yield kind, min(SHARE, self.each - first), self.seed + first


def _done(kind: str, done: dict[str, int]) -> int:
    """How often a kind was killed; promotions are killed in turn with rollbacks."""
    return min(done.get("promotion", 0), done.get("rollback", 0)) if kind == "promotion" else done.get(kind, 0)


def run(plan: Plan, folder: Path, out: Path | None) -> list[dict[str, Any]]:
    """Run all shares; returns a row for each kind. `out` is written again after each share; where it is there, its kills count.

    Raises:
        AssertionError: If a share lost something; the file then holds the end of what it said.
    """
    rows, failures = list[dict[str, Any]](), list[str]()
    if out is not None and out.is_file():
        earlier = json.loads(out.read_text(encoding="utf-8"))
        rows, failures = earlier["rows"], earlier["failures"]
        assert not failures, f"{out} holds a failure: look at it and remove the file"
    until, shares = time.monotonic() + plan.seconds, list(plan.shares(added(rows)))
    with ThreadPoolExecutor(plan.processes) as pool:
        work = [pool.submit(_share, plan, share, folder / str(n), until) for n, share in enumerate(shares)]
        for done in as_completed(work):
            said, failure = done.result()
            rows += said
            failures += [failure] if failure else []
            if out is not None:
                table = {"rows": added(rows), "failures": failures}
                out.write_text(json.dumps(table, indent=1, ensure_ascii=False), encoding="utf-8")
    assert not failures, failures[0]
    return added(rows)


def _share(plan: Plan, share: tuple[str, int, int], folder: Path, until: float) -> tuple[list[dict[str, Any]], str]:
    """Run one share in a process; returns its rows, and what it said if it failed. A share that comes too late is left out."""
    left = until - time.monotonic()
    if left <= 1:
        return [], ""
    kind, each, seed = share
    folder.mkdir()
    numbers = ["--each", str(each), "--seed", str(seed), "--seconds", f"{min(left, 1e9):.0f}"]
    command = [sys.executable, "-m", "tests.reliability", "kills", "--only", kind, *numbers, "--folder", str(folder)]
    command += ["--store", plan.store] if plan.store else []
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=None if left > 1e9 else left + _SPARE, check=False
        )
    except subprocess.TimeoutExpired:
        return [], ""  # a share that began too late to kill anything: its kills are not counted
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return rows, "" if done.returncode == 0 else f"{kind} with seed {seed}: {done.stderr[-3000:]}"


def added(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one row for each kind, with the sums."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        total = found.setdefault(row["kind"], {"kind": row["kind"], "shares": 0})
        total["shares"] += row.get("shares", 1)
        for name, count in row.items():
            if name not in ("kind", "shares"):
                total[name] = total.get(name, 0) + count
    return list(found.values())


def of_training(kind: str, folder: Path, each: int, seed: int, seconds: float) -> list[dict[str, Any]]:
    """Kill promotions and rollbacks, or a training run that saves; in a process of its own that may fork."""
    (folder / kind).mkdir()
    numbers = [str(each), str(seed), *([] if seconds == float("inf") else [str(seconds)])]
    command = [sys.executable, "-m", "tests.training.killing", kind, str(folder / kind), *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    if kind == "checkpoints":
        return [{"kind": kind, "kills": found["kills"], "lost": 0, "reader": found["reader"], "steps": found["steps"]}]
    rows = [("promotion", "promote"), ("rollback", "back")]
    counts = [
        {"kind": name, "kills": found["kills"][of], "finished": found["finished"][of], "lost": 0} for name, of in rows
    ]
    return [{**row, "reader": found["reader"]} for row in counts]
