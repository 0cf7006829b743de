"""Loading weights: Gemma 2's attention keeps its soft cap, whatever transformers would choose."""

import json

import pytest
import torch
from transformers import AutoModel, Gemma2Config, Gemma2Model
from transformers.models.gemma2 import modeling_gemma2

from quarry.indexer.models.loading import load_weights

IDS = torch.arange(1, 21)[None]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A Gemma 2 with a cap that matters, and a transformers that prefers fused attention for it, as 5.10 does."""
    monkeypatch.setattr(modeling_gemma2.Gemma2PreTrainedModel, "_supports_sdpa", True)
    torch.manual_seed(0)
    config = Gemma2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=50,
        intermediate_size=64,
        attn_logit_softcapping=0.5,
        query_pre_attn_scalar=1,
    )
    model = Gemma2Model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.5)
    model.save_pretrained(tmp_path)
    return tmp_path


def states(model):
    with torch.no_grad():
        return model(IDS).last_hidden_state


@pytest.mark.parametrize("how", ["config.json", "a config handed over"])
def test_the_soft_cap_of_attention_is_kept(folder, how):
    config = None if how == "config.json" else Gemma2Config.from_pretrained(folder)
    found = states(load_weights(AutoModel if config is None else Gemma2Model, folder, device="cpu", config=config))
    expected = states(Gemma2Model.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager"))
    assert torch.allclose(found, expected, atol=1e-6)


def test_the_cap_makes_a_difference(folder):
    capped = states(load_weights(AutoModel, folder, device="cpu"))
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "attn_logit_softcapping": None}))
    assert (states(load_weights(AutoModel, folder, device="cpu")) - capped).abs().max() > 0.01
