"""Rerankers against plain transformers, written as their model cards do it, on tiny random models."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    GemmaConfig,
    GemmaForCausalLM,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from indexer.errors import ModelError
from indexer.profiles import reranker_profile
from retriever.cross_encoder import load_reranker

QUERY = "怎么 renew a book?"
PASSAGES = ["Books are renewed online.", "续借 网上 办理", "x", "long passage about filament and 打印机 " * 40, "renew a book"]
CHARACTERS = sorted(set(QUERY + "".join(PASSAGES) + "".join(chr(c) for c in range(32, 127)) + "\n"))
SIZE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": len(CHARACTERS) + 5}
DECODER = {**SIZE, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 4096, "pad_token_id": 0}
MODELS = {
    "xlm-roberta": lambda: XLMRobertaForSequenceClassification(XLMRobertaConfig(**SIZE, num_labels=1, max_position_embeddings=514, pad_token_id=0)),
    "bert": lambda: BertForSequenceClassification(BertConfig(**SIZE, num_labels=1, max_position_embeddings=512, pad_token_id=0)),
    "two-labels": lambda: BertForSequenceClassification(BertConfig(**SIZE, num_labels=2, max_position_embeddings=512, pad_token_id=0)),
    "encoder": lambda: BertModel(BertConfig(**SIZE, max_position_embeddings=512, pad_token_id=0)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**DECODER)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**DECODER)),
}


def make(folder, kind):
    torch.manual_seed(1)
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "Yes": 4, **{c: i + 5 for i, c in enumerate(CHARACTERS)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_tokens(["Yes"])
    if "gemma" not in kind:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s>:0 $A:0 </s>:0 $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"] if kind == "xlm-roberta" else ["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip
    model = MODELS[kind]()
    for name, weight in model.named_parameters():
        if "classifier" in name:
            weight.data *= 20  # so that passages differ by more than rounding
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_a_sequence_reranker_gives_the_logits_of_the_model_card(tmp_path, kind):
    folder = make(tmp_path, kind)
    reranker = load_reranker(folder, model_id="BAAI/bge-reranker-base", device="cpu")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = [
            float(model(**tokenizer(QUERY, passage, truncation="only_second", max_length=512, return_tensors="pt")).logits)
            for passage in PASSAGES
        ]
    found = reranker.score(QUERY, PASSAGES)
    assert (found.dtype, found.shape) == (np.float32, (5,))
    assert np.abs(found - expected).max() <= 1e-4
    assert list(np.argsort(found)) == list(np.argsort(expected))
    assert np.abs(np.concatenate([reranker.score(QUERY, [p]) for p in PASSAGES]) - found).max() <= 1e-5
    assert reranker.score(QUERY, []).shape == (0,)


def test_a_long_query_leaves_room_for_the_passage(tmp_path):
    reranker = load_reranker(make(tmp_path, "bert"), device="cpu")
    one, other = reranker.score("q" * 2000, ["renew a book", "another text"])
    assert one != other


@pytest.mark.parametrize(("kind", "cutoff"), [("gemma", None), ("gemma2", None), ("gemma", 2), ("gemma2", 1)])
def test_a_decoder_reranker_gives_the_yes_logit_of_the_documented_prompt(tmp_path, kind, cutoff):
    folder = make(tmp_path, kind)
    name = "BAAI/bge-reranker-v2-gemma"
    reranker = load_reranker(folder, model_id=name, device="cpu", cutoff_layers=cutoff)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def ids(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    expected = []
    for passage in PASSAGES:
        tail = [*ids("\n"), *ids(reranker_profile(name).prompt)]
        tokens = [tokenizer.bos_token_id, *ids(f"A: {QUERY}"), *ids("\n"), *ids(f"B: {passage}")[:1024]]
        tokens = [*tokens[: 1024 + len(tail)], *tail]
        with torch.no_grad():
            states = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
            last = states[-1] if cutoff is None else model.model.norm(states[cutoff])
            expected.append(float(torch.nn.functional.linear(last[0, -1], model.lm_head.weight)[ids("Yes")[0]]))
    if kind == "gemma2" and (cap := model.config.final_logit_softcapping):
        expected = [cap * np.tanh(value / cap) for value in expected]
    found = reranker.score(QUERY, PASSAGES)
    assert np.abs(found - expected).max() <= 1e-4
    assert len(set(np.round(found, 5))) == 5  # a canary: the passages matter
    assert reranker.score(QUERY, []).shape == (0,)


def test_what_is_no_reranker_is_refused(tmp_path):
    with pytest.raises(ModelError, match="An embedding model cannot rerank: its head would be random"):
        load_reranker(make(tmp_path / "a", "encoder"), device="cpu")
    with pytest.raises(ModelError, match="classifies into 2 labels; expected one relevance logit"):
        load_reranker(make(tmp_path / "b", "two-labels"), device="cpu")
    with pytest.raises(ModelError, match="expected a sequence classifier with one label"):
        load_reranker(make(tmp_path / "c", "gemma"), device="cpu")
    with pytest.raises(ModelError, match="the layer cut-off is 9; expected 1 to 3"):
        load_reranker(tmp_path / "c", model_id="BAAI/bge-reranker-v2-gemma", device="cpu", cutoff_layers=9)


def test_code_from_a_folder_runs_only_when_allowed(tmp_path):
    import json

    folder = make(tmp_path, "gemma")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="needs code from its own folder, which runs only when you allow it"):
        load_reranker(folder, model_id="BAAI/bge-reranker-v2-minicpm-layerwise", device="cpu")
    with pytest.raises(ModelError, match="compresses tokens between its layers"):
        load_reranker(folder, model_id="BAAI/bge-reranker-v2.5-gemma2-lightweight", device="cpu", trust_remote_code=True)


def test_memory_that_runs_out_halves_the_batch(tmp_path, monkeypatch):
    reranker = load_reranker(make(tmp_path, "bert"), device="cpu")
    expected = reranker.score(QUERY, PASSAGES * 4)
    real = reranker._model.forward

    def tight(**inputs):
        if len(inputs["input_ids"]) > 2:
            raise RuntimeError("CUDA out of memory")
        return real(**inputs)

    monkeypatch.setattr(reranker._model, "forward", tight)
    assert np.abs(reranker.score(QUERY, PASSAGES * 4) - expected).max() <= 1e-5


def test_broken_weights_are_noticed(tmp_path):
    reranker = load_reranker(make(tmp_path, "bert"), device="cpu")
    with torch.no_grad():
        reranker._model.classifier.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="not a finite number"):
        reranker.score(QUERY, PASSAGES)
