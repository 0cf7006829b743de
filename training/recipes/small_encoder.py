"""Distill a smaller encoder from layers of a larger one: `python -m quarry.training.recipes.small_encoder MODEL INTO TEXTS...`.

The student has some of the teacher's layers and its token embeddings, which are not trained. It learns, from texts without any
judgement, to give the teacher's vectors, the teacher's token states, and the teacher's similarities within a batch, the last from
its first 384, 256, 128 and 64 dimensions as well (Matryoshka: Kusupati et al., NeurIPS 2022):

    loss = 10 (1 - cosine of vectors) + 2 (1 - cosine of token states) + 0.25 sum over dims of KL(teacher's similarities, student's)

docs/results/gpu.md has what came of it for the offline model, which is why no such model ships.
"""

import argparse
import gzip
import json
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from quarry.indexer.models.folder import check_folder
from quarry.indexer.models.loading import load_tokenizer, quiet_libraries

DIMS = (384, 256, 128, 64)
_BATCH_TOKENS, _BATCH_TEXTS = {"cpu": 4096, "cuda": 49152}, 1024
_RATE, _WARM_UP = 6e-4, 0.05  # the share of steps in which the rate rises
_TEMPERATURE = 0.02
_LONGEST = 256  # tokens of a text


@dataclass(frozen=True)
class Plan:
    """What to distill.

    Attributes:
        layers: Layers of the teacher that the student begins with, from 0.
        steps: Batches to train on.
        device: cpu or cuda.
        seed: Of the order of batches.
    """

    layers: tuple[int, ...]
    steps: int = 5000
    device: str = "cpu"
    seed: int = 0


def read_texts(path: Path) -> Iterator[str]:
    """Return the texts of a file of pairs (`query`, `pos`) or of a corpus (`title`, `text`), in the format of E5 models."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if "query" in row:
                yield f"query: {row['query']}"
                yield from (f"passage: {text}" for text in row["pos"])
            else:
                yield f"passage: {row.get('title', '')}\n{row['text']}"


def smaller(teacher: Any, layers: Sequence[int]) -> Any:
    """Return a model of the teacher's class with some of its layers.

    Raises:
        ValueError: If a layer is not the teacher's.
    """
    depth = teacher.config.num_hidden_layers
    if not layers or not all(0 <= number < depth for number in layers):
        raise ValueError(f"layers {list(layers)}; expected some of 0 to {depth - 1}")
    config = type(teacher.config)(**{**teacher.config.to_dict(), "num_hidden_layers": len(layers)})
    student = type(teacher)(config, add_pooling_layer=False)
    student.embeddings.load_state_dict(teacher.embeddings.state_dict())
    for place, number in enumerate(layers):
        student.encoder.layer[place].load_state_dict(teacher.encoder.layer[number].state_dict())
    student.embeddings.word_embeddings.weight.requires_grad_(False)
    return student.float().eval()  # without dropout, which the teacher does not have either


def batches(lengths: Sequence[int], tokens: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Return numbers of texts without end: texts of like length together, batches in random order."""
    while True:
        order = np.argsort(np.asarray(lengths) + rng.uniform(-8, 8, len(lengths)))
        made: list[list[int]] = [[]]
        for number in order:
            if made[-1] and (lengths[number] * (len(made[-1]) + 1) > tokens or len(made[-1]) == _BATCH_TEXTS):
                made.append([])
            made[-1].append(int(number))
        for place in rng.permutation(len(made)):
            yield made[place]


def loss_of(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
    """Return the loss of a batch, from vectors (n, dim) and token states (n_tokens, dim) of both, all of unit length."""
    (vectors, states), (right_vectors, right_states) = student, teacher
    loss = 10 * (1 - (vectors * right_vectors).sum(1).mean()) + 2 * (1 - (states * right_states).sum(1).mean())
    others = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    right = (right_vectors @ right_vectors.T / _TEMPERATURE).masked_fill(others, -1e4).softmax(1)
    for dim in DIMS:
        short = functional.normalize(vectors[:, :dim], dim=1)
        own = (short @ short.T / _TEMPERATURE).masked_fill(others, -1e4).log_softmax(1)
        loss = loss + 0.25 * functional.kl_div(own, right, reduction="batchmean")
    return loss


def distill(teacher: Any, rows: Sequence[Sequence[int]], plan: Plan) -> Any:
    """Train a student on texts as token ids; ten lines of progress go to stderr.

    Raises:
        ValueError: If there are fewer than two texts.
    """
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} texts; expected thousands")
    torch.manual_seed(plan.seed)
    teacher, student = teacher.to(plan.device).eval(), smaller(teacher, plan.layers).to(plan.device)
    weights = [weight for weight in student.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=_RATE, weight_decay=0.01)
    feed = batches([len(row) for row in rows], _BATCH_TOKENS[plan.device], np.random.default_rng(plan.seed))
    for step in range(plan.steps):
        done = step / plan.steps
        rate = min(1.0, (done + 1 / plan.steps) / _WARM_UP) * max(0.02, (1 + math.cos(math.pi * done)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = _RATE * rate
        ids, mask = _padded([rows[number] for number in next(feed)], plan.device)
        with torch.autocast(plan.device, dtype=torch.bfloat16, enabled=plan.device == "cuda"):
            with torch.no_grad():
                right = _outputs(teacher, ids, mask)
            loss = loss_of(_outputs(student, ids, mask), right)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own annotation
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        if step % max(1, plan.steps // 10) == 0:
            print(f"step {step}/{plan.steps}, loss {loss.item():.4f}", file=sys.stderr)  # noqa: T201 (a script)
    return student


def _padded(rows: Sequence[Sequence[int]], device: str) -> tuple[Tensor, Tensor]:
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    return ids, mask


def _outputs(model: Any, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return functional.normalize(pooled, dim=1), functional.normalize(states[mask.bool()], dim=1)


def write_student(student: Any, teacher_folder: Path, into: Path) -> None:
    """Write the student in half precision beside the teacher's tokenizer and formats.

    Raises:
        FileExistsError: If `into` is there already.
    """
    kept = ("*.safetensors", "contents.json", "config.json")
    shutil.copytree(teacher_folder, into, ignore=shutil.ignore_patterns(*kept))
    with quiet_libraries():
        student.half().save_pretrained(into)
    profile = into / "quarry.json"
    if profile.is_file():
        facts = json.loads(profile.read_text(encoding="utf-8"))
        facts["model"] = f"{facts['model']}, {student.config.num_hidden_layers} layers"
        profile.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, distill, write."""
    from transformers import AutoModel

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="folder of a BERT model with mean pooling")
    parser.add_argument("into", type=Path, help="folder to write")
    parser.add_argument("texts", type=Path, nargs="+", help="files of pairs or corpora, jsonl or jsonl.gz")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 4, 8, 11])
    parser.add_argument("--steps", type=int, default=5000)
    asked = parser.parse_args(arguments)
    tokenizer = load_tokenizer(asked.model, check_folder(asked.model)).backend_tokenizer
    tokenizer.enable_truncation(_LONGEST)
    texts = list(dict.fromkeys(text for path in asked.texts for text in read_texts(path)))
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    with quiet_libraries():
        teacher = AutoModel.from_pretrained(asked.model, add_pooling_layer=False, dtype=torch.float32)
    plan = Plan(tuple(asked.layers), asked.steps, "cuda" if torch.cuda.is_available() else "cpu")
    write_student(distill(teacher, rows, plan), asked.model, asked.into)


if __name__ == "__main__":
    main()
