"""The lexical engine at 10,000, 100,000 and 1,000,000 passages beside others: building, memory, opening, searching.

    python -m tests.benchmarks.lexical WORK [--passages 10000 100000 1000000] [--engines postings bm25s tantivy ...] [--runs 2]

Passages have 60 words of 500,000, which are as frequent as Zipf's law says (exponent 1.1). A query is 5 to 8 words of one passage, not of
the 50 commonest, which a query leaves out as stop words do. Engines:

    postings    a segment, as an index has it
    segments    the same passages in eight segments, a twentieth of each removed
    bm25s       scores made while building, as indexes before 0.3.0 had them (NumPy), read by our own code
    numba       the same library's own search with its numba backend (needs numba)
    tantivy     its own engine, terms split at white space (needs tantivy); its lengths are rounded to a byte

Each measurement is a process of its own. All times are processor time of its one thread: seconds of the build with the making of its
words, seconds to open, milliseconds per query for the first 10. Memory is the peak of what was resident, mapped files included.
`--runs 2` measures everything twice in turn: the ratio of the two is the noise (A/A).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from shutil import rmtree
from time import process_time
from typing import Any

import numpy as np

from quarry.indexer.lexical.index import LexicalSegment, UnionIndex
from tests.indexer.lexical.older_bm25s import OlderIndex
from tests.memory import peak_mb

WORDS, LENGTH, EXPONENT, STOPPED, QUERIES, K = 500_000, 60, 1.1, 50, 200, 10
ENGINES = ("postings", "segments", "bm25s", "numba", "tantivy")
_PARTS = 8
_AT_ONCE = 10_000


def draw(work: Path, passages: int) -> None:
    """Write the numbers of all words, and the queries."""
    chances = np.cumsum(1 / np.arange(1, WORDS + 1) ** EXPONENT)
    chances /= chances[-1]
    rng, random = np.random.default_rng(passages), Random(passages)
    queries: list[list[str]] = []
    every = max(1, passages // QUERIES)
    with (work / f"words-{passages}.bin").open("wb") as file:
        for first in range(0, passages, _AT_ONCE):
            rows = min(_AT_ONCE, passages - first)
            numbers = np.searchsorted(chances, rng.random((rows, LENGTH))).astype(np.uint32)
            file.write(numbers.tobytes())
            for row in range(-first % every, rows, every):
                words = sorted({f"w{number}" for number in numbers[row].tolist() if number >= STOPPED})
                queries.append(random.sample(words, min(len(words), random.randint(5, 8))))
    (work / f"queries-{passages}.json").write_text(json.dumps(queries[:QUERIES]))


def drawn(work: Path, passages: int, part: tuple[int, int] = (0, 1)) -> Iterator[list[str]]:
    """Yield the words of each passage, or of one of so many parts."""
    number, parts = part
    first, stop = passages * number // parts, passages * (number + 1) // parts
    with (work / f"words-{passages}.bin").open("rb") as file:
        file.seek(first * LENGTH * 4)
        for begin in range(first, stop, _AT_ONCE):
            rows = min(_AT_ONCE, stop - begin)
            content = np.frombuffer(file.read(rows * LENGTH * 4), dtype=np.uint32).reshape(rows, LENGTH)
            for numbers in content.tolist():
                yield [f"w{each}" for each in numbers]


def ids_of(first: int, stop: int) -> Iterator[str]:
    """Yield ids that ascend."""
    return (f"document-{number:08d}#0-400" for number in range(first, stop))


def build(engine: str, work: Path, passages: int, folder: Path) -> None:
    """Build an index."""
    ids = ids_of(0, passages)
    if engine == "postings":
        LexicalSegment.build(folder, ids, drawn(work, passages))
    elif engine == "segments":
        for part in range(_PARTS):
            (folder / str(part)).mkdir()
            first, stop = passages * part // _PARTS, passages * (part + 1) // _PARTS
            LexicalSegment.build(folder / str(part), ids_of(first, stop), drawn(work, passages, (part, _PARTS)))
    elif engine == "bm25s":
        OlderIndex.build(list(ids), drawn(work, passages)).save(folder)
    elif engine == "numba":
        import bm25s

        model = bm25s.BM25(k1=1.5, b=0.75, method="lucene", backend="numba")
        model.index(list(drawn(work, passages)), show_progress=False, create_empty_token=False)
        model.save(str(folder), show_progress=False)
    else:
        _build_tantivy(folder, drawn(work, passages))


def _build_tantivy(folder: Path, passages: Iterator[list[str]]) -> None:
    import tantivy

    fields = tantivy.SchemaBuilder()
    fields.add_text_field("text", stored=False, tokenizer_name="whitespace", index_option="freq")
    fields.add_integer_field("row", stored=False, fast=True)
    index = tantivy.Index(fields.build(), path=str(folder))
    writer = index.writer(heap_size=256_000_000, num_threads=1)
    for row, words in enumerate(passages):
        writer.add_document(tantivy.Document(text=" ".join(words), row=row))
    writer.commit()
    writer.wait_merging_threads()


class Opened:
    """An opened index of any engine."""

    def __init__(self, engine: str, folder: Path) -> None:
        self.engine = engine
        if engine == "postings":
            self.index: Any = UnionIndex([(LexicalSegment.open(folder), None)])
        elif engine == "segments":
            segments = [LexicalSegment.open(folder / str(part)) for part in range(_PARTS)]
            self.index = UnionIndex([(each, np.arange(0, len(each), 20)) for each in segments])
        elif engine == "bm25s":
            self.index = OlderIndex.open(folder)
        elif engine == "numba":
            import bm25s

            self.index = bm25s.BM25.load(str(folder), mmap=True)
            self.index.backend = "numba"
        else:
            import tantivy

            self.library = tantivy
            self.index = tantivy.Index.open(str(folder))
            self.searcher = self.index.searcher()

    def search(self, query: Sequence[str]) -> None:
        """Find the first ten."""
        if self.engine == "tantivy":
            tantivy = self.library
            terms = [tantivy.Query.term_query(self.index.schema, "text", word, "freq") for word in query]
            self.searcher.search(
                tantivy.Query.boolean_query([(tantivy.Occur.Should, term) for term in terms]), K, count=False
            )
        elif self.engine == "numba":
            self.index.retrieve([list(query)], k=K, show_progress=False, n_threads=0)
        else:
            self.index.search(query, K)


def search(engine: str, work: Path, passages: int, folder: Path) -> dict[str, float]:
    """Open an index and ask all queries twice; the first round warms files up."""
    queries = json.loads((work / f"queries-{passages}.json").read_text())
    if engine in ("tantivy", "numba"):
        __import__("bm25s" if engine == "numba" else engine)
    began = process_time()
    opened = Opened(engine, folder)
    opening = process_time() - began
    for query in queries:
        opened.search(query)
    times = []
    for query in queries:
        began = process_time()
        opened.search(query)
        times.append((process_time() - began) * 1000)
    return {
        "open_s": opening,
        "p50_ms": float(np.percentile(times, 50)),
        "p95_ms": float(np.percentile(times, 95)),
        "search_mb": peak_mb(),
    }


def child(what: str, engine: str, work: Path, passages: int) -> dict[str, float]:
    """Measure one thing in this process."""
    folder = work / f"{engine}-{passages}"
    if what == "search":
        return search(engine, work, passages, folder)
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    base, began = peak_mb(), process_time()
    build(engine, work, passages, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    return {"build_s": process_time() - began, "build_mb": peak_mb(), "base_mb": base, "disk_mb": size}


def measured(what: str, engine: str, work: Path, passages: int) -> dict[str, float]:
    """Measure one thing in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.lexical", str(work), "--child", what, engine, str(passages)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found


def main() -> None:
    """Print a line per engine and size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--passages", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--child", nargs=3)
    asked = parser.parse_args()
    if asked.child:
        what, engine, passages = asked.child
        print(json.dumps(child(what, engine, asked.work, int(passages))))
        return
    asked.work.mkdir(parents=True, exist_ok=True)
    columns = ("build_s", "build_mb", "disk_mb", "open_s", "p50_ms", "p95_ms", "search_mb")
    print(f"{'passages':>9} {'engine':9} run " + " ".join(f"{name:>9}" for name in columns))
    for passages in asked.passages:
        draw(asked.work, passages)
        for run in range(1, asked.runs + 1):
            for engine in asked.engines:
                found = {what: measured(what, engine, asked.work, passages) for what in ("build", "search")}
                line = {**found["build"], **found["search"]}
                print(
                    f"{passages:9} {engine:9} {run:3} " + " ".join(f"{line[name]:9.2f}" for name in columns), flush=True
                )


if __name__ == "__main__":
    main()
