"""Our own forward pass against transformers, on tiny random models: equal to 1e-5, or left to transformers and said so."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    CamembertConfig,
    CamembertModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.folder import read_json
from quarry.indexer.models.format import write_profile
from quarry.indexer.models.forward.bert import ACTIVATIONS
from quarry.indexer.models.forward.bert_folder import load_bert, why_not_bert
from quarry.indexer.models.forward.padded import Padded
from quarry.indexer.models.forward.precision import Compute
from quarry.indexer.models.forward.replica import token_layers
from quarry.indexer.models.tokenizer import read_tokenizer
from tests.indexer.models.tiny_models import SMALL, TEXTS, make_model

ROOT = Path(__file__).resolve().parents[4]
FLOAT32 = Compute("cpu", "float32")
LIMIT = 40  # tokens
LENGTHS = (3, LIMIT, 1, 7, 7, 7, 2, LIMIT, 12)
BERT = {**SMALL, "max_position_embeddings": LIMIT, "pad_token_id": 0}
# RoBERTa counts positions from the one after the padding token's number
ROBERTA = {**SMALL, "max_position_embeddings": LIMIT + 2, "pad_token_id": 1}
MODELS = {
    "bert": lambda: BertModel(BertConfig(**BERT)),
    "bert without a pooler": lambda: BertModel(BertConfig(**BERT), add_pooling_layer=False),
    "bert with one token type": lambda: BertModel(BertConfig(**BERT, type_vocab_size=1)),
    "bert with a large epsilon": lambda: BertModel(BertConfig(**BERT, layer_norm_eps=0.1)),
    "bert below a head": lambda: BertForMaskedLM(BertConfig(**BERT)),
    "roberta": lambda: RobertaModel(RobertaConfig(**ROBERTA)),
    "camembert": lambda: CamembertModel(CamembertConfig(**ROBERTA)),
    "xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**ROBERTA)),
    "xlm-roberta with another padding token": lambda: XLMRobertaModel(
        XLMRobertaConfig(**{**ROBERTA, "pad_token_id": 5, "max_position_embeddings": LIMIT + 6})
    ),
    "xlm-roberta below a head": lambda: XLMRobertaForSequenceClassification(XLMRobertaConfig(**ROBERTA)),
    **{
        f"bert with {name}": lambda name=name: BertModel(BertConfig(**BERT, hidden_act=name))
        for name in ACTIVATIONS
        if name != "gelu"
    },
}


def saved(folder: Path, model) -> Path:
    """Make a random model's biases and norms count, and save it beside a tokenizer."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape) * 0.1)
    make_model(folder, "bert")
    model.save_pretrained(folder)
    return folder


def packed(vocabulary: int, lengths=LENGTHS) -> torch.Tensor:
    return torch.randint(0, vocabulary, (sum(lengths),), generator=torch.Generator().manual_seed(2))


def assert_equals_transformers(folder: Path, lengths=LENGTHS) -> None:
    """Every hidden state of every text; transformers computes each text alone."""
    config = read_json(folder / "config.json")
    assert why_not_bert(folder, config) is None
    encoder, theirs = load_bert(folder, config, FLOAT32), AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    ids, layers = packed(config["vocab_size"], lengths), range(config["num_hidden_layers"] + 1)
    with torch.inference_mode():
        ours = encoder(ids, lengths, layers)
        expected = [theirs(input_ids=row[None], output_hidden_states=True).hidden_states for row in ids.split(lengths)]
    for number in layers:
        assert torch.allclose(ours[number], torch.cat([of_text[number][0] for of_text in expected]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_the_states_of_every_layer_equal_those_of_transformers(tmp_path, kind):
    assert_equals_transformers(saved(tmp_path, MODELS[kind]()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_stored_in_half_precision_are_computed_in_float32(tmp_path, dtype):
    assert_equals_transformers(saved(tmp_path, MODELS["bert"]().to(dtype)))


def test_weights_in_several_files_are_read(tmp_path):
    saved(tmp_path, MODELS["xlm-roberta"]()).joinpath("model.safetensors").unlink()
    torch.manual_seed(0)
    MODELS["xlm-roberta"]().save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert_equals_transformers(tmp_path)


def test_padded_attention_as_on_gpus_equals_attention_by_runs(tmp_path):
    config = read_json(saved(tmp_path, MODELS["bert"]()) / "config.json")
    encoder = load_bert(tmp_path, config, FLOAT32)
    from quarry.indexer.models.forward import bert

    asked = torch.randn(sum(LENGTHS), 3 * SMALL["hidden_size"])
    by_runs = bert._Blocks.of(LENGTHS, torch.device("cpu"))
    by_padding = bert._Blocks.padded_to_longest(LENGTHS, torch.device("cpu"))
    heads = encoder.shape.heads
    assert torch.allclose(by_runs.attend(asked, heads), by_padding.attend(asked, heads), atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean", "last_token"])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "roberta"])
def test_vectors_and_token_states_equal_those_through_transformers(tmp_path, monkeypatch, kind, pooling):
    saved(tmp_path, MODELS[kind]())
    write_profile(tmp_path, EmbedderSpec("me/own", "r", 32, LIMIT, pooling, query_format="Q: {query}"))
    ours = load_embedder(tmp_path, device="cpu:float32")
    monkeypatch.setattr("quarry.indexer.models.encoder.why_not_bert", lambda *_: _no())
    theirs = load_embedder(tmp_path, device="cpu:float32")
    assert ours.fallback is None and isinstance(theirs._replicas[0].model, Padded)
    assert ours.spec == theirs.spec and ours.spec.fingerprint == theirs.spec.fingerprint
    found, expected = {}, {}
    texts = [*TEXTS, "a" * 100]
    vectors = ours.embed_documents_and_tokens(texts, found.__setitem__)
    assert np.abs(vectors - theirs.embed_documents_and_tokens(texts, expected.__setitem__)).max() < 1e-5
    assert all(np.abs(found[row] - expected[row]).max(initial=0) < 1e-5 for row in range(len(texts)))
    assert np.abs(ours.embed_queries(texts) - theirs.embed_queries(texts)).max() < 1e-5
    assert ours.tokens.name == theirs.tokens.name


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_a_tokens_states_are_those_of_two_layers_side_by_side_each_of_unit_length(tmp_path, monkeypatch, kind):
    deep = {"num_hidden_layers": 6}
    model = (
        BertModel(BertConfig(**{**BERT, **deep}))
        if kind == "bert"
        else XLMRobertaModel(XLMRobertaConfig(**{**ROBERTA, **deep}))
    )
    saved(tmp_path, model)
    write_profile(tmp_path, EmbedderSpec("me/own", "r", 32, LIMIT, "mean"))
    theirs = AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    for through in ("own", "transformers"):
        if through == "transformers":
            monkeypatch.setattr("quarry.indexer.models.encoder.why_not_bert", lambda *_: _no())
        embedder, found = load_embedder(tmp_path, device="cpu:float32"), {}
        embedder.embed_documents_and_tokens(["abc ba"], found.__setitem__)
        ids = torch.tensor([embedder._tokenizer.encode("abc ba").ids])
        with torch.inference_mode():
            layers = theirs(input_ids=ids, output_hidden_states=True).hidden_states
        assert token_layers(6) == (4, -1) and embedder.width == 2 * SMALL["hidden_size"]
        own = np.flatnonzero(np.array(embedder._tokenizer.encode("abc ba").special_tokens_mask) == 0)
        parts = [torch.nn.functional.normalize(layers[number][0], dim=1).numpy()[own] for number in (4, 6)]
        assert np.abs(found[0] - np.concatenate(parts, axis=1)).max() < 1e-5


def _no():
    from quarry.indexer.messages import Message

    return Message.of("models.has_adapter", "it has an adapter")


def test_an_empty_text_without_special_tokens_is_one_padding_token(tmp_path):
    saved(tmp_path, MODELS["xlm-roberta"]())
    stored = json.loads((tmp_path / "tokenizer.json").read_text())
    stored["post_processor"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored))
    write_profile(tmp_path, EmbedderSpec("me/own", "r", 32, LIMIT, "mean"))
    embedder = load_embedder(tmp_path, device="cpu:float32")
    alone, among = embedder.embed_documents([""]), embedder.embed_documents(["ab", "", "abc"])
    assert np.isfinite(alone).all() and np.abs(alone[0] - among[1]).max() < 1e-6


CHANGES = {
    "a decoder": {"is_decoder": True},
    "relative positions": {"position_embedding_type": "relative_key_query"},
    "quantized weights": {"quantization_config": {"quant_method": "none"}},
    "another architecture": {"model_type": "distilbert"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_configuration_asks_for_beside_it_is_left_to_transformers(tmp_path, change):
    config = read_json(saved(tmp_path, MODELS["bert"]()) / "config.json")
    assert why_not_bert(tmp_path, {**config, **CHANGES[change]}) is not None


def test_an_unknown_activation_is_computed_by_transformers_and_said(tmp_path):
    saved(tmp_path, BertModel(BertConfig(**BERT, hidden_act="relu6")))
    write_profile(tmp_path, EmbedderSpec("me/own", "r", 32, LIMIT, "mean"))
    embedder = load_embedder(tmp_path, device="cpu")
    assert str(embedder.fallback) == "its activation is relu6"
    assert isinstance(embedder._replicas[0].model, Padded)


def test_an_adapter_and_a_slow_tokenizer_are_left_to_transformers(tmp_path):
    config = read_json(saved(tmp_path, MODELS["bert"]()) / "config.json")
    (tmp_path / "adapter_config.json").write_text("{}")
    assert str(why_not_bert(tmp_path, config)) == "it has an adapter"
    (tmp_path / "adapter_config.json").unlink()
    (tmp_path / "tokenizer.json").unlink()
    assert str(why_not_bert(tmp_path, config)) == "it has no tokenizer.json"


@pytest.mark.parametrize("change", ["missing", "another shape", "whole numbers"])
def test_weights_that_do_not_fit_are_left_to_transformers(tmp_path, change):
    config = read_json(saved(tmp_path, MODELS["bert"]()) / "config.json")
    weights, name = load_file(tmp_path / "model.safetensors"), "encoder.layer.1.output.dense.weight"
    if change == "missing":
        del weights[name]
    else:
        weights[name] = weights[name][:-1] if change == "another shape" else weights[name].long()
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    reason = load_bert(tmp_path, config, FLOAT32)
    assert str(reason).startswith("its weights are not as expected")


def test_a_text_beyond_the_position_table_is_an_error_and_not_a_wrong_vector(tmp_path):
    config = read_json(saved(tmp_path, MODELS["bert"]()) / "config.json")
    with pytest.raises(IndexError):
        load_bert(tmp_path, config, FLOAT32)(packed(config["vocab_size"], [LIMIT + 1]), [LIMIT + 1])


@pytest.mark.parametrize("named", [{"pad_token": "<unk>"}, {"pad_token": {"content": "<unk>"}}, {}])
def test_special_tokens_are_read_as_transformers_reads_them(tmp_path, named):
    saved(tmp_path, MODELS["bert"]())
    settings = {**read_json(tmp_path / "tokenizer_config.json"), **named}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = read_tokenizer(tmp_path, read_json(tmp_path / "config.json"))
    assert found.pad_token_id == (3 if named else 0)
    assert (found.bos_token_id, found.eos_token_id, found.unk_token_id) == (1, 2, 3)


def test_the_token_table_is_mapped_and_not_converted(tmp_path):
    config = read_json(saved(tmp_path, MODELS["bert"]().half()) / "config.json")
    encoder = load_bert(tmp_path, config, FLOAT32)
    assert encoder.tokens.dtype == torch.float16
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}


def test_a_known_encoder_loads_and_encodes_without_transformers(tmp_path):
    saved(tmp_path, MODELS["xlm-roberta"]())
    write_profile(tmp_path, EmbedderSpec("me/own", "r", 32, LIMIT, "mean"))
    code = (
        "import sys; from pathlib import Path; from quarry.indexer.models.encoder import load_embedder;"
        "load_embedder(Path(sys.argv[1]), device='cpu').embed_queries(['how?']);"
        "print([name for name in ('transformers', 'torch._dynamo', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
