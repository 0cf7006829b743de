"""Our vector stores beside the libraries that they are made of: `python -m tests.benchmarks.vector_engines WORK [--counts 10000 100000]`.

    auto         ours, the default: exact up to 87,000 vectors of 384 numbers, then bits and exact similarities
    faiss        ours: flat, from 50,000 vectors HNSW32,SQ8 with exact similarities, tuned
    raw-faiss    the same FAISS index, filled and asked without us: what ours builds, asked with the efSearch that ours was tuned to
    lance        ours: a scan, above 100,000 vectors IVF-HNSW-SQ, tuned
    raw-lance    the same LanceDB table and index, with the nprobes, ef and refine factor that ours was tuned to
    numpy        one matrix product and `argpartition`

Vectors have neighborhoods, as those of texts do: 50 around each of some random centers, at a cosine of about 0.8. A query lies between two
of them. Each step is a process of its own; times are processor time, of all threads (LanceDB uses several). `--runs 2` asks every engine twice in turn: the
ratio of the two is the noise (A/A). A raw engine needs ours beside it, which is built first.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from time import process_time
from typing import Any

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores import store_class
from quarry.indexer.stores.checks import tuning_queries
from tests.benchmarks.memory import Peaks

DIM, QUERIES, K, AROUND, SPREAD, AT_ONCE = 384, 200, 10, 50, 0.75, 8192
ENGINES = ("auto", "faiss", "raw-faiss", "lance", "raw-lance", "numpy")
Ask = Callable[[Vectors], list[int]]


def vectors(count: int) -> Vectors:
    """Return unit vectors with neighborhoods, the same each time."""
    rng = np.random.default_rng(count)
    centers = rng.standard_normal((max(1, count // AROUND), DIM), dtype=np.float32)
    out = centers[rng.integers(0, len(centers), count)]
    for first in range(0, count, AT_ONCE):
        part = out[first : first + AT_ONCE]
        part += SPREAD * rng.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return out


def questions(matrix: Vectors) -> Vectors:
    """Return queries between two vectors, others than those that stores are tuned with."""
    return tuning_queries(matrix[::-1], QUERIES)


def ids_of(count: int) -> list[str]:
    """Return an id for each vector."""
    return [f"d{row:08}#0-400" for row in range(count)]


def build(engine: str, folder: Path, matrix: Vectors) -> None:
    """Fill an engine."""
    if not engine.startswith("raw") and engine != "numpy":
        store = store_class(engine).create(folder, DIM)
        for first in range(0, len(matrix), AT_ONCE):
            store.add(ids_of(len(matrix))[first : first + AT_ONCE], matrix[first : first + AT_ONCE])
        store.flush()
    elif engine == "raw-faiss":
        import faiss

        hnsw = details("faiss", folder)["index"] == "hnsw-sq8"
        index = faiss.index_factory(DIM, "HNSW32,SQ8" if hnsw else "Flat", faiss.METRIC_INNER_PRODUCT)
        if hnsw:
            index.hnsw.efConstruction = 200
            index.train(matrix)
        index.add(matrix)
        faiss.write_index(index, str(folder / "index.faiss"))
    elif engine == "raw-lance":
        import lancedb
        import pyarrow as pa
        from lancedb.index import HnswSq

        values = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), DIM)
        table = lancedb.connect(str(folder)).create_table("t", pa.table({"id": ids_of(len(matrix)), "vector": values}))
        if details("lance", folder)["index"] != "none":
            table.create_index("vector", config=HnswSq(distance_type="dot", m=20, ef_construction=200))
    else:
        np.save(folder / "vectors.npy", matrix)


def details(engine: str, folder: Path) -> dict[str, Any]:
    """Return what our store of this kind, which lies beside, was tuned to."""
    return store_class(engine).open(folder.parent / f"{engine}-{folder.name.rpartition('-')[2]}", verified=True).details


def opened(engine: str, folder: Path) -> Ask:
    """Open an engine, and return what finds the rows nearest to a query of shape (1, dim)."""
    if engine == "raw-faiss":
        import faiss

        index, tuned = faiss.read_index(str(folder / "index.faiss")), details("faiss", folder)
        if tuned["index"] == "hnsw-sq8":
            index.hnsw.efSearch = tuned["search"]
        return lambda query: index.search(query, K)[1][0].tolist()
    if engine == "raw-lance":
        return _lance(folder)
    if engine == "numpy":
        matrix = np.load(folder / "vectors.npy")

        def nearest(query: Vectors) -> list[int]:
            similarities = matrix @ query[0]
            best = np.argpartition(-similarities, K)[:K]
            return best[np.argsort(-similarities[best])].tolist()

        return nearest
    store = store_class(engine).open(folder, verified=True)
    return lambda query: [int(near.chunk_id[1:9]) for near in store.search(query, K)[0]]


def _lance(folder: Path) -> Ask:
    import lancedb

    table, tuned = lancedb.connect(str(folder)).open_table("t"), details("lance", folder)

    def ask(query: Vectors) -> list[int]:
        search = table.search(query[0]).distance_type("dot").select(["id"]).limit(K)
        if tuned["index"] == "none":
            search = search.bypass_vector_index()
        else:
            search = search.nprobes(tuned["search"]).refine_factor(tuned["refine"]).ef(2 * K * tuned["refine"])
        return [int(each[1:9]) for each in search.to_arrow()["id"].to_pylist()]

    return ask


def search(engine: str, folder: Path, matrix: Vectors) -> dict[str, float]:
    """Ask all queries, and compare with the truth."""
    queries, ask = questions(matrix), opened(engine, folder)
    truth = [set(row[:K].tolist()) for row in np.argsort(-(queries @ matrix.T), axis=1)]
    del matrix
    times, hits = [], 0
    for query in queries[:20]:
        ask(query[np.newaxis])
    for query, wanted in zip(queries, truth, strict=True):
        began = process_time()
        found = ask(query[np.newaxis])
        times.append(1000 * (process_time() - began))
        hits += len(wanted & set(found))
    p50, p95 = np.percentile(times, [50, 95])
    return {"p50_ms": round(p50, 3), "p95_ms": round(p95, 3), "recall@10": hits / (K * QUERIES)}


def child(what: str, engine: str, work: Path, count: int) -> dict[str, float]:
    """Measure one thing in this process."""
    folder, matrix = work / f"{engine}-{count}", vectors(count)
    if what == "search":
        return search(engine, folder, matrix)
    rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = process_time()
    with Peaks() as peaks:
        build(engine, folder, matrix)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"build_s": round(process_time() - began, 2), "disk_mb": round(size / 1e6, 1), **peaks.facts()}


def main() -> None:
    """Print a line per engine, size and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--runs", type=int, default=2, help="of the searches")
    parser.add_argument("--child", nargs=3)
    asked = parser.parse_args()
    if asked.child:
        what, engine, count = asked.child
        print(json.dumps(child(what, engine, asked.work, int(count))))
        return
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for count in asked.counts:
        for what in ("build", *["search"] * asked.runs):
            for engine in asked.engines:
                command = [sys.executable, "-m", "tests.benchmarks.vector_engines", str(asked.work)]
                command += ["--child", what, engine, str(count)]
                done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
                print(f"{count:>9,} {engine:10} {what:6}", done.stdout.splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
