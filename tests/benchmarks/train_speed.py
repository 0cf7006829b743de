"""Throughput of `quarry train` at full size: `python -m tests.benchmarks.train_speed TOKENIZER PAIRS WORK [--device cuda] [--size base]`.

A BERT of the size of bge-base (12 layers, 768 dimensions) or bge-large whose weights are drawn by the seed, with the tokenizer of a folder
(`pieces` of the findings), trains on the pairs of a file (`pool.jsonl` of the findings) in each stage and precision. `--size 7b` is a
decoder of the shape of Qwen3-8B with the tokenizer's vocabulary, in bfloat16, trained with low-rank adapters. Seconds are those from
the second step to the last, whole steps with collation; model and checkpoints are written outside of them.
"""

import argparse
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.models.format import write_profile
from quarry.training.examples.row_files import RowFiles
from quarry.training.examples.rows import read_training_rows, write_training_rows
from quarry.training.examples.text_files import TextFiles
from quarry.training.fit.loop.progress import TrainProgress
from quarry.training.fit.stages import Stage, StageJob, stage_spec, train_stage

SIZES = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}
_HEADS = {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
DECODERS = {
    "7b-tiny": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, **_HEADS},
    "7b": {"hidden_size": 4096, "num_hidden_layers": 36, "intermediate_size": 12288, **_HEADS},
}


@dataclass(frozen=True, slots=True)
class Case:
    """One way to train.

    Attributes:
        stage: Of `quarry train`.
        steps: How many; the rows are as many batches.
        settings: What differs from the stage's own.
    """

    stage: Stage
    steps: int
    settings: Mapping[str, Any]


CASES = (
    Case("pretrain", 60, {"batch_size": 64}),
    Case("pretrain", 60, {"batch_size": 64, "precision": "float32"}),
    Case("general", 12, {"batch_size": 1024}),
    Case("general", 12, {"batch_size": 1024, "precision": "float32"}),
    Case("general", 4, {"batch_size": 8192, "mini_batch": 256}),
    Case("general", 4, {"batch_size": 8192, "mini_batch": 256, "gradient_checkpointing": True}),
    Case("general", 12, {"batch_size": 1024, "lora": {"rank": 32}, "learning_rate": 1e-4}),
)

_ADAPTERS = {"lora": {"rank": 32}, "gradient_checkpointing": True, "learning_rate": 1e-4}
DECODER_CASES = (
    Case("general", 10, {"batch_size": 32, **_ADAPTERS}),
    Case("general", 4, {"batch_size": 512, "mini_batch": 64, **_ADAPTERS}),
)


def write_decoder(tokenizer: Path, into: Path, size: str) -> None:
    """Write a decoder with random weights in bfloat16, whose last token is the vector."""
    import torch
    from transformers import Qwen3Config, Qwen3Model

    shutil.copytree(
        tokenizer,
        into,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("*.safetensors", "*.json.index", "quarry.json"),
    )
    vocab = len(json.loads((into / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])
    shape = DECODERS[size]
    config = Qwen3Config(vocab_size=vocab + 1, pad_token_id=1, max_position_embeddings=2048, dtype="bfloat16", **shape)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen3Model(config).to(torch.bfloat16)
    model.save_pretrained(into)
    spec = EmbedderSpec(
        model=f"random/{size}",
        revision="1",
        dim=shape["hidden_size"],
        max_tokens=512,
        pooling="last_token",
        query_format="Instruct: find\nQuery:{query}",
        document_format="{text}",
    )
    write_profile(into, spec)
    del model
    torch.cuda.empty_cache()


def write_model(tokenizer: Path, into: Path, size: str) -> None:
    """Write a config with a tokenizer."""
    shutil.copytree(tokenizer, into, dirs_exist_ok=True)
    vocab = json.loads((into / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    config = {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": len(vocab) + 1, "pad_token_id": 1}
    (into / "config.json").write_text(json.dumps({**config, **SIZES[size], "max_position_embeddings": 512}))


def measured(case: Case, model: Path, pairs: Path, work: Path, device: str) -> str:
    """Train and return a line of the table."""
    import torch

    batch = int(case.settings["batch_size"])
    rows = work / "rows.jsonl"
    write_training_rows(rows, list(islice(read_training_rows(pairs), batch * case.steps)))
    gpu = device != "cpu"
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    settings = {**case.settings, "checkpoint_steps": 0}
    times: list[tuple[int, float, float]] = []

    def observe(progress: TrainProgress) -> None:
        if progress.step and (not times or progress.step > times[-1][0]):
            times.append((progress.step, perf_counter(), progress.loss or 0.0))

    shutil.rmtree(work / "run", ignore_errors=True)
    data = TextFiles([rows]) if case.stage == "pretrain" else RowFiles.open([rows])
    spec = stage_spec(case.stage, settings, gpu=gpu)
    trained = train_stage(
        StageJob(case.stage, model, work / "run", settings, device=device), data, spec, observer=observe
    )
    (first, begun, _), (last, ended, loss) = times[0], times[-1]
    rate = batch * (last - first) / (ended - begun)
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if gpu else "-"
    precision = json.loads((trained.run / "config.json").read_text())["precision"]
    said = ", ".join(f"{key} {value}" for key, value in case.settings.items() if key != "precision")
    step = (ended - begun) / (last - first)
    return f"| {case.stage} | {said} | {precision} | {last} | {step:.2f} | {rate:,.0f} | {memory} | {loss:.2f} |"


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.train_speed", description=__doc__)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", default="base", choices=[*SIZES, *DECODERS])
    parser.add_argument("--batch", type=int, help="another batch size for all, for a trial")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    decoder = asked.size in DECODERS
    (write_decoder if decoder else write_model)(asked.tokenizer, asked.work / "model", asked.size)
    print("| stage | settings | precision | steps | seconds a step | rows a second | memory | last loss |", flush=True)
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for case in DECODER_CASES if decoder else CASES:
        own = dict(case.settings)
        if asked.batch:
            own |= {"batch_size": asked.batch, **({"mini_batch": asked.batch // 2} if "mini_batch" in own else {})}
        print(
            measured(Case(case.stage, case.steps, own), asked.work / "model", asked.pairs, asked.work, asked.device),
            flush=True,
        )


if __name__ == "__main__":
    main()
