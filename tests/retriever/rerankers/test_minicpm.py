"""The layer-wise MiniCPM reranker against its architecture written out in plain torch, layer by layer."""

import json
from math import sqrt

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import linear, silu

from quarry.indexer.errors import ModelError
from quarry.retriever.rerankers.cross_encoder import load_reranker
from quarry.retriever.rerankers.depth import DepthError, reranker_at
from tests.retriever.rerankers.tiny_rerankers import CHARACTERS, PASSAGES, QUERY, make

NAME = "BAAI/bge-reranker-v2-minicpm-layerwise"
HIDDEN, HEADS, LAYERS, START, INNER = 32, 4, 5, 2, 48
CONFIG = {
    "architectures": ["LayerWiseMiniCPMForCausalLM"], "model_type": "minicpm", "vocab_size": len(CHARACTERS) + 5,
    "auto_map": {"AutoModelForCausalLM": "modeling_minicpm_reranker.LayerWiseMiniCPMForCausalLM"},
    "hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "num_hidden_layers": LAYERS,
    "intermediate_size": INNER, "hidden_act": "silu", "rms_norm_eps": 1e-5, "max_position_embeddings": 2048,
    "rope_theta": 10_000.0, "rope_scaling": None, "attention_bias": False, "scale_emb": 12, "scale_depth": 1.4,
    "dim_model_base": 8, "head_multi": True, "head_type": "simple", "start_layer": START,
}  # fmt: skip  # a table


@pytest.fixture
def folder(tmp_path):
    make(tmp_path, "llama")  # for the tokenizer
    torch.manual_seed(3)
    weights = {
        "model.embed_tokens.weight": torch.randn(CONFIG["vocab_size"], HIDDEN),
        "model.norm.weight": torch.rand(HIDDEN) + 0.5,
    }
    for layer in range(LAYERS):
        shapes = {f"self_attn.{part}_proj": (HIDDEN, HIDDEN) for part in "qkvo"}
        shapes |= {"mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER)}
        weights |= {f"model.layers.{layer}.{part}.weight": torch.randn(shape) / 3 for part, shape in shapes.items()}
        for part in ("input_layernorm", "post_attention_layernorm"):
            weights[f"model.layers.{layer}.{part}.weight"] = torch.rand(HIDDEN) + 0.5
    weights |= {f"lm_head.{head}.linear_head.weight": torch.randn(1, HIDDEN) for head in range(LAYERS - START + 1)}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "modeling_minicpm_reranker.py").write_text("raise SystemExit('code from the folder ran')")
    return tmp_path


def norm(states, weight):
    return states * torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + 1e-5) * weight


def rotate(states):
    size = HIDDEN // HEADS
    angles = torch.arange(states.shape[1])[:, None] / 10_000 ** (torch.arange(0, size, 2) / size)
    cos, sin = torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()
    first, second = states[..., : size // 2], states[..., size // 2 :]
    return states * cos + torch.cat([-second, first], -1) * sin


def reference(weights, ids, cutoff):
    scale, states = 1.4 / sqrt(LAYERS), weights["model.embed_tokens.weight"][ids] * 12
    causal = torch.full((len(ids), len(ids)), float("-inf")).triu(1)
    for layer in range(cutoff):
        part = {name.split(f"layers.{layer}.")[1][:-7]: w for name, w in weights.items() if f".layers.{layer}." in name}
        normed = norm(states, part["input_layernorm"])
        q, k, v = (linear(normed, part[f"self_attn.{n}_proj"]).view(len(ids), HEADS, -1).transpose(0, 1) for n in "qkv")
        attention = (rotate(q) @ rotate(k).transpose(1, 2) / sqrt(HIDDEN // HEADS) + causal).softmax(-1) @ v
        states = states + scale * linear(attention.transpose(0, 1).reshape(len(ids), HIDDEN), part["self_attn.o_proj"])
        normed = norm(states, part["post_attention_layernorm"])
        inner = silu(linear(normed, part["mlp.gate_proj"])) * linear(normed, part["mlp.up_proj"])
        states = states + scale * linear(inner, part["mlp.down_proj"])
    last = norm(states, weights["model.norm.weight"])[-1]
    return float(last @ weights[f"lm_head.{cutoff - START}.linear_head.weight"][0])


@pytest.mark.parametrize("cutoff", [START, 3, LAYERS])
def test_each_cutoff_gives_the_logit_of_its_own_head_without_running_the_folders_code(folder, cutoff):
    reranker = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=cutoff)
    weights = load_file(folder / "model.safetensors")
    expected = [reference(weights, ids, cutoff) for ids in reranker.inputs(QUERY, PASSAGES)]
    found = reranker.score(QUERY, PASSAGES)
    assert np.abs(found - expected).max() <= 1e-4
    mixed = load_reranker(folder, model_id=NAME, device="cpu", cutoff_layers=cutoff, precision="bfloat16")
    assert np.abs(mixed.score(QUERY, PASSAGES) - expected).max() <= 0.05 * np.ptp(expected)
    assert list(np.argsort(found)) == list(np.argsort(expected))
    assert len(set(np.round(found, 3))) == len(PASSAGES)
    assert reranker.inputs(QUERY, ["x"])[0][0] == 1  # <s>


def test_a_cutoff_without_a_head_is_refused(folder):
    with pytest.raises(ModelError, match="the layer cutoff is 1; expected 2 to 5, the layers with a head"):
        load_reranker(folder, model_id=NAME, device="cpu", cutoff_layers=1)
    with pytest.raises(ModelError, match="the layer cutoff is 28; expected 2 to 5"):
        load_reranker(folder, model_id=NAME, device="cpu")  # the released model's default


@pytest.mark.parametrize(
    ("key", "value"), [("head_type", "raw"), ("rope_scaling", {"type": "linear"}), ("attention_bias", True)]
)
def test_other_settings_than_the_released_ones_are_refused(folder, key, value):
    (folder / "config.json").write_text(json.dumps({**CONFIG, key: value}))
    with pytest.raises(ModelError, match="as the released one has"):
        load_reranker(folder, model_id=NAME, device="cpu", cutoff_layers=3)


def test_a_missing_head_or_layer_is_not_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    kept = {name: w for name, w in weights.items() if name != "lm_head.1.linear_head.weight"}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"has no lm_head\.1\.linear_head\.weight"):
        load_reranker(folder, model_id=NAME, device="cpu", cutoff_layers=3)
    kept = {name: w for name, w in weights.items() if "layers.2.mlp" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 3 weights"):
        load_reranker(folder, model_id=NAME, device="cpu", cutoff_layers=3)


def test_heads_are_found_in_sharded_weights(folder):
    weights = load_file(folder / "model.safetensors")
    expected = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=3).score(QUERY, PASSAGES)
    names = {"model-00001-of-00002.safetensors": [], "model-00002-of-00002.safetensors": []}
    for name in weights:
        names["model-00002-of-00002.safetensors" if "lm_head" in name else "model-00001-of-00002.safetensors"].append(
            name
        )
    for file, parts in names.items():
        save_file({name: weights[name] for name in parts}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, parts in names.items() for name in parts}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    found = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=3).score(QUERY, PASSAGES)
    assert np.array_equal(found, expected)


def test_a_loaded_model_can_be_asked_at_a_lower_depth_and_at_no_higher_one(folder):
    whole = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=4)
    for layers in (2, 3, 4):
        alone = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=layers)
        found = reranker_at(whole, layers, None).score(QUERY, PASSAGES)
        assert np.abs(found - alone.score(QUERY, PASSAGES)).max() <= 1e-3
    with pytest.raises(DepthError, match="the layer cutoff is 5; expected 2 to 4"):
        reranker_at(whole, 5, None)
    with pytest.raises(DepthError, match="not trained to have its tokens compressed"):
        reranker_at(whole, None, 2)
