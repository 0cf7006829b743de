"""The constants of `quarry estimate`, measured: `python -m tests.benchmarks.cost [--sizes 2000 20000 200000] [--work FOLDER] [--json FILE]`.

Per size one process builds an index of passages of 60 words (vectors of 384 dimensions by hashing, no model, store `auto`), and another
opens it and searches 50 times by vector and words. Each document has a title of its own. Measured are processor seconds of the build
without its encoding, bytes on disk by what they hold, and memory of the reader: its own pages over those of the program, and the
mapped ones. Curves (`quarry.indexer.encode.curves`) through the first two sizes predict the third; the last column says by how much they
are off. `--json` keeps what was measured, size by size, so that an interrupted run goes on.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time

from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import Progress, Vectors
from quarry.indexer.encode.cost import codes_bytes, mapped_bytes
from quarry.indexer.encode.curves import DIM_MEASURED, MEASURED, curve_of
from quarry.indexer.opened import Index
from tests.benchmarks.updates import HashEmbedder, documents

SEARCHES = 50
READ = ("own_bytes", "mapped_bytes")


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
    titled = (replace(one, title=f"Document {one.doc_id}") for one in documents(0, size))
    index_documents(index, titled, embedder, BuildOptions(store="auto", analyzer="bigram"))
    cpu = process_time() - before - embedder.seconds
    parts = dict.fromkeys((name for name in MEASURED if name.endswith("_bytes")), 0)
    for path in (path for path in index.rglob("*") if path.is_file()):
        parts[f"{part_of(path.relative_to(index))}_bytes"] += path.stat().st_size
    return {"build_seconds": cpu, **{name: size for name, size in parts.items() if name not in READ}}


def part_of(path: Path) -> str:
    """Return what a file of an index holds."""
    if "embeddings" in path.parts:
        return "probes"
    if "lexical" in path.parts:
        return "vocabulary" if path.stem in ("terms", "starts", "places") else "postings"
    if "names" in path.parts or ".names." in path.name:
        return "names"
    return "vectors" if "vectors" in path.parts or path.suffix == ".npy" else "texts"


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
    curves = {}
    for name in MEASURED:
        curves[name] = curve_of(name, (first, kept[str(first)][name]), (second, kept[str(second)][name]))
        print(f'    "{name}": {curves[name]!r},')
    for size in others:
        print(f"at {size:,}:")
        told = {name: curve.at(size) for name, curve in curves.items()}
        told["vectors_bytes"] += codes_bytes(size, DIM_MEASURED)
        told["names_bytes"] += codes_bytes(size, DIM_MEASURED)  # a title for each passage
        told["mapped_bytes"] = mapped_bytes(curves["mapped_bytes"], size, DIM_MEASURED)
        for each in (told, kept[str(size)]):
            each["terms_bytes"] = each["postings_bytes"] + each["vocabulary_bytes"]
            each["index_bytes"] = sum(each[name] for name in MEASURED if name.endswith("_bytes") and name not in READ)
        for name, predicted in told.items():
            true = kept[str(size)][name]
            print(f"  {name}: predicted {predicted:.6g}, measured {true:.6g}, {predicted / true - 1:+.1%}")


if __name__ == "__main__":
    main()
