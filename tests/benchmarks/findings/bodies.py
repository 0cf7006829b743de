"""Small models to begin with: a layer of the offline model, or none of its weights; all with the pieces of its tokenizer in use."""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quarry.indexer.embedder import EmbedderSpec, Pooling
from quarry.indexer.models.format import write_profile
from quarry.indexer.models.loading import quiet_libraries

LAYERS = (0,)
_SPECIAL, _MASK = 4, "<mask>"
_SMALL: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "max_position_embeddings": 512,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}


def write_tokenizer(offline: Path, texts: Sequence[str], pieces: int, into: Path) -> list[int]:
    """Write the offline tokenizer with the pieces that texts use most; returns which these are. A mask token comes after them."""
    from tokenizers import Tokenizer

    content = json.loads((offline / "tokenizer.json").read_text(encoding="utf-8"))
    whole = Tokenizer.from_str(json.dumps(content))
    used: Counter[int] = Counter()
    for encoding in whole.encode_batch(list(texts), add_special_tokens=False):
        used.update(encoding.ids)
    vocab = content["model"]["vocab"]
    letters = Counter("".join(texts))
    single = [number for number, (piece, _) in enumerate(vocab) if len(piece) == 1 and letters[piece] > 1]
    often = [number for number, _ in used.most_common(pieces)]
    kept = [*range(_SPECIAL), *sorted({*single, *often} - set(range(_SPECIAL)))]
    content["model"]["vocab"] = [vocab[number] for number in kept]
    content["added_tokens"] += [{**content["added_tokens"][0], "id": len(kept), "content": _MASK}]
    into.mkdir(parents=True, exist_ok=True)
    (into / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    names = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "mask": _MASK}
    facts = {f"{name}_token": token for name, token in names.items()}
    facts |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": "512"}
    settings = facts | {"model_max_length": 512, "model_input_names": ["input_ids", "attention_mask"]}
    (into / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return kept


def write_layers(offline: Path, texts: Sequence[str], into: Path) -> None:
    """Write the first layers of the offline model, with the embeddings of the pieces in use."""
    import torch
    from transformers import AutoModel

    from quarry.training.recipes.small_encoder import smaller

    kept = write_tokenizer(offline, texts, 12_000, into)
    with quiet_libraries():
        teacher: Any = AutoModel.from_pretrained(offline, add_pooling_layer=False, dtype=torch.float32)
    student = smaller(teacher, LAYERS)
    table = student.embeddings.word_embeddings.weight.detach()[torch.tensor(kept)]
    table = torch.cat([table, table.mean(0, keepdim=True)])
    student.embeddings.word_embeddings = torch.nn.Embedding(len(table), table.shape[1], 1, _weight=table)
    student.config.vocab_size = len(table)
    student.save_pretrained(into)
    write_profile(into, _spec("layers", int(student.config.hidden_size), "mean", "query: {query}", "passage: {text}"))


def write_random(pieces: Path, into: Path, *, kind: str, seed: int) -> None:
    """Write a BERT or Qwen3 body of two layers whose weights the seed draws, with the tokenizer of a folder."""
    import torch
    from transformers import BertConfig, BertModel, Qwen3Config, Qwen3Model

    shutil.copytree(pieces, into)
    vocab = json.loads((into / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    size = {**_SMALL, "vocab_size": len(vocab) + 1}  # the mask token comes last
    torch.manual_seed(seed)
    model: Any
    if kind == "bert":
        model = BertModel(BertConfig(**size, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    else:
        model = Qwen3Model(Qwen3Config(**size, num_key_value_heads=2, head_dim=32))
    model.save_pretrained(into)
    write_profile(into, _spec(kind, size["hidden_size"], "cls" if kind == "bert" else "last_token"))


def as_decoder(folder: Path, *, pooling: Pooling, both_ways: bool, query_format: str = "{query}") -> None:
    """Change how a decoder's folder is used: its pooling, and whether tokens see those after them."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("is_causal", None)
    (folder / "config.json").write_text(json.dumps(config | ({"is_causal": False} if both_ways else {})))
    write_profile(folder, _spec("decoder", int(config["hidden_size"]), pooling, query_format))


def _spec(name: str, dim: int, pooling: Pooling, asked: str = "{query}", said: str = "{text}") -> EmbedderSpec:
    return EmbedderSpec(f"findings/{name}", "1", dim, 512, pooling, query_format=asked, document_format=said)
