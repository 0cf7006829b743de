"""Tiny models of every architecture, with random weights."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    Gemma2Config,
    Gemma2Model,
    MistralConfig,
    MistralModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2Model,
    Qwen3Config,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaModel,
)

TEXTS = [
    "How do I renew a book?",
    "怎么续借图书？",
    "short",
    "a much longer passage, with many words, about printers and 打印机 and filament of 1.75 mm " * 4,
    "",
]
WORDS = sorted(
    set(
        "".join(TEXTS)
        + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:<>,.!?'\n 为这个句子生成表示以用于检索相关文章："
    )
)
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": len(WORDS) + 4,
}
DECODER = {**SMALL, "num_key_value_heads": 2, "max_position_embeddings": 600, "pad_token_id": 0, "head_dim": 8}
ARCHITECTURES = {
    "bert": lambda: BertModel(BertConfig(**SMALL, max_position_embeddings=600, pad_token_id=0)),
    "xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**SMALL, max_position_embeddings=602, pad_token_id=0)),
    "mistral": lambda: MistralModel(MistralConfig(**DECODER)),
    "gemma2": lambda: Gemma2Model(Gemma2Config(**DECODER)),
    "qwen2": lambda: Qwen2Model(Qwen2Config(**{k: v for k, v in DECODER.items() if k != "head_dim"})),
    "qwen3": lambda: Qwen3Model(Qwen3Config(**DECODER)),
}


def make_model(folder: Path, architecture: str) -> Path:
    """Save a tiny random model with a character tokenizer that adds <s> and </s>."""
    torch.manual_seed(0)
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, **{c: i + 4 for i, c in enumerate(WORDS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    ARCHITECTURES[architecture]().save_pretrained(folder)
    return folder
