"""What an update costs at several sizes: `python -m tests.benchmarks.updates [--sizes 10000 100000] [--store auto]`.

Passages of 60 words from a vocabulary with Zipf's frequencies, vectors of 384 dimensions by hashing (no model). Per size one process
builds an index, and each of the others adds one document, removes one, opens the index, or searches it. Processor seconds are those
of the process, bytes written those of /proc/self/io; memory is the peak of the process's own pages, and of mapped ones; the index lies on a real disk below --work.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter, process_time
from zlib import crc32

import numpy as np

from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import EmbedderSpec, Progress, Vectors
from quarry.indexer.models.token_spans import ScriptTokens
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from tests.benchmarks.memory import Peaks

DIM, WORDS, VOCABULARY = 384, 60, 50_000
_SEARCHES = 50


class HashEmbedder:
    """A vector by the CRC of a text: cheap, and different for different texts."""

    def __init__(self) -> None:
        self.spec = EmbedderSpec("benchmarks/hash", "1", DIM, 512, "mean")
        self.tokens = ScriptTokens()

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_documents(texts)

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        if progress is not None:
            progress(len(texts))
        rows = [np.random.default_rng(crc32(text.encode())).standard_normal(DIM, dtype=np.float32) for text in texts]
        vectors = np.array(rows, dtype=np.float32).reshape(len(texts), DIM)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def documents(first: int, count: int) -> Iterator[Document]:
    """Yield documents of one passage each; the same numbers give the same texts."""
    rng = np.random.default_rng(first)
    for start in range(first, first + count, 1000):
        size = min(1000, first + count - start)
        numbers = np.minimum(rng.zipf(1.2, (size, WORDS)), VOCABULARY)
        for row in range(size):
            words = " ".join(f"w{number}" for number in numbers[row])
            yield Document(f"d{start + row:08}", f"{start + row:08} {words}", f"Document {(start + row) % 997}")


def act(index: Path, action: str, size: int, store: str) -> dict[str, object]:
    """Do one thing, and return what it cost."""
    turn = len(list((index / "generations").glob("0*")))
    cpu, wall, before = process_time(), perf_counter(), _written()
    settings = BuildOptions(store=store, analyzer="bigram")
    found: dict[str, object] = {}
    with Peaks() as peaks:
        if action == "build":
            index_documents(index, documents(0, size), HashEmbedder(), settings)
        elif action == "add":
            index_documents(index, documents(10**7 + turn, 1), HashEmbedder(), settings)
        elif action == "remove":
            delete_documents(index, [f"d{size // 2 + turn:08}"], HashEmbedder())
        elif action == "open":
            Index.open(index)
        else:
            found = _searched(Index.open(index))
    cost = {"cpu": round(process_time() - cpu, 2), "wall": round(perf_counter() - wall, 2)}
    size_mb = round(sum(path.stat().st_size for path in index.rglob("*") if path.is_file()) / 1e6, 1)
    return {**cost, "written_mb": round((_written() - before) / 1e6, 2), "disk_mb": size_mb, **peaks.facts(), **found}


def _searched(index: Index) -> dict[str, object]:
    """Milliseconds of searches by vector, by words, and by both, elapsed and of the processor; recall@10 of the vectors."""
    queries = HashEmbedder().embed_queries([document.text for document in documents(5 * 10**7, _SEARCHES)])
    words = [document.text.split()[1:6] for document in documents(5 * 10**7, _SEARCHES)]
    vectors, lexical = index.vectors, index.lexical
    assert vectors is not None
    out: dict[str, object] = {"segments": len(index.manifest.segments)}

    def dense(row: int) -> None:
        vectors.search(queries[row : row + 1], 100)

    def bm25(row: int) -> None:
        lexical.search(words[row], 100)

    def both(row: int) -> None:
        dense(row)
        bm25(row)

    for name, ask in (("dense", dense), ("bm25", bm25), ("hybrid", both)):
        times = []
        for row in range(_SEARCHES):
            began, used = perf_counter(), process_time()
            ask(row)
            times.append((1000 * (perf_counter() - began), 1000 * (process_time() - used)))
        for kind, column in zip(("wall", "cpu"), zip(*times, strict=True), strict=True):
            out[f"{name}_{kind}_p50_p95_ms"] = [round(float(np.percentile(column, q)), 1) for q in (50, 95)]
    return out


def _written() -> int:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["write_bytes"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--store", default="auto")
    parser.add_argument("--work", type=Path, default=Path("updates-benchmark"))
    parser.add_argument("--act", default="")
    arguments = parser.parse_args()
    if arguments.act:
        print(json.dumps(act(arguments.work, arguments.act, arguments.sizes[0], arguments.store)))
        return
    for size in arguments.sizes:
        index = arguments.work / f"{arguments.store}-{size}"
        shutil.rmtree(index, ignore_errors=True)
        for action in ("build", "open", "add", "remove", "add", "remove", "open", "search"):
            command = [sys.executable, "-m", "tests.benchmarks.updates", "--act", action, "--work", str(index)]
            command += ["--sizes", str(size), "--store", arguments.store]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            print(f"{arguments.store} {size:>9,} {action:6}", done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
