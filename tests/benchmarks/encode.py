"""Encoding speed against sentence-transformers: `python -m tests.benchmarks.encode [THREADS] [PAIRS]` (offline model, ../shared/data).

Both run the same weights in fp32 in one process, sentence-transformers at its default (batch_size=32). Blocks of equal texts
alternate in the order ABBA; reported are the median of the paired time ratios with a 95 % bootstrap interval, and the same
for sentence-transformers against itself as the noise floor. Before the timing both must give the same vectors.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from indexer.batches import by_length, padding_ratio, token_batches
from indexer.encoder import load_embedder
from indexer.offline_bundle import bundle_folder

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BLOCK = 16  # texts


def mixed_texts(count: int, seed: int) -> list[str]:
    """Chinese and English texts of log-normal length (CV about 1), 16 to 512 tokens, in random order."""
    rng = random.Random(seed)
    pool = {}
    for name in ("cmrc2018-zh", "xquad-en"):
        lines = (DATA / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
        pool[name] = "\n".join(json.loads(line)["text"] for line in lines)
    texts = []
    for number in range(count):
        text = pool["cmrc2018-zh" if number % 2 else "xquad-en"]
        tokens = min(480, max(16, int(rng.lognormvariate(4.6, 0.83))))
        length = int(tokens * (1.5 if number % 2 else 4.2))
        start = rng.randrange(len(text) - length)
        texts.append(text[start : start + length])
    return texts


def ratios(one: Callable[[list[str]], object], other: Callable[[list[str]], object], pairs: int) -> np.ndarray:
    """Time of `other` over time of `one`, per pair, ABBA."""
    out = []
    for number in range(pairs):
        texts = mixed_texts(BLOCK, number)
        times = {}
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            started = perf_counter()
            (one, other)[which](texts)
            times[which] = perf_counter() - started
        out.append(times[1] / times[0])
    return np.array(out)


def interval(values: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (5000, len(values))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return f"{np.median(values):.3f} (95 % interval {low:.3f} to {high:.3f}, {len(values)} pairs)"


def main() -> None:
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    torch.set_num_threads(threads)
    from sentence_transformers import SentenceTransformer

    folder = bundle_folder()
    ours = load_embedder(folder, device="cpu")
    theirs = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    texts = mixed_texts(BLOCK, 99)
    cosine = (ours.embed_documents(texts) * theirs.encode_document(texts)).sum(axis=1).min()
    print(f"quality guard: smallest cosine between the two {cosine:.6f} (at least 0.9999 is required)")
    if cosine < 0.9999:
        sys.exit(1)
    lengths = [len(ours.tokens.spans(text)) + 5 for text in texts]
    print(
        f"real tokens per padded token: {padding_ratio(lengths, list(token_batches(lengths, by_length(lengths), 4096))):.3f}"
    )
    print(f"threads: {threads}; load average before: {Path('/proc/loadavg').read_text().split()[0]}")
    control = ratios(theirs.encode_document, theirs.encode_document, max(5, pairs // 2))
    print(f"sentence-transformers against itself: {interval(control)}", flush=True)
    print(
        f"documents/s, ours over sentence-transformers: {interval(ratios(ours.embed_documents, theirs.encode_document, pairs))}"
    )
    queries = [text[:40] for text in mixed_texts(60, 7)]
    single = ratios(
        lambda t: [ours.embed_queries([q]) for q in queries[:20]],
        lambda t: [theirs.encode_query([q]) for q in queries[:20]],
        9,
    )
    print(f"one query at a time, ours over sentence-transformers: {interval(single)}")


if __name__ == "__main__":
    main()
