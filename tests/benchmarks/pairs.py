"""Resident memory and time of `make_pairs` over many pairs: `python -m tests.benchmarks.pairs PAIRS FOLDER [scored]`.

PAIRS questions with answers are written to FOLDER as JSON lines, a fifth of them copies of earlier ones, and made into rows without a
scorer; `scored` judges them by a stand-in model that hashes words, for the memory of that step (the model's own comes on top). Memory is
printed every 100,000 pairs.

`resumed` begins as a run was left that was killed near its end (all but `_LAST` pairs read, all but as many scored), so that the memory of
millions of pairs is measured in minutes: every step runs at its full size, only the work on single pairs is left out.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.training.fit.run_folder import digest_of
from quarry.training.pairs.filters.minhash import BANDS
from quarry.training.pairs.filters.scoring import SCORES
from quarry.training.pairs.found import KINDS
from quarry.training.pairs.reasons import COPY
from quarry.training.pairs.records import PairOptions
from quarry.training.pairs.run import _VERSION, make_pairs
from quarry.training.pairs.sources import Files
from quarry.training.pairs.staging import DROPPED, PAIRS, STATE, Position
from tests.benchmarks.encode_memory import memory
from tests.fakes import WordEmbedder

_EVERY = 100_000
_LAST = 20_000


class _QuickEmbedder(WordEmbedder):
    """Words hashed to directions by their characters: a thousand times faster than a model, and as large."""

    def _embed(self, texts: list[str]) -> Vectors:  # type: ignore[override]
        out = np.zeros((len(texts), self.spec.dim), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                out[row, sum(word.encode()) * 31 % self.spec.dim] += 1
        length = np.linalg.norm(out, axis=1, keepdims=True)
        return out / np.maximum(length, 1e-6)


def _words() -> list[str]:
    draw = random.Random(0)
    return [
        "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(draw.randint(2, 4)))
        for _ in range(20_000)
    ]


def write(path: Path, count: int) -> None:
    """Write the pairs; each has a question of eight and an answer of forty words, half of the latter Chinese."""
    draw, words = random.Random(1), _words()
    han = [chr(code) for code in range(0x4E00, 0x5E00)]
    kept: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            if kept and number % 5 == 4:
                line = draw.choice(kept)
            else:
                topic = draw.sample(words, 6)
                question = f"What is the {' '.join(topic)}?"
                rest = " ".join(draw.sample(words, 34)) if number % 2 else "".join(draw.choices(han, k=80))
                line = json.dumps({"question": question, "answer": f"{' '.join(topic)} {rest}."}, ensure_ascii=False)
                if len(kept) < 10_000:
                    kept.append(line)
            file.write(line + "\n")


def _killed(folder: Path, source: Path, count: int, scorer: _QuickEmbedder | None) -> Path:
    """Leave a work folder as after `count` pairs, a fifth of them copies; return the file that these would have been read from."""
    first, work, kept = folder / "first.jsonl", folder / ".out.jsonl.work", count - count // 5
    first.write_text(
        '{"question": "What was read before?", "answer": "All that the work folder holds."}\n', encoding="utf-8"
    )
    if (work / STATE).is_file():
        return first
    work.mkdir(exist_ok=True)
    draw, sizes = np.random.default_rng(0), np.zeros(kept, np.int64)
    with (work / PAIRS).open("wb") as file:
        for number in range(kept):
            query = f"What is the number {number} of the list?"
            line = json.dumps([query, query, f"It is {number}, {'long ' * 40}and no more.", "question", "first.jsonl"])
            sizes[number] = file.write(f"{line}\n".encode())
    draw.integers(1, 2**32, (kept, BANDS), dtype=np.uint32).tofile(work / "bands.u32")
    draw.integers(0, 2**63, (kept, 2), dtype=np.uint64).tofile(work / "queries.u64")
    (np.cumsum(sizes) - sizes).tofile(work / "offsets.i64")
    np.full(kept, KINDS.index("question"), np.uint8).tofile(work / "marks.u8")
    (work / DROPPED).touch()
    options, files = PairOptions(), Files([first, source], folder / "out.jsonl")
    run = digest_of([files.facts, repr(options.cleaning), repr(options.reading), False, _VERSION])
    position = Position([str(first.absolute())], 0, kept, {PAIRS: int(sizes.sum()), DROPPED: 0})
    position.found["question"], position.dropped[COPY] = count, count - kept
    state = {"run": run, "finished": False, "position": position.as_json()}
    (work / STATE).write_text(json.dumps(state), encoding="utf-8")
    if scorer is not None:
        key = digest_of([scorer.spec.fingerprint, scorer.spec.query_format, options.seed, SCORES])
        scores = draw.standard_normal((kept, 10), np.float32)
        scores[::50, :2] += 3  # few stay, so that few lines are written at the end
        scores.tofile(work / f"scores.{key}.f32")
    return first


def main() -> None:
    """Make pairs and print memory as it goes."""
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    scorer = _QuickEmbedder(dim=384) if "scored" in sys.argv else None
    resumed = "resumed" in sys.argv
    source = folder / f"source-{_LAST if resumed else count}.jsonl"
    if not source.exists():
        write(source, _LAST if resumed else count)
    sources = [source]
    if resumed:
        sources.insert(0, _killed(folder, source, count - _LAST, scorer))
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the highest from here on
    print(f"{count:,} pairs: {memory()}", flush=True)
    started = perf_counter()

    def observer(name: str, _total: int | None) -> Callable[[int], None]:
        handled = 0

        def tell(amount: int) -> None:
            nonlocal handled
            before, handled = handled, handled + amount
            if handled // _EVERY > before // _EVERY:
                print(f"{name} {handled:,}, {perf_counter() - started:.0f} s: {memory()}", flush=True)

        return tell

    report = make_pairs(sources, folder / "out.jsonl", scorer, observer=observer)
    for step in report.steps:
        print(f"{step.name}: {step.given:,} -> {step.kept:,}")
    print(f"{sum(report.kept.values()):,} rows, {perf_counter() - started:.0f} s: {memory()}")


if __name__ == "__main__":
    main()
