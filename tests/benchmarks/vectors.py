"""A store with a million random vectors: building, opening, searching: `python -m tests.benchmarks.vectors WORK [--store auto]`.

Random unit vectors of 384 numbers are the worst case of approximate search. Each step is a process of its own; times are processor
time of one thread, with the elapsed time beside it. Recall is that of 100 random queries against a comparison with all vectors.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from time import perf_counter, process_time

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores import STORE_KINDS, store_class
from tests.benchmarks.memory import Peaks

DIM, AT_ONCE, QUERIES = 384, 8192, 100


def drawn(count: int) -> Iterator[tuple[int, Vectors]]:
    """Yield random unit vectors in blocks, the same each time, with the number of the first."""
    rng = np.random.default_rng(0)
    for first in range(0, count, AT_ONCE):
        rows = rng.standard_normal((min(AT_ONCE, count - first), DIM), dtype=np.float32)
        yield first, rows / np.linalg.norm(rows, axis=1, keepdims=True)


def build(kind: str, folder: Path, count: int) -> dict[str, object]:
    """Write the store."""
    rmtree(folder, ignore_errors=True)
    began = process_time()
    with Peaks() as peaks:
        store = store_class(kind).create(folder, DIM)
        for first, rows in drawn(count):
            store.add([f"d{row:08}#0-400" for row in range(first, first + len(rows))], rows)
        store.flush()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 20
    return {"build_s": round(process_time() - began, 1), "disk_mb": size, **peaks.facts()}


def search(kind: str, folder: Path, count: int) -> dict[str, object]:
    """Open the store and ask it, for the first 10 and the first 100."""
    began = perf_counter()
    store = store_class(kind).open(folder, verified=True)
    out: dict[str, object] = {"open_s": round(perf_counter() - began, 3)}
    queries = np.random.default_rng(7).standard_normal((QUERIES, DIM), dtype=np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    found: list[set[str]] = []
    with Peaks() as peaks:
        for k in (100, 10):
            elapsed, used, found = [], [], []
            for query in queries:
                wall, cpu = perf_counter(), process_time()
                hits = store.search(query[np.newaxis], k)[0]
                used.append(1000 * (process_time() - cpu))
                elapsed.append(1000 * (perf_counter() - wall))
                found.append({hit.chunk_id for hit in hits})
            for name, times in (("cpu", used), ("wall", elapsed)):
                out[f"first_{k}_{name}_p50_p95_ms"] = [round(float(np.percentile(times, q)), 1) for q in (50, 95)]
    out |= {**peaks.facts(), "details": store.details}
    similarities = np.concatenate([rows @ queries.T for _, rows in drawn(count)])
    best = np.argpartition(-similarities, 10, axis=0)[:10].T
    shared = [len({f"d{row:08}#0-400" for row in rows} & ids) for rows, ids in zip(best.tolist(), found, strict=True)]
    return {**out, "recall@10": sum(shared) / (10 * QUERIES)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--store", default="auto", choices=STORE_KINDS)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--act", default="", choices=("", "build", "search"))
    asked = parser.parse_args()
    folder = asked.work / f"{asked.store}-{asked.count}"
    if asked.act:
        print(json.dumps({"build": build, "search": search}[asked.act](asked.store, folder, asked.count)))
        return
    for action in ("build", "search"):
        command = [sys.executable, "-m", "tests.benchmarks.vectors", str(asked.work), "--act", action]
        command += ["--store", asked.store, "--count", str(asked.count)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        print(
            action, subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
        )


if __name__ == "__main__":
    main()
