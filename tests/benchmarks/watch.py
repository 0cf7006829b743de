"""From saving a file to its being found: `python -m tests.benchmarks.watch [--saves 10] [--model auto]`.

A real `quarry index --watch` process keeps an index of the demo corpus in step (offline model, CPU). Files in English and
Chinese are saved one after another; a searcher that follows the live generation is asked for each until it is found. Printed
are the median and the longest time, what of it the build took, and the time of one save of 1,000 files.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np

from quarry.demo_corpus import documents_path
from quarry.retriever.searcher import Searcher, SearchOptions

_BURST = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--saves", type=int, default=10)
    parser.add_argument("--model", default="auto")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="quarry-watch-") as name:
        docs, index = Path(name) / "docs", Path(name) / "index"
        shutil.copytree(documents_path(), docs)
        command = [
            sys.executable,
            "-m",
            "quarry.app.cli",
            "index",
            str(docs),
            "--into",
            str(index),
            "--watch",
            "--json",
            "-q",
            "--model",
            arguments.model,
            "--device",
            "cpu",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            first = json.loads(process.stdout.readline())
            print(
                f"{first['documents']} documents, {first['chunks']} passages, {first['model'] or 'no model'}",
                flush=True,
            )
            searcher = Searcher.open(index)
            times, builds = [], []
            for number in range(arguments.saves):
                word = f"quagga{number}" if number % 2 else f"斑驴{number}号"
                began = perf_counter()
                (docs / f"save{number}.md").write_text(
                    f"# {word}\n\n{word} is a kind of zebra. {word}是一种斑马。", encoding="utf-8"
                )
                searcher = found(searcher, word, f"docs/save{number}.md")
                times.append(perf_counter() - began)
                builds.append(sum(json.loads(process.stdout.readline())["seconds"].values()))
            print(
                f"{arguments.saves} saves: found after {np.median(times):.2f} s (median), {max(times):.2f} s (longest); "
                f"the build took {np.median(builds):.2f} s of it (median)",
                flush=True,
            )
            began = perf_counter()
            for number in range(_BURST):
                (docs / f"burst{number}.txt").write_text(f"burst{number} zebra 斑马", encoding="utf-8")
            found(searcher, f"burst{_BURST - 1}", f"docs/burst{_BURST - 1}.txt")
            added = json.loads(process.stdout.readline())["added"]
            print(
                f"{_BURST} files at once: found after {perf_counter() - began:.1f} s, {added} of them in the first build"
            )
        finally:
            process.terminate()
            print(f"exit status after SIGTERM: {process.wait(60)}")


def found(searcher: Searcher, query: str, doc_id: str) -> Searcher:
    """Ask until the document is found; returns the searcher that found it."""
    options = SearchOptions(route="bm25")
    while doc_id not in [hit.doc_id for hit in searcher.search(query, 10, options).results]:
        sleep(0.02)
        searcher = searcher.newest()
    return searcher


if __name__ == "__main__":
    main()
