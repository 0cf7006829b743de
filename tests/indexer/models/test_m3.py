"""bge-m3's own heads against plain torch and transformers, and the files that hold them."""

import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from quarry.indexer.embedder import HeadedEmbedder, TermWeights, heads_of
from quarry.indexer.errors import ModelError
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.folder import check_folder
from quarry.indexer.models.weight_archive import read_linear
from tests.fakes import WordEmbedder
from tests.indexer.models.tiny_models import TEXTS, make_model
from tests.m3 import HIDDEN, UNUSED, make_m3, plain_m3

DOCUMENTS = [*TEXTS, "aabbaa", "unknown ⌘ sign", "e" * 700]


def load(folder):
    return load_embedder(folder, model_id="BAAI/bge-m3", device="cpu:float32")


@pytest.fixture(scope="module", params=["safetensors", "released .pt files"])
def m3(request, tmp_path_factory):
    return make_m3(tmp_path_factory.mktemp("m3"), pickled=request.param != "safetensors")


def test_all_three_representations_of_passages_equal_plain_torch(m3):
    embedder, tokens, terms = load(m3), {}, {}
    before = embedder.forwards
    vectors = embedder.embed_documents_and_parts(DOCUMENTS, tokens.__setitem__, terms.__setitem__)
    passes = embedder.forwards - before
    embedder.embed_documents(DOCUMENTS)
    assert embedder.forwards - before == 2 * passes  # no forward pass more than for the vectors alone
    for row, text in enumerate(DOCUMENTS):
        vector, weights, states = plain_m3(m3, text[: embedder.spec.max_tokens - 2])
        assert np.abs(vectors[row] - vector).max() < 1e-5
        assert tokens[row].shape == states.shape and np.abs(tokens[row] - states).max(initial=0) < 1e-5
        assert terms[row].ids.tolist() == sorted(weights) and not set(weights) & set(UNUSED)
        assert np.abs(terms[row].weights - [weights[token] for token in sorted(weights)]).max(initial=0) < 1e-5


def test_a_query_has_all_three_out_of_the_pass_that_made_its_vector(m3):
    embedder = load(m3)
    asked = embedder.embed_queries(["renew a book"])
    before = embedder.forwards
    parts = embedder.query_parts("renew a book")
    assert embedder.forwards == before and np.array_equal(parts.vector, asked[0])
    vector, weights, states = plain_m3(m3, "renew a book")
    assert np.abs(parts.vector - vector).max() < 1e-5 and np.abs(parts.tokens - states).max() < 1e-5
    assert parts.terms.ids.tolist() == sorted(weights)
    assert np.array_equal(embedder.query_tokens("renew a book"), parts.tokens)


def test_a_literal_end_token_in_a_text_gets_no_weight(m3):
    embedder, found = load(m3), {}
    embedder.embed_documents_and_parts(["a</s>b"], lambda *_: None, found.__setitem__)
    assert 2 not in found[0].ids


def test_a_model_without_both_heads_keeps_its_layer_states(tmp_path):
    folder = make_m3(tmp_path)
    (folder / "sparse_linear.safetensors").unlink()
    embedder = load(folder)
    assert isinstance(embedder, HeadedEmbedder) and heads_of(embedder) == "" and embedder.width == 2 * HIDDEN
    with pytest.raises(ValueError, match="no heads of its own"):
        embedder.query_parts("a")
    with pytest.raises(ValueError, match="no heads of its own"):
        embedder.embed_documents_and_parts(["a"], lambda *_: None, lambda *_: None)
    assert heads_of(WordEmbedder()) == ""


def test_heads_change_neither_the_models_identity_nor_its_vectors(tmp_path):
    bare, headed = make_model(tmp_path / "bare", "xlm-roberta"), make_m3(tmp_path / "headed")
    assert content_digest(bare) == content_digest(headed)
    assert load(bare).spec.fingerprint == load(headed).spec.fingerprint
    assert np.array_equal(load(bare).embed_documents(TEXTS), load(headed).embed_documents(TEXTS))
    other = make_m3(tmp_path / "other", seed=4)
    assert len({heads_of(load(folder)) for folder in (bare, headed, other)}) == 3


def test_heads_are_not_the_weights_of_a_model(tmp_path):
    folder = make_m3(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights only"):
        check_folder(folder)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("outputs", [1, 5])
def test_a_pt_file_gives_the_numbers_that_torch_saved(tmp_path, kind, outputs):
    state = torch.nn.Linear(8, outputs).to(kind).state_dict()
    torch.save(state, tmp_path / "head.pt")
    found = read_linear(tmp_path / "head.pt", outputs, 8)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name].float()) for name in state)


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


def test_a_pickle_in_a_pt_file_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(torch.nn.Linear(8, 1).state_dict(), "good.pt")
    with zipfile.ZipFile("good.pt") as good, zipfile.ZipFile("bad.pt", "w") as bad:
        for info in good.infolist():
            content = good.read(info)
            bad.writestr(
                info.filename, pickle.dumps([Bomb(), "FloatStorage"]) if "data.pkl" in info.filename else content
            )
    read_linear(tmp_path / "bad.pt", 1, 8)
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="is not a linear layer"):
        read_linear(tmp_path / "old.pt", 1, 8)
    assert not (tmp_path / "exploded").exists()


WRONG = {
    "another shape": lambda: torch.nn.Linear(9, 1).state_dict(),
    "no bias": lambda: {"weight": torch.ones(1, 8)},
    "a third array as long as the bias": lambda: {**torch.nn.Linear(8, 1).state_dict(), "more": torch.ones(1)},
    "a third array": lambda: {**torch.nn.Linear(8, 1).state_dict(), "more": torch.ones(3)},
    "whole numbers": lambda: {"weight": torch.ones(1, 8, dtype=torch.int32), "bias": torch.ones(1, dtype=torch.int32)},
    "two number formats": lambda: {"weight": torch.ones(1, 8), "bias": torch.ones(2, dtype=torch.float16)},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_pt_file_with_anything_else_is_refused(tmp_path, what):
    torch.save(WRONG[what](), tmp_path / "head.pt")
    with pytest.raises(
        ModelError, match=r"head\.pt is not a linear layer of 8 inputs and 1 output .*head\.safetensors"
    ):
        read_linear(tmp_path / "head.pt", 1, 8)


def test_heads_of_another_model_are_refused_by_name(tmp_path):
    folder = make_m3(tmp_path)
    save_file(torch.nn.Linear(HIDDEN + 1, 1).state_dict(), folder / "sparse_linear.safetensors")
    with pytest.raises(ModelError, match=r"sparse_linear\.safetensors is no head of this model"):
        load(folder)
    (folder / "sparse_linear.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match=r"sparse_linear\.safetensors is no head of this model"):
        load(folder)


def test_common_terms_are_multiplied_and_others_do_not_count():
    ours = TermWeights.of([5, 9, 5, 7], np.array([0.5, 1.0, 2.0, -1.0], np.float32), unused=[9])
    assert ours.ids.tolist() == [5] and ours.weights.tolist() == [2.0]
    theirs = TermWeights.of([5, 6], np.array([0.25, 4.0], np.float32))
    assert ours.dot(theirs) == theirs.dot(ours) == 0.5
    assert ours.dot(TermWeights.of([], np.zeros(0, np.float32))) == 0
