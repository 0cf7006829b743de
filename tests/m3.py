"""A tiny random bge-m3: XLM-R with the two heads, as BAAI's folder has them, and its scores in plain torch."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModel

from tests.indexer.models.tiny_models import SMALL, make_model

HIDDEN = SMALL["hidden_size"]
UNUSED = (0, 1, 2, 3)  # padding, start, end, unknown


def make_m3(folder: Path, *, pickled: bool = False, seed: int = 3, bias: float = 0.1) -> Path:
    """Save the model; with `pickled` its heads are `.pt` files in half precision, as released, else safetensors."""
    make_model(folder, "xlm-roberta")
    torch.manual_seed(seed)
    for name, outputs in (("colbert_linear", HIDDEN), ("sparse_linear", 1)):
        head = torch.nn.Linear(HIDDEN, outputs)
        torch.nn.init.constant_(head.bias, bias)
        state = head.half().state_dict()
        if pickled:
            torch.save(state, folder / f"{name}.pt")
        else:
            save_file(state, folder / f"{name}.safetensors")
    return folder


def states(folder: Path, text: str) -> tuple[list[int], torch.Tensor]:
    """Return the token ids of a text, with special tokens, and their last states by transformers."""
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        return ids, model(input_ids=torch.tensor([ids])).last_hidden_state[0]


def plain_m3(folder: Path, text: str, *, seed: int = 3, bias: float = 0.1) -> tuple[np.ndarray, dict, np.ndarray]:
    """Return vector, weights by token id and token vectors, as section 3.2 of the paper defines them."""
    torch.manual_seed(seed)
    heads = [torch.nn.Linear(HIDDEN, outputs) for outputs in (HIDDEN, 1)]
    for head in heads:
        torch.nn.init.constant_(head.bias, bias)
    multi, sparse = (head.half().float() for head in heads)
    ids, hidden = states(folder, text)
    with torch.inference_mode():
        vector = torch.nn.functional.normalize(hidden[0], dim=0).numpy()
        tokens = torch.nn.functional.normalize(multi(hidden[1:]), dim=1).numpy()
        weights: dict[int, float] = {}
        for token, weight in zip(ids, torch.relu(sparse(hidden)).squeeze(1).tolist(), strict=True):
            if token not in UNUSED and weight > weights.get(token, 0):
                weights[token] = weight
    return vector, weights, tokens


def plain_scores(folder: Path, query: str, passage: str) -> tuple[float, float, float]:
    """Return dense, sparse and multi-vector similarity."""
    (v, w, t), (pv, pw, pt) = plain_m3(folder, query), plain_m3(folder, passage)
    return float(v @ pv), sum(w[token] * pw[token] for token in w if token in pw), float((t @ pt.T).max(axis=1).mean())
