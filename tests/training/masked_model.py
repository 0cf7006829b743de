"""Tiny BERT, RoBERTa and XLM-R folders whose tokenizer has a mask token, with or without weights."""

from pathlib import Path
from typing import Any

from tests.training.tiny_model import LETTERS

SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")


def masked_model(folder: Path, kind: str = "bert", *, weights: bool = True, mask: bool = True) -> Path:
    """Write a folder: config and tokenizer of single characters, and random weights unless they are to be begun from the config."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        AutoModel,
        BertConfig,
        PreTrainedTokenizerFast,
        RobertaConfig,
        XLMRobertaConfig,
    )

    size: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "vocab_size": len(LETTERS) + 5,
        "max_position_embeddings": 140,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = {"bert": BertConfig, "roberta": RobertaConfig, "xlm-roberta": XLMRobertaConfig}[kind](**size)
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    if weights:
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    special = SPECIAL if mask else (*SPECIAL[:4], "[NOT]")
    words = {token: number for number, token in enumerate(special)} | {c: 5 + i for i, c in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    named = {"mask_token": "[MASK]"} if mask else {}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
        **named,
    ).save_pretrained(folder)
    return folder
