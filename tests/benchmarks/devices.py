"""What a GPU brings to encoding: `python -m tests.benchmarks.devices MODEL CORPUS.jsonl [COUNT]` prints a row per device and precision.

Texts are cut at 300, 900, 1,500 and 2,500 characters in turn. Vectors are compared with those of the processor in float32, on its
first 400 texts: the least cosine, and the share of neighbors (ten a text, among these 400) that have the same rank.
"""

import gzip
import json
import sys
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from time import perf_counter

from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.indexer.models.forward.precision import Precision

_COMPARED, _CHARACTERS = 400, (300, 900, 1500, 2500)
_RUNS: tuple[tuple[str, Precision], ...] = (("cpu", "float32"), ("cuda", "float32"), ("cuda", "bfloat16"))


def read_texts(corpus: Path, count: int) -> list[str]:
    """Return titles and texts of a BEIR corpus, cut to lengths that differ."""
    opened = gzip.open if corpus.suffix == ".gz" else open
    with opened(corpus, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
    return [
        f"{row.get('title', '')}\n{row['text']}"[:longest]
        for row, longest in zip(rows, cycle(_CHARACTERS), strict=False)
    ]


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    import torch

    folder, corpus, *count = arguments
    texts = read_texts(Path(corpus), int(count[0]) if count else 5000)
    print(
        "| device | precision | passages a second | least cosine | same neighbor at the same rank |\n|---|---|---|---|---|"
    )
    reference = None
    for device, precision in _RUNS:
        if device == "cuda" and not torch.cuda.is_available():
            continue
        embedder = load_embedder(Path(folder), device=device, options=EncoderOptions(precision=precision))
        chosen = texts if device == "cuda" else texts[:_COMPARED]
        embedder.embed_documents(chosen[:64])
        started = perf_counter()
        vectors = embedder.embed_documents(chosen)
        seconds = perf_counter() - started
        first = vectors[:_COMPARED]
        reference = first if reference is None else reference
        near, expected = ((rows @ rows.T).argsort(axis=1)[:, -11:-1] for rows in (first, reference))
        cosine = float((first * reference).sum(axis=1).min())
        print(
            f"| {device} | {precision} | {len(chosen) / seconds:.0f} | {cosine:.6f} | {(near == expected).mean():.3f} |"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
