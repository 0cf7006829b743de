"""How the time from a file's bytes to its terms grows: each hostile text at 1, 4 and 16 times its size.

    python -m tests.benchmarks.linear [--size 16000]

The last two columns of times are the growth per step of four; 4 is linear, 16 quadratic. Texts above 65,536 bytes are read in a process
of their own, whose start is part of the time. What takes a question or an answer apart has its test in tests/retriever/test_hostile_questions.py.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from quarry.indexer.build.cutting.chunking import ChunkSpec, cut_into_terms
from quarry.indexer.corpus.walk import ReadFile, read_corpus
from quarry.indexer.lexical.analyzer import analyzer
from quarry.indexer.models.token_spans import ScriptTokens
from tests.hostile_texts import HOSTILE


def seconds_of(path: Path) -> tuple[float, int]:
    """Read and cut one file here; return the seconds and how many passages it gives."""
    terms = analyzer("jieba")
    began = perf_counter()
    passages = 0
    for event in read_corpus({"a": path}):
        if isinstance(event, ReadFile):
            for document in event.documents:
                passages += len(cut_into_terms(document, ChunkSpec(), ScriptTokens(), terms)[0])
    return perf_counter() - began, passages


def main() -> None:
    """Print one line per text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=16_000)
    size = parser.parse_args().size
    analyzer("jieba").tokens("预热")
    print(f"{'text':34} {'1x s':>8} {'4x s':>8} {'16x s':>8} {'4x/1x':>7} {'16x/4x':>7} {'passages':>9}")
    with TemporaryDirectory() as folder:
        for name, (ending, make) in HOSTILE.items():
            times, passages = [], 0
            for factor in (1, 4, 16):
                path = Path(folder) / f"file{ending}"
                path.write_bytes(make(size * factor))
                took, passages = seconds_of(path)
                times.append(took)
            growth = [later / max(earlier, 1e-3) for earlier, later in zip(times, times[1:], strict=False)]
            print(
                f"{name:34}"
                + "".join(f" {t:8.3f}" for t in times)
                + "".join(f" {g:7.1f}" for g in growth)
                + f" {passages:9}"
            )


if __name__ == "__main__":
    main()
