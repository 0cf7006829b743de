"""Reranking speed against sentence-transformers: `python -m tests.benchmarks.rerank [THREADS] [PAIRS]` (offline model, ../shared/data).

Random weights of the shape of a 6-layer, 384-wide cross-encoder (speed does not depend on their values) with the offline
model's tokenizer, fp32, both in one process, sentence-transformers at its defaults. One block is one query with 50 mixed Chinese
and English passages. Blocks alternate ABBA; reported are the median of the paired time ratios with a 95 % bootstrap interval
and the same for sentence-transformers against itself as the noise floor. Before the timing both must give the same logits.

`python -m tests.benchmarks.rerank precision [ROUNDS]` sets bfloat16, float32 and sentence-transformers side by side as the mode of
the same name in `tests.benchmarks.encode` does.
"""

import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from quarry.indexer.models.offline_bundle import bundle_folder
from quarry.retriever.rerankers.cross_encoder import load_reranker
from tests.benchmarks.encode import cpu_seconds, interval, mixed_texts, ratios, report

QUERY = "如何续借图书？ how long can a book be kept"
CANDIDATES = 50


def make(folder: Path) -> None:
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(bundle_folder())
    tokenizer.model_max_length = 512
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BertForSequenceClassification(config)
    model.classifier.weight.data *= 20
    model.save_pretrained(folder)


def main() -> None:
    compared = sys.argv[1:2] == ["precision"]
    threads = int(sys.argv[1]) if len(sys.argv) > 1 and not compared else 1
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    torch.set_num_threads(threads)
    from sentence_transformers import CrossEncoder

    with tempfile.TemporaryDirectory() as name:
        make(Path(name))
        ours = load_reranker(Path(name), device="cpu", precision="float32")
        mixed = load_reranker(Path(name), device="cpu", precision="bfloat16")
        theirs = CrossEncoder(name, device="cpu", model_kwargs={"dtype": torch.float32})

    def reference(texts: list[str]) -> np.ndarray:
        found = theirs.predict([(QUERY, text) for text in texts[:CANDIDATES]], activation_fn=torch.nn.Identity())
        return np.asarray(found)

    def mine(texts: list[str]) -> np.ndarray:
        return ours.score(QUERY, texts[:CANDIDATES])

    texts = mixed_texts(CANDIDATES, 99)
    difference = np.abs(mine(texts) - reference(texts)).max()
    print(
        f"quality guard: largest difference of two logits {difference:.1e} (at most 1e-4); their spread {mine(texts).std():.2f}"
    )
    if difference > 1e-4:
        sys.exit(1)
    if compared:
        found, exact = mixed.score(QUERY, texts), mine(texts)
        print(f"bfloat16 against float32: largest difference {np.abs(found - exact).max():.1e}, ", end="")
        print(f"correlation {np.corrcoef(found, exact)[0, 1]:.6f}")
        tasks = {
            "bfloat16": lambda: mixed.score(QUERY, texts),
            "float32": lambda: mine(texts),
            "sentence-transformers": lambda: reference(texts),
        }
        report(f"one query with {CANDIDATES} passages, per pair", CANDIDATES, cpu_seconds(tasks, pairs))
        return
    print(f"threads: {threads}; load average before: {Path('/proc/loadavg').read_text().split()[0]}")
    started = perf_counter()
    mine(texts)
    print(f"one query with {CANDIDATES} passages: {(perf_counter() - started) * 1000:.0f} ms")
    print(f"speed-up over sentence-transformers: {interval(ratios(mine, reference, pairs))}")
    print(f"sentence-transformers against itself: {interval(ratios(reference, reference, max(5, pairs // 2)))}")
    few = [text[:200] for text in texts[:5]]
    print(
        f"the same for 5 short passages: {interval(ratios(lambda _: mine(few), lambda _: reference(few), 3 * pairs))}"
    )


if __name__ == "__main__":
    main()
