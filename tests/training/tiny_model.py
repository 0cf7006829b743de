"""Tiny random models with a tokenizer of single characters, and rows whose texts share a topic word: no download, fast."""

from pathlib import Path

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.models.format import write_profile
from quarry.training.examples.rows import TrainingRow

TOPICS = (
    "printer",
    "打印机",
    "garden",
    "花园",
    "budget",
    "预算",
    "bicycle",
    "自行车",
    "kitchen",
    "厨房",
    "window",
    "窗户",
)
LETTERS = sorted(set("".join(TOPICS) + "abcdefghijklmnopqrstuvwxyz0123456789?.: 怎么修理如何处理的说明第号"))


def tiny_model(folder: Path, architecture: str = "bert", *, seed: int = 0, dropout: float = 0.1) -> Path:
    """Write a model folder: `bert` with mean pooling, or `qwen3` with the last token."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

    torch.manual_seed(seed)
    size = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "vocab_size": len(LETTERS) + 4,
        "pad_token_id": 0,
        "max_position_embeddings": 300,
    }
    if architecture == "bert":
        model = BertModel(BertConfig(**size, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout))
    else:
        model = Qwen3Model(Qwen3Config(**size, num_key_value_heads=2, head_dim=8))
    model.save_pretrained(folder)
    words = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3} | {letter: 4 + i for i, letter in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=300,
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)
    bert = architecture == "bert"
    spec = EmbedderSpec(
        model=f"tests/tiny-{architecture}",
        revision="1",
        dim=32,
        max_tokens=300,
        pooling="mean" if bert else "last_token",
        query_format="query: {query}" if bert else "Instruct: find\nQuery:{query}",
        document_format="passage: {text}" if bert else "{text}",
    )
    write_profile(folder, spec)
    return folder


def topic_rows(count: int, *, first: int = 0, negatives: int = 1) -> list[TrainingRow]:
    """Return rows, half English and half Chinese: the query and its passage share a topic and a number."""
    rows = []
    for number in range(first, first + count):
        topic, other = TOPICS[number % 12], TOPICS[(number + 2) % 12]
        chinese = ord(topic[0]) > 255
        query = f"怎么修理{topic}{number}" if chinese else f"how to fix {topic} {number}?"
        text = f"{topic}的说明 第{number}号" if chinese else f"notes about the {topic} number {number}."
        rows.append(TrainingRow(query, (text,), tuple(f"{other} {number + 1 + extra}" for extra in range(negatives))))
    return rows
