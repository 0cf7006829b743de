"""The constants of `quarry estimate`, measured: `python -m tests.benchmarks.cost [--sizes 2000 20000 200000] [--work FOLDER] [--json FILE]`.

Per size one process builds an index of passages of 60 words (vectors of 384 dimensions by hashing, no model, store `auto`), and another
opens it and searches 50 times by vector and words. Measured are processor seconds of the build without its encoding, bytes of texts,
terms and vectors on disk, and memory of the reader: its own pages over those of the program, and the mapped ones. A line through the
first two sizes predicts the third; the last column says by how much it is off. `--json` keeps what was measured, size by size, so
that an interrupted run goes on.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import Progress, Vectors
from quarry.indexer.encode.cost import MEASURED, Line
from quarry.indexer.opened import Index
from tests.benchmarks.updates import HashEmbedder, documents

SEARCHES = 50


class Timed(HashEmbedder):
    """Counts the processor seconds of encoding, which an estimate takes from the model instead."""

    seconds = 0.0

    def embed_documents(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        before = process_time()
        found = super().embed_documents(texts, progress=progress)
        self.seconds += process_time() - before
        return found


def build(index: Path, size: int) -> dict[str, float]:
    """Build an index, and return what it costs."""
    embedder, before = Timed(), process_time()
    index_documents(index, documents(0, size), embedder, BuildOptions(store="auto", analyzer="bigram"))
    cpu = process_time() - before - embedder.seconds
    parts = {"texts_bytes": 0, "terms_bytes": 0, "vectors_bytes": 0}
    for path in (path for path in index.rglob("*") if path.is_file()):
        below = path.relative_to(index).parts
        kind = "terms" if "lexical" in below else "vectors" if "vectors" in below or path.suffix == ".npy" else "texts"
        parts[f"{kind}_bytes"] += path.stat().st_size
    return {"build_seconds": cpu, **parts}


def read(index: Path) -> dict[str, float]:
    """Search an index, and return the memory that it takes beyond that of the program."""
    before = _memory()
    opened = Index.open(index)
    assert opened.vectors is not None
    for document in documents(5 * 10**7, SEARCHES):
        opened.vectors.search(HashEmbedder().embed_queries([document.text]), 100)
        opened.lexical.search(document.text.split()[1:6], 100)
    after = _memory()
    return {"own_bytes": after["RssAnon"] - before["RssAnon"], "mapped_bytes": after["RssFile"] - before["RssFile"]}


def _memory() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if line.startswith("Rss")}


def measure(size: int, work: Path) -> dict[str, float]:
    """Measure one size in processes of their own."""
    index = work / f"cost-{size}"
    shutil.rmtree(index, ignore_errors=True)
    found: dict[str, float] = {}
    for action in ("build", "read"):
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.cost",
            "--act",
            action,
            "--work",
            str(index),
            "--sizes",
            str(size),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found |= json.loads(done.stdout)
    shutil.rmtree(index)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000, 20_000, 200_000])
    parser.add_argument("--work", type=Path, default=Path("cost-benchmark"))
    parser.add_argument("--json", type=Path, default=Path("cost.json"))
    parser.add_argument("--act", default="")
    arguments = parser.parse_args()
    if arguments.act:
        print(
            json.dumps(build(arguments.work, arguments.sizes[0]) if arguments.act == "build" else read(arguments.work))
        )
        return
    kept = json.loads(arguments.json.read_text()) if arguments.json.is_file() else {}
    for size in arguments.sizes:
        kept.setdefault(str(size), None)
        kept[str(size)] = kept[str(size)] or measure(size, arguments.work)
        arguments.json.write_text(json.dumps(kept, indent=1))
        print(f"{size:>9,}", {name: round(value, 1) for name, value in kept[str(size)].items()}, flush=True)
    first, second, *others = arguments.sizes
    for name in MEASURED:
        line = Line.through((first, kept[str(first)][name]), (second, kept[str(second)][name]))
        for size in others:
            told, true = line.at(size), kept[str(size)][name]
            print(
                f"{name}: {line.each:.6g} a passage and {line.base:.6g}; at {size:,} {told:.6g}, measured {true:.6g}, {told / true - 1:+.1%}"
            )


if __name__ == "__main__":
    main()
