"""Rerankers against plain transformers, written as their model cards do it, on tiny random models."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from quarry.indexer.errors import ModelError
from quarry.indexer.models.profiles import reranker_profile
from quarry.retriever.base import score_together
from quarry.retriever.rerankers.cross_encoder import load_reranker
from tests.retriever.rerankers.tiny_rerankers import CHARACTERS, PASSAGES, QUERY, make


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert"])
def test_a_sequence_reranker_gives_the_logits_of_the_model_card(tmp_path, kind):
    folder = make(tmp_path, kind)
    reranker = load_reranker(folder, model_id="BAAI/bge-reranker-base", device="cpu:float32")
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval(),
    )
    with torch.no_grad():
        expected = [
            float(
                model(**tokenizer(QUERY, passage, truncation="only_second", max_length=512, return_tensors="pt")).logits
            )
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


@pytest.mark.parametrize(
    ("kind", "cutoff"), [("gemma", None), ("gemma2", None), ("llama", None), ("gemma", 2), ("gemma2", 1), ("llama", 1)]
)
def test_a_decoder_reranker_gives_the_yes_logit_of_the_documented_prompt(tmp_path, kind, cutoff):
    folder = make(tmp_path, kind)
    name = "BAAI/bge-reranker-v2-gemma"
    reranker = load_reranker(folder, model_id=name, device="cpu:float32", cutoff_layers=cutoff)
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(),
    )

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
    with pytest.raises(ModelError, match="an embedding model cannot rerank, because its head would be random"):
        load_reranker(make(tmp_path / "a", "encoder"), device="cpu")
    with pytest.raises(ModelError, match="classifies into 2 labels; expected one relevance logit"):
        load_reranker(make(tmp_path / "b", "two-labels"), device="cpu")
    with pytest.raises(ModelError, match="expected a sequence classifier with one label"):
        load_reranker(make(tmp_path / "c", "gemma"), device="cpu")
    with pytest.raises(ModelError, match="the layer cutoff is 9; expected 1 to 3"):
        load_reranker(tmp_path / "c", model_id="BAAI/bge-reranker-v2-gemma", device="cpu", cutoff_layers=9)


def test_code_from_a_folder_runs_only_when_allowed(tmp_path):
    folder = make(tmp_path, "gemma")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="needs code from its own folder, which runs only when you allow it"):
        load_reranker(folder, model_id="BAAI/bge-reranker-v2-minicpm-layerwise", device="cpu")


def test_memory_that_runs_out_halves_the_batch(tmp_path, monkeypatch):
    reranker = load_reranker(make(tmp_path, "bert"), device="cpu:float32")
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


def test_passages_of_wildly_different_lengths_score_as_each_one_alone(tmp_path):
    texts = ["", "书", "renew " * 3000, "续借" * 700, *PASSAGES] * 3
    for kind, name in (("bert", None), ("xlm-roberta", None), ("gemma", "BAAI/bge-reranker-v2-gemma")):
        reranker = load_reranker(make(tmp_path / kind, kind), model_id=name, device="cpu:float32")
        together = reranker.score(QUERY, texts)
        alone = np.concatenate([reranker.score(QUERY, [text]) for text in texts])
        assert np.abs(together - alone).max() <= 2e-5
        rounded = np.round(alone, 4)
        assert all(together[i] > together[j] for i in range(9) for j in range(9) if rounded[i] > rounded[j])


def test_a_few_pairs_take_one_forward_and_many_stay_within_the_budget(tmp_path):
    reranker = load_reranker(make(tmp_path, "bert"), device="cpu")
    reranker.score(QUERY, PASSAGES[:3])
    assert reranker.forwards == 1
    shapes = []
    reranker._model.register_forward_pre_hook(
        lambda _, __, inputs: shapes.append(inputs["input_ids"].shape), with_kwargs=True
    )
    reranker.score(QUERY, ["long " * 300, *["x"] * 500])
    assert max(rows * length for rows, length in shapes) <= 4096


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_the_head_computes_in_float32_when_the_body_does_not(tmp_path, monkeypatch, kind):
    from quarry.retriever.rerankers import cross_encoder

    real = cross_encoder.load_weights
    monkeypatch.setattr(cross_encoder, "load_weights", lambda *args, **kept: real(*args, **kept).bfloat16())
    reranker = load_reranker(make(tmp_path, kind), device="cpu:float32")
    scores = torch.tensor(reranker.score(QUERY, PASSAGES))
    assert not torch.equal(scores, scores.bfloat16().float())
    monkeypatch.undo()
    assert np.abs(load_reranker(tmp_path, device="cpu:float32").score(QUERY, PASSAGES) - scores.numpy()).max() < 0.2


def test_a_decoders_logit_is_float32_when_its_body_is_not(tmp_path, monkeypatch):
    from quarry.retriever.rerankers import decoder as decoder_reranker

    real = decoder_reranker.load_weights
    monkeypatch.setattr(decoder_reranker, "load_weights", lambda *args, **kept: real(*args, **kept).bfloat16())
    scores = torch.tensor(
        load_reranker(make(tmp_path, "gemma"), model_id="BAAI/bge-reranker-v2-gemma", device="cpu:float32").score(
            QUERY, PASSAGES
        )
    )
    assert not torch.equal(scores, scores.bfloat16().float())


def test_a_folder_of_the_sentence_transformers_cross_encoder_scores_the_same(tmp_path):
    from sentence_transformers import CrossEncoder

    theirs = CrossEncoder(str(make(tmp_path / "plain", "bert")), device="cpu", max_length=512)
    theirs.save_pretrained(str(tmp_path / "saved"))
    expected = theirs.predict([(QUERY, passage) for passage in PASSAGES], activation_fn=torch.nn.Identity())
    assert (
        np.abs(load_reranker(tmp_path / "saved", device="cpu:float32").score(QUERY, PASSAGES) - expected).max() <= 1e-4
    )


def without(folder, part):
    weights = {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if part not in name}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("part", ["pooler", "classifier"])
def test_a_lost_pooler_or_head_is_not_made_up(tmp_path, part):
    without(make(tmp_path, "bert"), part)
    with pytest.raises(ModelError, match=r"lacks \d+ weights"):
        load_reranker(tmp_path, device="cpu")


def test_pickled_weights_and_lost_or_foreign_tokenizers_are_refused(tmp_path):
    folder = make(tmp_path / "a", "bert")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="pickled weights"):
        load_reranker(folder, device="cpu")
    folder = make(tmp_path / "b", "bert")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_reranker(folder, device="cpu")
    folder = make(tmp_path / "c", "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 30_000}))
    with pytest.raises(ModelError, match="they do not belong together"):
        load_reranker(folder, device="cpu")
    folder = make(tmp_path / "d", "gemma")
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"Yes"', '"Ja!"'))
    with pytest.raises(ModelError, match="does not know the word Yes"):
        load_reranker(folder, model_id="BAAI/bge-reranker-v2-gemma", device="cpu")


def test_a_decoders_query_is_cut_to_three_quarters_and_its_passage_to_the_rest(tmp_path):
    reranker = load_reranker(make(tmp_path, "gemma"), model_id="BAAI/bge-reranker-v2-gemma", device="cpu")
    prompt = len(reranker_profile("BAAI/bge-reranker-v2-gemma").prompt) - 2  # a token per character, and one for Yes
    (ids,) = reranker.inputs("q" * 5000, ["p" * 5000])
    assert len(ids) == 1024 + (1 + prompt) + (1 + prompt)  # the reference's max_length, then separator and prompt again
    assert ids[1:769].count(CHARACTERS.index("q") + 5) == 765  # `A: ` and the query


def test_a_long_pair_is_cut_as_flag_embedding_cuts_it(tmp_path):
    folder = make(tmp_path, "bert")
    tokenizer, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForSequenceClassification.from_pretrained(folder).eval(),
    )
    query, passage = "renew q" * 200, "long p" * 400

    def ids(text, longest):
        return tokenizer(text, add_special_tokens=False, truncation=True, max_length=longest)["input_ids"]

    first = ids(query, 512 * 3 // 4)
    second = ids(passage, 512)[: 512 - len(first) - 3]
    tokens = torch.tensor([[1, *first, 2, *second, 2]])
    segments = torch.tensor([[0] * (len(first) + 2) + [1] * (len(second) + 1)])
    assert tokens.shape == (1, 512)
    with torch.no_grad():
        expected = float(model(input_ids=tokens, token_type_ids=segments).logits)
    assert abs(load_reranker(folder, device="cpu:float32").score(query, [passage])[0] - expected) <= 1e-4


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "gemma"])
def test_several_queries_together_score_as_each_alone_in_fewer_forwards(tmp_path, kind):
    names = {"gemma": "BAAI/bge-reranker-v2-gemma"}
    reranker = load_reranker(make(tmp_path, kind), model_id=names.get(kind), device="cpu:float32")
    asked = [(QUERY, PASSAGES), ("续借", []), ("打印机 filament", PASSAGES[:1]), ("renew", PASSAGES[2:])]
    alone = [reranker.score(query, passages) for query, passages in asked]
    before = reranker.forwards
    together = score_together(reranker, asked)
    assert reranker.forwards - before < before
    assert [len(scores) for scores in together] == [5, 0, 1, 3]
    for ours, theirs in zip(together, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert score_together(reranker, []) == []


def test_no_queries_have_no_scores(tmp_path):
    reranker = load_reranker(make(tmp_path / "m", "xlm-roberta"), device="cpu")
    assert reranker.score_many([]) == []
    assert [scores.shape for scores in reranker.score_many([("q", []), ("q", ["a", "b"])])] == [(0,), (2,)]
