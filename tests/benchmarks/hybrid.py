"""Hybrid search on the clock: BM25 beside the comparison of vectors, as a search of an index does it, with the query vector given.

    python -m tests.benchmarks.vectors V --act build
    python -m tests.benchmarks.lexical L --passages 1000000 --engines postings
    python -m tests.benchmarks.hybrid --vectors V/auto-1000000 --lexical L/postings-1000000 [--against OTHER] [--threads 2 1]

Random vectors, the worst case of approximate search; the words of each question are those of a passage. `--against` takes another folder of the
same vectors (written by another version) and asks both in turn, question by question: their ratio is free of what the machine did
meanwhile, and `again` is the first folder once more (A/A). Elapsed milliseconds for the first 100, at the median and the 95th percentile
(`dense_cpu`: processor time of all threads), each number of threads in a process of its own; recall of the first ten against a comparison with all vectors, and what the process
held at most.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from quarry.indexer.lexical.index import LexicalSegment, UnionIndex
from quarry.indexer.stores.auto.candidates import nearest_rows
from quarry.indexer.stores.auto.store import AutoStore
from tests.benchmarks.memory import Peaks

K, WARM = 100, 10


def measure(asked: argparse.Namespace) -> dict[str, object]:
    """Ask each folder for each question in turn; return elapsed milliseconds, recall and memory."""
    folders = {"first": asked.vectors, "again": asked.vectors, **({"against": asked.against} if asked.against else {})}
    stores = {name: AutoStore.open(folder, verified=True) for name, folder in folders.items()}
    terms = UnionIndex([(LexicalSegment.open(asked.lexical), None)])
    written = asked.lexical.parent / f"queries-{asked.lexical.name.rpartition('-')[2]}.json"
    words = json.loads(written.read_text())[: asked.questions]
    vectors = np.random.default_rng(7).standard_normal((len(words), stores["first"].dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    times: dict[str, list[float]] = {}
    found: dict[str, list[set[int]]] = {name: [] for name in stores}
    with ThreadPoolExecutor(1) as pool, Peaks() as peaks:
        for number, (vector, question) in enumerate(zip(vectors, words, strict=True)):
            order = list(stores)[number % len(stores) :] + list(stores)[: number % len(stores)]
            for name in order:
                store, began = stores[name], perf_counter()
                lexical = pool.submit(terms.search, question, K)
                dense = store.search(vector[np.newaxis], K)[0]
                lexical.result()
                times.setdefault(f"{name}_both", []).append(1000 * (perf_counter() - began))
                found[name].append({int(hit.chunk_id[1:9]) for hit in dense[:10]})
                began, used = perf_counter(), process_time()
                store.search(vector[np.newaxis], K)
                times.setdefault(f"{name}_dense_cpu", []).append(1000 * (process_time() - used))
                times.setdefault(f"{name}_dense", []).append(1000 * (perf_counter() - began))
            began = perf_counter()
            terms.search(question, K)
            times.setdefault("bm25", []).append(1000 * (perf_counter() - began))
    facts: dict[str, object] = {name: _percentiles(values) for name, values in times.items()}
    for name in stores:
        if name != "first":
            ratios = np.array(times[f"{name}_both"][WARM:]) / np.array(times["first_both"][WARM:])
            facts[f"{name}_of_first"] = round(float(np.median(ratios)), 3)
    truth = nearest_rows(np.load(asked.vectors / "vectors.000001.npy", mmap_mode="r"), vectors, 10).tolist()
    for name, lines in found.items():
        facts[f"{name}_recall@10"] = np.mean(
            [len(set(rows) & ids) / 10 for rows, ids in zip(truth, lines, strict=True)]
        )
    return {**facts, **peaks.facts(), "load": os.getloadavg()[0]}


def _percentiles(values: list[float]) -> list[float]:
    return [round(float(np.percentile(values[WARM:], share)), 1) for share in (50, 95)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--lexical", type=Path, required=True)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--questions", type=int, default=110)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--act", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.act:
        print(json.dumps(measure(asked)))
        return
    for threads in asked.threads:
        command = [sys.executable, "-m", "tests.benchmarks.hybrid", *sys.argv[1:], "--act"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        print(threads, "threads", found.stdout.strip())


if __name__ == "__main__":
    main()
