"""Our own forward pass against transformers', and a cold search.

`python -m tests.benchmarks.forward encode [ROUNDS]`: passages per CPU second of the offline model, encoded by our forward pass and by
transformers through the same embedder (what `fallback` uses), on one thread: rounds of 64 Chinese and English texts of 16 to 480 tokens
(../shared/data) in float32 and in bfloat16, the order reversed each round, every combination in one process; then the largest absolute
difference of vectors and of token states in float32.

`python -m tests.benchmarks.forward cold INDEX [CHECKOUT] [RUNS]`: `quarry search INDEX QUESTION` in processes of their own, an English and
a Chinese question in turn: CPU and wall seconds (medians) and peak resident memory. With another CHECKOUT of Quarry (`-` for none) its
command runs in turn with this one. The index must have been searched once before, so that caches are there.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time
from unittest.mock import patch

import numpy as np

from quarry.indexer.messages import Message
from quarry.indexer.models.transformer import TransformerEmbedder
from tests.benchmarks.encode import interval, mixed_texts

ROOT = Path(__file__).resolve().parents[2]
TEXTS = 64
QUESTIONS = {"en": "how do I renew a book?", "zh": "黑死病是怎么传播的？"}


@contextmanager
def by_transformers():
    """Load embedders through transformers."""
    reason = Message.of("models.other_architecture", "its architecture is {kind}", kind="left to transformers")
    with patch("quarry.indexer.models.encoder.why_not_bert", lambda *_: reason):
        yield


def encode(rounds: int) -> None:
    """Print the ratios of passages per CPU second, and how far vectors differ."""
    import torch

    from quarry.indexer.models.encoder import load_embedder
    from quarry.indexer.models.offline_bundle import bundle_folder

    torch.set_num_threads(1)
    folder, texts = bundle_folder(), [mixed_texts(TEXTS, number) for number in range(rounds)]
    for precision in ("float32", "bfloat16"):
        ours = load_embedder(folder, device=f"cpu:{precision}")
        with by_transformers():
            theirs = load_embedder(folder, device=f"cpu:{precision}")
        assert ours.fallback is None and theirs.fallback is not None
        if precision == "float32":
            _differences(ours, theirs, texts[0])
        mine, other = np.zeros(rounds), np.zeros(rounds)
        for number, some in enumerate(texts):
            if number % 2:
                mine[number], other[number] = _cpu_seconds(ours, some), _cpu_seconds(theirs, some)
            else:
                other[number], mine[number] = _cpu_seconds(theirs, some), _cpu_seconds(ours, some)
        print(
            f"{precision}: {TEXTS / np.median(mine):.1f} passages per CPU second, transformers {TEXTS / np.median(other):.1f}"
        )
        print(f"{precision}: ratio {interval(other / mine)}", flush=True)


def _cpu_seconds(embedder: TransformerEmbedder, texts: list[str]) -> float:
    started = process_time()
    embedder.embed_documents(texts)
    return process_time() - started


def _differences(ours, theirs, texts: list[str]) -> None:
    found, expected = {}, {}
    vectors = ours.embed_documents_and_tokens(texts, found.__setitem__)
    reference = theirs.embed_documents_and_tokens(texts, expected.__setitem__)
    states = max(float(np.abs(found[row] - expected[row]).max()) for row in expected)
    print(
        f"largest difference over {len(texts)} texts: vectors {np.abs(vectors - reference).max():.1e}, token states {states:.1e}"
    )


def cold(index: Path, checkout: Path | None, runs: int) -> None:
    """Print CPU seconds, wall seconds and peak memory of cold searches."""
    checkouts = {"here": ROOT} | ({"there": checkout.resolve()} if checkout else {})
    for language, question in QUESTIONS.items():
        measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in checkouts}
        for number in range(runs + 1):
            for name in list(checkouts) if number % 2 else list(checkouts)[::-1]:
                one = _search(checkouts[name], index, question)
                if number:  # the first one fills the page cache
                    measured[name].append(one)
        for name, rows in measured.items():
            cpu, wall, memory = np.median(np.array(rows), axis=0)
            print(f"{language} {name}: CPU {cpu:.2f} s, wall {wall:.2f} s, {memory:.0f} MB", flush=True)
        if checkout:
            ratio = np.array([row[0] for row in measured["there"]]) / np.array([row[0] for row in measured["here"]])
            print(f"{language} CPU there over here: {interval(ratio)}")


def _search(checkout: Path, index: Path, question: str) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak megabytes of one search in a new process."""
    started = perf_counter()
    command = [sys.executable, "-m", "quarry", "search", str(index.resolve()), question]
    # the folder that a process starts in comes first on its path
    child = subprocess.Popen(command, cwd=checkout, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"the search ended with {child.returncode}"
    return used.ru_utime + used.ru_stime, perf_counter() - started, used.ru_maxrss / 1024


def main() -> None:
    """Run one of the two."""
    what, *rest = sys.argv[1:] or ["encode"]
    if what == "encode":
        encode(int(rest[0]) if rest else 7)
        return
    other = Path(rest[1]) if len(rest) > 1 and rest[1] != "-" else None
    cold(Path(rest[0]), other, int(rest[2]) if len(rest) > 2 else 5)


if __name__ == "__main__":
    main()
