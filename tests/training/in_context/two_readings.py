"""A family of tasks in which nothing but the examples says which of two readings is asked for.

A query is three numbers, `n3 n7 n1`. Read one way its answer is `x3 x7 x1`, read the other way `y3 y7 y1`; both are documents. Without
examples no model can be right for more than half of the queries.
"""

import random
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.models.few_shot import Shot
from quarry.indexer.models.format import write_profile
from quarry.training.examples.rows import TrainingRow

NUMBERS = 10
WIDTH = 3
FORMAT = "ask {query} answer "


def decoder(folder: Path, *, seed: int = 0) -> Path:
    """Write a tiny random decoder whose tokens are the words of this family."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

    torch.manual_seed(seed)
    words = ["[PAD]", "[UNK]", "[EOS]", "ask", "answer", *(f"{kind}{n}" for kind in "nxy" for n in range(NUMBERS))]
    config = Qwen3Config(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=128,
        vocab_size=len(words),
        pad_token_id=0,
        max_position_embeddings=400,
    )
    Qwen3Model(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [EOS]", pair="$A [EOS] $B [EOS]", special_tokens=[("[EOS]", 2)]
    )
    fast: Any = PreTrainedTokenizerFast
    fast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token="[EOS]",
        model_max_length=400,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    spec = EmbedderSpec("tests/two-readings", "1", 64, 400, "last_token", query_format=FORMAT)
    write_profile(folder, spec)
    return folder


def triples(count: int, seed: int) -> list[tuple[int, ...]]:
    """Return different triples of numbers, in an order that the seed draws."""
    every: list[tuple[int, ...]] = [(a, b, c) for a in range(NUMBERS) for b in range(NUMBERS) for c in range(NUMBERS)]
    random.Random(seed).shuffle(every)
    return every[:count]


def said(letter: str, triple: tuple[int, ...]) -> str:
    """Return a triple in the words of a letter: `n` for a query, `x` and `y` for its two answers."""
    return " ".join(f"{letter}{number}" for number in triple)


def task_rows(asked: list[tuple[int, ...]], letter: str) -> list[TrainingRow]:
    """Return rows of one reading; the other reading of the same query is the negative."""
    other = "y" if letter == "x" else "x"
    return [TrainingRow(said("n", one), (said(letter, one),), (said(other, one),), kind=letter) for one in asked]


def shots(letter: str, asked: list[tuple[int, ...]]) -> tuple[Shot, ...]:
    """Return examples of one reading."""
    return tuple(Shot(said("n", one), said(letter, one)) for one in asked)


EVERY = triples(1000, 0)
TRAINED, HELD, SHOWN = EVERY[:880], EVERY[880:950], EVERY[950:]
SPEC = {
    "epochs": 9,
    "batch_size": 32,
    "learning_rate": 3e-3,
    "loss": {"temperature": 0.05, "hard_negatives": 1},
    "batches": {"order": "homogeneous"},
    "in_context": {},
    "token_budget": 8192,
    "checkpoint_steps": 0,
    "precision": "float32",
}
