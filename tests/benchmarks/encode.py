"""Encoding speed against sentence-transformers: `python -m tests.benchmarks.encode [THREADS] [PAIRS]` (offline model, ../shared/data).

Both run the same weights in fp32 in one process, sentence-transformers at its default (batch_size=32). Blocks of equal texts
alternate in the order ABBA; reported are the median of the paired time ratios with a 95 % bootstrap interval, and the same
for sentence-transformers against itself as the noise floor. Before the timing both must give the same vectors.

`python -m tests.benchmarks.encode precision [ROUNDS] [DOCUMENTS]` sets bfloat16 (what `--device auto` takes on processors that have
it), float32 and sentence-transformers side by side on one thread, in CPU time so that a busy machine matters little: rounds of
equal work, the order turned by one each round; then nDCG@10 of both precisions on a Chinese and an English set of at most
DOCUMENTS passages (every judged one of the first 100 queries, others by hash of their ids).
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch

from quarry.indexer.embedder import Embedder
from quarry.indexer.models.batching import by_length, token_batches
from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.indexer.models.offline_bundle import bundle_folder

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


def padding_ratio(lengths: list[int], budget: int) -> float:
    """Return real tokens per padded token, in (0, 1]; 1 means that nothing is computed for padding."""
    batches = list(token_batches(lengths, by_length(lengths), budget))
    return sum(lengths) / sum(max(lengths[row] for row in batch) * len(batch) for batch in batches)


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


def cpu_seconds(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, np.ndarray]:
    """CPU time of each task in each round; who goes first changes from round to round."""
    names, out = list(tasks), {name: np.zeros(rounds) for name in tasks}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            started = process_time()
            tasks[name]()
            out[name][number] = process_time() - started
    return out


def report(what: str, units: int, times: dict[str, np.ndarray]) -> None:
    """Print CPU milliseconds per unit and how many times faster the first task is than each other one."""
    first, *others = times
    spent = ", ".join(f"{name} {np.median(times[name]) / units * 1000:.1f}" for name in times)
    print(f"{what}: CPU ms each: {spent}")
    for other in others:
        print(f"  {first} over {other}: {interval(times[other] / times[first])}", flush=True)


def precision(rounds: int = 9, documents: int = 500) -> None:
    torch.set_num_threads(1)
    from sentence_transformers import SentenceTransformer

    folder = bundle_folder()
    mixed, exact = (
        load_embedder(folder, device="cpu", options=EncoderOptions(precision=kind)) for kind in ("bfloat16", "float32")
    )
    theirs = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    texts = mixed_texts(64, 99)
    cosine = (mixed.embed_documents(texts) * exact.embed_documents(texts)).sum(axis=1).min()
    print(
        f"smallest cosine of bfloat16 and float32 over {len(texts)} texts: {cosine:.6f} (at least 0.9999 is required)"
    )
    if cosine < 0.9999:
        sys.exit(1)
    queries = [text[:40] for text in mixed_texts(16, 7)]
    for what, units, ours, st in (
        (
            "passages in batches",
            BLOCK * 2,
            lambda e: e.embed_documents(texts[: BLOCK * 2]),
            lambda: theirs.encode_document(texts[: BLOCK * 2]),
        ),
        ("16 queries at once", 16, lambda e: e.embed_queries(queries), lambda: theirs.encode_query(queries)),
        (
            "one query at a time",
            16,
            lambda e: [e.embed_queries([q]) for q in queries],
            lambda: [theirs.encode_query([q]) for q in queries],
        ),
    ):
        tasks = {
            "bfloat16": lambda ours=ours: ours(mixed),
            "float32": lambda ours=ours: ours(exact),
            "sentence-transformers": st,
        }
        report(what, units, cpu_seconds(tasks, rounds))
    for name in ("sqlfaq-zh", "scifact-en"):
        gains(name, {"bfloat16": mixed, "float32": exact}, documents)


def gains(name: str, embedders: dict[str, Embedder], size: int) -> None:
    """Print nDCG@10 of the exact search in a subsample of a real set, for every pair of precisions."""
    from quarry.retriever.data.datasets import load_dataset
    from quarry.retriever.evaluation.measures import ndcg
    from tests.benchmarks.retrieval import corpus_lines, subsample

    data = load_dataset(DATA / name, "test")
    asked = data.queries[:100]
    needed = {doc_id for query in asked for doc_id in data.qrels[query.query_id]}
    kept = [json.loads(line) for line in subsample(corpus_lines(name), needed, size)]
    ids = [line["_id"] for line in kept]
    texts = [f"{line.get('title') or ''}\n{line['text']}".strip() for line in kept]
    passages = {kind: embedder.embed_documents(texts) for kind, embedder in embedders.items()}
    for asks, embedder in embedders.items():
        queries = embedder.embed_queries([query.text for query in asked])
        for stored, vectors in passages.items():
            ranked = [[ids[row] for row in np.argsort(-vectors @ query, kind="stable")[:10]] for query in queries]
            found = np.mean(
                [ndcg(one, data.qrels[query.query_id], 10) for one, query in zip(ranked, asked, strict=True)]
            )
            print(
                f"{name}, {len(ids)} documents, {len(asked)} queries in {asks}, documents in {stored}: nDCG@10 {found:.4f}",
                flush=True,
            )


def main() -> None:
    if sys.argv[1:2] == ["precision"]:
        precision(*(int(number) for number in sys.argv[2:]))
        return
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    torch.set_num_threads(threads)
    from sentence_transformers import SentenceTransformer

    folder = bundle_folder()
    ours = load_embedder(folder, device="cpu:float32")
    theirs = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    texts = mixed_texts(BLOCK, 99)
    cosine = (ours.embed_documents(texts) * theirs.encode_document(texts)).sum(axis=1).min()
    print(f"quality guard: smallest cosine between the two {cosine:.6f} (at least 0.9999 is required)")
    if cosine < 0.9999:
        sys.exit(1)
    lengths = [len(ours.tokens.spans(text)) + 5 for text in texts]
    print(f"real tokens per padded token: {padding_ratio(lengths, budget=4096):.3f}")
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
