"""Resident memory and time of `make_pairs` over many pairs: `python -m tests.benchmarks.pairs PAIRS FOLDER [scored]`.

PAIRS questions with answers are written to FOLDER as JSON lines, a fifth of them copies of earlier ones, and made into rows without a
scorer; `scored` judges them by a stand-in model that hashes words, for the memory of that step (the model's own comes on top). Memory is
printed every 100,000 pairs.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.training.pairs.run import make_pairs
from tests.benchmarks.encode_memory import memory
from tests.fakes import WordEmbedder

_EVERY = 100_000


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


def main() -> None:
    """Make pairs and print memory as it goes."""
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"source-{count}.jsonl"
    if not source.exists():
        write(source, count)
    print(f"{count:,} pairs, {source.stat().st_size >> 20} MB: {memory()}", flush=True)
    started = perf_counter()

    def observer(name: str, _total: int | None) -> Callable[[int], None]:
        handled = 0

        def tell(amount: int) -> None:
            nonlocal handled
            before, handled = handled, handled + amount
            if handled // _EVERY > before // _EVERY:
                print(f"{name} {handled:,}, {perf_counter() - started:.0f} s: {memory()}", flush=True)

        return tell

    scorer = _QuickEmbedder(dim=384) if "scored" in sys.argv else None
    report = make_pairs([source], folder / "out.jsonl", scorer, observer=observer)
    for step in report.steps:
        print(f"{step.name}: {step.given:,} -> {step.kept:,}")
    print(f"{sum(report.kept.values()):,} rows, {perf_counter() - started:.0f} s: {memory()}")


if __name__ == "__main__":
    main()
