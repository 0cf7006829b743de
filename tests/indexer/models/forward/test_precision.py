"""bfloat16 where the processor has it: what is chosen, what is converted, and that vectors stay what they were in float32."""

import numpy as np
import pytest
import torch

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import ModelError
from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.indexer.models.format import write_profile
from quarry.indexer.models.forward.precision import Compute, chosen_precision, compute_exactly, split_device
from tests.indexer.models.tiny_models import ARCHITECTURES, TEXTS, make_model

BFLOAT16 = EncoderOptions(precision="bfloat16")
CPU = torch.device("cpu")


def test_what_is_asked_for_is_taken():
    assert chosen_precision("float32", CPU) == "float32"
    assert chosen_precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx2": True, "avx512_bf16": False}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_follows_the_processor(tmp_path, monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert chosen_precision("auto", CPU) == expected
    folder = make_model(tmp_path, "bert")
    assert load_embedder(folder, model_id="BAAI/bge-m3", device="cpu").precision == expected
    assert load_embedder(folder, model_id="BAAI/bge-m3", device="cpu:float32").precision == "float32"
    asked = load_embedder(folder, model_id="BAAI/bge-m3", device="cpu:float32", options=BFLOAT16)
    assert asked.precision == "bfloat16"  # options, when they say it, before the device


def test_a_gpu_keeps_bfloat16_unless_float32_is_asked_for():
    assert Compute.of("cuda:1", "auto") == Compute("cuda:1", "bfloat16")
    assert Compute.of("cuda", "float32") == Compute("cuda", "float32")
    assert Compute.of("mps", "auto") == Compute("mps", "float32")
    with pytest.raises(ModelError, match="the precision is 'float16'; expected one of auto, float32, bfloat16"):
        Compute.of("cpu", "float16")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("cpu", ("cpu", "auto")),
        ("cpu:float32", ("cpu", "float32")),
        ("cuda:1", ("cuda:1", "auto")),
        ("cuda:0,cuda:1:bfloat16", ("cuda:0,cuda:1", "bfloat16")),
        ("auto:float32", ("auto", "float32")),
    ],
)
def test_a_precision_may_follow_the_device(wanted, expected):
    assert split_device(wanted) == expected
    assert split_device(wanted, "bfloat16") == (expected[0], "bfloat16")


def test_linear_layers_are_converted_and_nothing_else(tmp_path):
    folder = make_model(tmp_path, "bert")
    model = load_embedder(folder, model_id="BAAI/bge-m3", device="cpu", options=BFLOAT16)._replicas[0].model
    for module in model.modules():
        wanted = torch.bfloat16 if isinstance(module, torch.nn.Linear) else torch.float32
        assert {weight.dtype for weight in module.parameters(recurse=False)} <= {wanted}
    plain = load_embedder(folder, model_id="BAAI/bge-m3", device="cpu:float32")._replicas[0].model
    assert {weight.dtype for weight in plain.parameters()} == {torch.float32}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_gives_the_vectors_of_float32_alone_and_in_company(tmp_path, architecture):
    folder = make_model(tmp_path, architecture)
    write_profile(folder, EmbedderSpec("me/own", "r", 32, 500, "mean"))
    exact = load_embedder(folder, device="cpu:float32")
    mixed = load_embedder(folder, device="cpu", options=BFLOAT16)
    vectors, expected = mixed.embed_documents(TEXTS), exact.embed_documents(TEXTS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (vectors * expected).sum(axis=1).min() >= 0.9999
    assert np.abs(vectors - expected).max() > 1e-6  # a canary: something was computed in bfloat16
    alone = np.concatenate([mixed.embed_documents([text]) for text in TEXTS])
    assert (vectors * alone).sum(axis=1).min() >= 0.9999


def test_what_comes_behind_the_transformer_is_float32_within_the_context():
    torch.manual_seed(0)
    head, states = torch.nn.Linear(64, 1), torch.randn(5, 64)
    expected = head(states)
    where = Compute("cpu", "bfloat16")
    with where.products():
        assert head(states).dtype == torch.bfloat16
        compute_exactly(head)
        assert torch.equal(head(states), expected)
    with Compute("cpu", "float32").products():
        assert torch.nn.Linear(64, 1)(states).dtype == torch.float32
