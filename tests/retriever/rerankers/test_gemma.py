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
from tests.retriever.rerankers.tiny_rerankers import PASSAGES, QUERY, make

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


def plain_score(model, head, tokens, first, last, cutoff, ratio, layers):
    """Score one pair as the paper tells it, alone and without padding; `first` and `last` tokens are not compressed."""
    states = model.embed_tokens(torch.tensor([tokens]))
    if not hasattr(model.embed_tokens, "embed_scale"):
        states = states * model.config.hidden_size**0.5
    for number in range(cutoff):
        if number in layers and number and ratio > 1:
            passage = states[0, first : states.shape[1] - last]
            means = [passage[at : at + ratio].mean(dim=0) for at in range(0, len(passage), ratio)]
            states = torch.cat([states[0, :first], torch.stack(means), states[0, states.shape[1] - last :]])[None]
        length = states.shape[1]
        places = torch.arange(length)[None]
        mask = torch.full((length, length), -1e9).triu(1)[None, None]
        given = model.layers[number](
            states,
            attention_mask=mask,
            position_ids=places,
            position_embeddings=model.rotary_emb(states, places),
        )
        states = given[0] if isinstance(given, tuple) else given
    cap = model.config.final_logit_softcapping
    return float(cap * torch.tanh(model.norm(states)[0, -1] @ head / cap))


@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
@pytest.mark.parametrize("layers", [[2], [1], [1, 2]])
def test_compressed_scores_are_those_of_a_plain_reference_and_cost_less(folder, tmp_path, ratio, layers):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"compress_layers": layers}))
    reranker = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=3, compress=ratio)
    plain = make(tmp_path / "plain", "gemma2")
    model = Gemma2Model.from_pretrained(plain, dtype=torch.float32, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(plain)
    head = load_file(folder / "model.safetensors")["lm_head.0.linear_head.weight"][0]
    first = 1 + len(tokenizer.tokenize(f"A: {QUERY}")) + 1
    last = 1 + len(tokenizer.tokenize(reranker_profile(NAME).prompt))
    with torch.no_grad():
        expected = [
            plain_score(model, head, ids, first, last, 3, ratio, layers) for ids in reranker.inputs(QUERY, PASSAGES)
        ]
    assert np.abs(reranker.score(QUERY, PASSAGES) - expected).max() <= 1e-4
    costs = [flops(folder, one) for one in (1, ratio)]
    assert costs[1] < costs[0] if ratio > 1 else costs[1] == costs[0]
    if ratio > 1:
        assert costs[1] < flops(folder, ratio // 2)


def flops(folder, ratio):
    """Return the multiplications of all linear layers while one long pair is scored, counted by hooks."""
    reranker = load_reranker(folder, model_id=NAME, device="cpu:float32", cutoff_layers=3, compress=ratio)
    counted = []

    def count(module, given, _):
        counted.append(given[0].numel() * module.out_features)

    hooks = [
        module.register_forward_hook(count)
        for module in reranker._scorer._model.modules()
        if isinstance(module, torch.nn.Linear)
    ]
    reranker.score(QUERY, [PASSAGES[3]])
    for hook in hooks:
        hook.remove()
    return sum(counted)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"compress": 3}, r"the compression is 3; expected one of 1, 2, 4, 8"),
        ({"compress": 2}, "compresses before layer 8, and is cut off at layer 3; expected a later cutoff"),
    ],
)
def test_a_compression_that_cannot_be_is_refused(folder, given, message):
    with pytest.raises(ModelError, match=message):
        load_reranker(folder, model_id=NAME, device="cpu", cutoff_layers=3, **given)


def test_other_rerankers_take_no_compression(tmp_path):
    with pytest.raises(ModelError, match="always run whole; expected a layerwise decoder reranker"):
        load_reranker(make(tmp_path / "a", "bert"), device="cpu", compress=2)
    with pytest.raises(ModelError, match="was not trained to have its tokens compressed"):
        load_reranker(make(tmp_path / "b", "gemma"), model_id="BAAI/bge-reranker-v2-gemma", device="cpu", compress=2)
