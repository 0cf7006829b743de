"""Tiny rerankers of every kind, with random weights, and what they are asked."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

QUERY = "怎么 renew a book?"
PASSAGES = [
    "Books are renewed online.",
    "续借 网上 办理",
    "x",
    "long passage about filament and 打印机 " * 40,
    "renew a book",
]
CHARACTERS = sorted(set(QUERY + "".join(PASSAGES) + "".join(chr(c) for c in range(32, 127)) + "\n"))
SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": len(CHARACTERS) + 5,
}
DECODER = {**SIZE, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 4096, "pad_token_id": 0}
DECODERS = ("gemma", "gemma2", "llama")
MODELS = {
    "xlm-roberta": lambda: XLMRobertaForSequenceClassification(
        XLMRobertaConfig(**SIZE, num_labels=1, max_position_embeddings=514, pad_token_id=0)
    ),
    "bert": lambda: BertForSequenceClassification(
        BertConfig(**SIZE, num_labels=1, max_position_embeddings=512, pad_token_id=0)
    ),
    "two-labels": lambda: BertForSequenceClassification(
        BertConfig(**SIZE, num_labels=2, max_position_embeddings=512, pad_token_id=0)
    ),
    "encoder": lambda: BertModel(BertConfig(**SIZE, max_position_embeddings=512, pad_token_id=0)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**DECODER)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**DECODER)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**DECODER, tie_word_embeddings=False)),
}


def make(folder, kind):
    torch.manual_seed(1)
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "Yes": 4, **{c: i + 5 for i, c in enumerate(CHARACTERS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_tokens(["Yes"])
    if kind not in DECODERS:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s>:0 $A:0 </s>:0 $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"]
        if kind == "xlm-roberta"
        else ["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)
    model = MODELS[kind]()
    for name, weight in model.named_parameters():
        if "classifier" in name:
            weight.data *= 20  # so that passages differ by more than rounding
    model.save_pretrained(folder)
    return folder
