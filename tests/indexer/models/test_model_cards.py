"""Every profile computes what its model card says: transformers and the card's own recipe are the reference."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import ModelError
from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.indexer.models.format import write_profile
from tests.indexer.models.tiny_models import TEXTS, make_model

KALM = "Instruct: Given a query, retrieve documents that answer the query"
BIDIRECTIONAL = ("mini-instruct-v2", "mini-instruct-v2.5")  # decoders whose tokens see what comes after them
# repository id, architecture, what the model card prepends to a query, what follows it, what it prepends to a passage, pooling
CARDS = [
    ("BAAI/bge-small-en-v1.5", "bert", "Represent this sentence for searching relevant passages: ", "", "", "cls"),
    ("BAAI/bge-large-zh-v1.5", "bert", "为这个句子生成表示以用于检索相关文章：", "", "", "cls"),
    ("BAAI/bge-large-zh-noinstruct", "bert", "", "", "", "cls"),
    ("BAAI/bge-m3", "xlm-roberta", "", "", "", "cls"),
    ("intfloat/multilingual-e5-small", "bert", "query: ", "", "passage: ", "mean"),
    ("intfloat/multilingual-e5-base", "xlm-roberta", "query: ", "", "passage: ", "mean"),
    (
        "BAAI/bge-multilingual-gemma2", "gemma2",
        "<instruct>Given a question, retrieve passages that answer the question.\n<query>", "", "", "last_token",
    ),
    (
        "BAAI/bge-en-icl", "mistral",
        "<instruct>Given a question, retrieve passages that answer the question.\n<query>", "\n<response>", "", "last_token",
    ),
    (
        "Qwen/Qwen3-Embedding-0.6B", "qwen3",
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:", "", "", "last_token",
    ),
    *(
        (f"HIT-TMG/KaLM-embedding-multilingual-mini-instruct-{version}", "qwen2", f"{KALM}. \n Query: ", "", "", "mean")
        for version in ("v1", "v1.5")
    ),
    ("HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v2", "qwen2", f"{KALM} \n Query: ", "", "", "mean"),
    ("KaLM-Embedding/KaLM-embedding-multilingual-mini-instruct-v2.5", "qwen2", f"{KALM} \n Query: ", "", "", "mean"),
    ("sentence-transformers/all-MiniLM-L6-v2", "bert", "", "", "", "mean"),
]  # fmt: skip  # a table


def reference(
    folder: Path, texts: list[str], pooling: str, length: int = 512, *, bidirectional: bool = False
) -> np.ndarray:
    """One text at a time, without padding, as the model cards describe; tokens as in `tokenizer.json`."""
    from transformers import AutoModel

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(length)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        nothing_hidden = torch.zeros(1, 1, ids.shape[1], ids.shape[1]) if bidirectional else None
        with torch.no_grad():
            states = model(input_ids=ids, attention_mask=nothing_hidden).last_hidden_state[0]
        row = {"cls": states[0], "last_token": states[-1], "mean": states.mean(dim=0)}[pooling]
        rows.append(torch.nn.functional.normalize(row, dim=0).numpy())
    return np.stack(rows)


@pytest.mark.parametrize(
    ("model", "architecture", "before", "after", "passage", "pooling"), CARDS, ids=[card[0] for card in CARDS]
)
def test_every_profile_computes_what_its_model_card_says(
    tmp_path, model, architecture, before, after, passage, pooling
):
    folder = make_model(tmp_path, architecture)
    embedder = load_embedder(folder, model_id=model, device="cpu:float32")
    assert embedder.spec.pooling == pooling
    queries, documents = embedder.embed_queries(TEXTS), embedder.embed_documents(TEXTS)
    length = min(512, embedder.spec.max_tokens)
    both = model.endswith(BIDIRECTIONAL)
    full_queries = [before + text + after for text in TEXTS]
    expected_queries = reference(folder, full_queries, pooling, length, bidirectional=both)
    expected_documents = reference(folder, [passage + text for text in TEXTS], pooling, length, bidirectional=both)
    assert (queries * expected_queries).sum(axis=1).min() >= 0.9999
    assert (documents * expected_documents).sum(axis=1).min() >= 0.9999
    if before != passage:
        assert np.abs(queries - documents).max() > 1e-3  # a canary: the instruction changes the vector


@pytest.mark.parametrize("flag", [{"is_causal": False}, {"use_bidirectional_attention": True}])
def test_a_decoder_looks_ahead_when_its_config_says_so(tmp_path, flag):
    folder = make_model(tmp_path, "qwen2")
    write_profile(folder, EmbedderSpec("me/tuned", "r", 32, 128, "mean"))
    config = json.loads((folder / "config.json").read_text())
    causal = load_embedder(folder, device="cpu:float32").embed_documents(TEXTS)
    assert (causal * reference(folder, TEXTS, "mean", 128)).sum(axis=1).min() >= 0.9999
    (folder / "config.json").write_text(json.dumps({**config, **flag}))
    found = load_embedder(folder, device="cpu:float32").embed_documents(TEXTS)
    (folder / "config.json").write_text(json.dumps(config))
    assert (found * reference(folder, TEXTS, "mean", 128, bidirectional=True)).sum(axis=1).min() >= 0.9999
    assert np.abs(found - causal).max() > 1e-3


def test_code_of_a_folder_is_neither_run_nor_quietly_replaced(tmp_path):
    """transformers takes its own class when a folder's code is not allowed; for KaLM v2 that means another attention."""
    folder = make_model(tmp_path, "qwen2")
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {"AutoModel": "modeling.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text("raise SystemExit('ran')")
    write_profile(folder, EmbedderSpec("me/unknown", "r", 32, 128, "mean"))
    with pytest.raises(ModelError, match="contains its own model code.*Read that code first"):
        load_embedder(folder, device="cpu")
    (folder / "quarry.json").unlink()
    known = "HIT-TMG/KaLM-embedding-multilingual-mini-instruct-v2"
    trusting = load_embedder(folder, model_id=known, device="cpu", options=EncoderOptions(trust_remote_code=True))
    assert trusting.embed_queries(["续借"]).shape == (1, 32)
