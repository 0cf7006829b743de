"""Speed of training steps against sentence-transformers: `python -m tests.benchmarks.training [THREADS] [ROUNDS] [MODES]`.

Offline model in fp32, ../shared/data; batches of 32 queries of at most 32 tokens with one positive and one hard negative of at
most 128. A step is collation, forward, backward, clipping and AdamW. Modes take turns on the same rows in one process, so that
other load on the machine falls on all; reported are medians of the paired ratios of processor time, with the smallest and the largest. On
one thread that time hardly depends on what else the machine does; on several, threads that wait for each other count too.

Modes: `st` is sentence-transformers' own collator and MultipleNegativesRankingLoss (one length for all columns: 128); `plain`
is ours; `cached` is ours with mini batches of 8 (GradCache); `frozen` is ours without gradients for the token embeddings;
`still` is ours without dropout, which lets torch use its fused attention on a CPU; `still-st` is sentence-transformers so; `spared`
is frozen and still, as on processors by default, and `bfloat16` the same in mixed precision.
"""

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from quarry.indexer.models.offline_bundle import bundle_folder
from quarry.training.examples.rows import TrainingRow
from quarry.training.fit.loop.trainer import ContrastiveLoss
from quarry.training.fit.models.trainable import Trainable, open_trainable
from quarry.training.fit.rows.batches import Draw
from quarry.training.fit.rows.collation import Collator
from quarry.training.fit.spec import LossSpec, TrainSpec

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
BATCH = 32
SPEC = TrainSpec(
    precision="float32",
    batch_size=BATCH,
    loss=LossSpec(hard_negatives=1, temperature=0.05, false_negative_margin=None),
    max_query_tokens=32,
    max_passage_tokens=128,
)
Step = Callable[[list[TrainingRow]], float]


def rows_of(count: int) -> list[TrainingRow]:
    """Chinese and English pairs by turns; the negative is another pair's passage, and no text comes twice in a batch."""
    pairs: list[list[tuple[str, str]]] = []
    for name in ("train-pairs-zh", "train-pairs-en"):
        with gzip.open(DATA / name / "train.jsonl.gz", "rt", encoding="utf-8") as handle:
            found = [json.loads(line) for line, _ in zip(handle, range(2 * count), strict=False)]
        pairs.append([(row["query"], row["pos"][0]) for row in found])
    rows: list[TrainingRow] = []
    for number in range(count // 2):
        rows += [TrainingRow(side[number][0], (side[number][1],), (side[count + number][1],)) for side in pairs]
    return rows


def optimised(opened: Trainable, loss_of: Callable[[list[TrainingRow]], torch.Tensor]) -> Step:
    """Return a whole step around a loss."""
    weights = [weight for weight in opened.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-7, fused=True)

    def step(rows: list[TrainingRow]) -> float:
        opened.model.train()
        loss = loss_of(rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        opened.model.zero_grad()
        return float(loss.detach())

    return step


def ours(spec: TrainSpec) -> Step:
    opened = open_trainable(bundle_folder(), spec, device="cpu")
    loss = ContrastiveLoss(opened.model, spec)

    def loss_of(rows: list[TrainingRow]) -> torch.Tensor:
        batch = Collator(rows, spec, opened.tokenizer, opened.shape)([Draw(i, 0, (0,)) for i in range(len(rows))])
        names = ("input_ids", "attention_mask")
        features = [{key: batch[f"{name}_{key}"] for key in names} for name in ("query", "passage")]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=spec.precision == "bfloat16"):
            return loss(features, batch["label"])

    return optimised(opened, loss_of)


def theirs(spec: TrainSpec) -> Step:
    opened = open_trainable(bundle_folder(), spec, device="cpu")
    model = opened.model
    model.max_seq_length = 128
    loss = MultipleNegativesRankingLoss(model, scale=20.0)
    prompts = {"query": "query: ", "positive": "passage: ", "negative": "passage: "}
    collate = SentenceTransformerDataCollator(preprocess_fn=model.preprocess, prompts=prompts)

    def loss_of(rows: list[TrainingRow]) -> torch.Tensor:
        batch = collate([{"query": row.query, "positive": row.pos[0], "negative": row.neg[0]} for row in rows])
        names = ("input_ids", "attention_mask")
        features = [{key: batch[f"{name}_{key}"] for key in names} for name in prompts]
        return loss(features, None)

    return optimised(opened, loss_of)


def made(mode: str) -> Step:
    changes = {
        "cached": {"mini_batch": 8},
        "frozen": {"freeze_embeddings": True},
        "still": {"dropout": 0.0},
        "spared": {"dropout": 0.0, "freeze_embeddings": True, "precision": "float32"},
        "bfloat16": {"dropout": 0.0, "freeze_embeddings": True, "precision": "bfloat16"},
        "still-st": {"dropout": 0.0},
    }.get(mode, {})
    spec = SPEC.model_copy(update=changes)
    return theirs(spec) if mode.endswith("st") else ours(spec)


def main() -> None:
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    modes = sys.argv[3].split(",") if len(sys.argv) > 3 else ["plain", "st", "cached", "frozen", "still", "still-st"]
    torch.set_num_threads(threads)
    steps = {mode: made(mode) for mode in modes}
    rows = rows_of(BATCH * (rounds + 1))
    times: dict[str, list[float]] = {mode: [] for mode in modes}
    for number in range(rounds + 1):
        batch = rows[number * BATCH : (number + 1) * BATCH]
        for mode in modes if number % 2 == 0 else modes[::-1]:
            torch.manual_seed(number)
            began, started = perf_counter(), process_time()
            loss = steps[mode](batch)
            taken, wall = process_time() - started, perf_counter() - began
            line = f"round {number} {mode:9s} {taken:7.2f} s of the processor, {wall:7.2f} s  loss {loss:.4f}"
            print(line, file=sys.stderr, flush=True)
            if number:  # the first one warms up
                times[mode].append(taken)
    first = np.array(times[modes[0]])
    for mode in modes:
        ratio = np.array(times[mode]) / first
        print(
            f"{mode:9s} {BATCH / np.median(times[mode]):6.2f} queries per second of the processor, {np.median(ratio):.2f} times as long as {modes[0]} "
            f"({ratio.min():.2f} to {ratio.max():.2f})"
        )


if __name__ == "__main__":
    main()
