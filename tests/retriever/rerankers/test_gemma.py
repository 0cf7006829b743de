"""The lightweight Gemma 2 reranker: cut off at a layer, scored by the head that the reference uses, soft-capped."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Gemma2Model

from quarry.indexer.errors import ModelError
from quarry.indexer.models.profiles import reranker_profile
from quarry.retriever.rerankers.cross_encoder import load_reranker
from tests.retriever.rerankers.test_rerankers import PASSAGES, QUERY, make

NAME = "BAAI/bge-reranker-v2.5-gemma2-lightweight"
START = 2


@pytest.fixture
def folder(tmp_path):
    make(tmp_path, "gemma2")
    weights = {
        name: value for name, value in load_file(tmp_path / "model.safetensors").items() if "lm_head" not in name
    }
    torch.manual_seed(5)
    weights |= {f"lm_head.{head}.linear_head.weight": torch.randn(1, 32) for head in range(2)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {
        "architectures": ["CostWiseGemmaForCausalLM"],
        "model_type": "cost_wise_gemma",
        "start_layer": START,
        "layer_sep": 1,
        "layer_wise": True,
        "auto_map": {"AutoModelForCausalLM": "gemma_model.CostWiseGemmaForCausalLM"},
    }
    config.pop("layer_types", None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "gemma_model.py").write_text("raise SystemExit('code from the folder ran')")
    return tmp_path


@pytest.mark.parametrize("cutoff", [2, 3])
def test_scores_are_those_of_the_reference(folder, tmp_path, cutoff):
    reranker = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=cutoff)
    plain = make(tmp_path / "plain", "gemma2")  # the same seed, so the same layers
    tokenizer, model = (
        AutoTokenizer.from_pretrained(plain),
        Gemma2Model.from_pretrained(plain, dtype=torch.float32).eval(),
    )
    head = load_file(folder / "model.safetensors")["lm_head.0.linear_head.weight"][0]
    cap = model.config.final_logit_softcapping

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    expected = []
    for passage in PASSAGES:
        tail = [*ids("\n"), *ids(reranker_profile(NAME).prompt)]
        tokens = [tokenizer.bos_token_id, *ids(f"A: {QUERY}"), *ids("\n"), *ids(f"B: {passage}")[:1024]]
        states = torch.tensor([[*tokens[: 1024 + len(tail)], *tail]])
        seen: list[torch.Tensor] = []
        hook = model.layers[cutoff - 1].register_forward_hook(
            lambda _m, _i, o, seen=seen: seen.append(o[0] if isinstance(o, tuple) else o)
        )
        with torch.no_grad():
            model(states)
            last = model.norm(seen[0])[0, -1]
        hook.remove()
        expected.append(float(cap * torch.tanh(last @ head / cap)))
    found = reranker.score(QUERY, PASSAGES)
    assert np.abs(found - expected).max() <= 1e-3
    mixed = load_reranker(folder, model_id=NAME, device="cpu", cutoff_layers=cutoff, precision="bfloat16")
    assert np.abs(mixed.score(QUERY, PASSAGES) - expected).max() <= 0.05 * np.ptp(expected)
    assert len(set(np.round(found, 4))) == len(PASSAGES)  # a canary: the passages matter


def test_a_layer_without_a_head_is_refused(folder):
    with pytest.raises(ModelError, match="the layer cutoff is 1; expected 2 to 3 in steps of 1"):
        load_reranker(folder, model_id=NAME, device="cpu", cutoff_layers=1)
