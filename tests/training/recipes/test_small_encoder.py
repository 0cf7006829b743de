"""A student of fewer layers comes nearer to its teacher, keeps the token embeddings, and is a folder that the index reads."""

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.format import write_profile
from quarry.training.recipes.small_encoder import Plan, batches, distill, main, read_texts, smaller
from tests.indexer.models.tiny_models import SMALL, make_model


def teacher(layers=4):
    torch.manual_seed(0)
    model = BertModel(BertConfig(**{**SMALL, "num_hidden_layers": layers}), add_pooling_layer=False).eval()
    with torch.no_grad():
        for weight in model.encoder.parameters():  # as made, random layers change next to nothing
            weight.add_(torch.randn(weight.shape) * 0.15)
    return model


def rows(count=200):
    rng = np.random.default_rng(0)
    return [rng.integers(0, SMALL["vocab_size"], rng.integers(2, 12)).tolist() for _ in range(count)]


def distance(one, other, texts):
    with torch.inference_mode():
        found = [
            torch.nn.functional.cosine_similarity(
                *(m(torch.tensor([row])).last_hidden_state.mean(1) for m in (one, other))
            )
            for row in texts[:50]
        ]
    return 1 - float(torch.cat(found).mean())


def test_a_student_comes_nearer_to_its_teacher_and_keeps_its_token_embeddings():
    torch.set_num_threads(1)
    taught, texts = teacher(), rows()
    before, after = smaller(taught, (0, 3)), distill(taught, texts, Plan((0, 3), steps=60))
    assert after.config.num_hidden_layers == 2
    assert distance(after, taught, texts) < 0.8 * distance(before, taught, texts)
    assert torch.equal(after.embeddings.word_embeddings.weight, taught.embeddings.word_embeddings.weight)


@pytest.mark.parametrize("layers", [(), (4,), (-1,)])
def test_layers_that_the_teacher_lacks_are_refused(layers):
    with pytest.raises(ValueError, match="expected some of 0 to 3"):
        smaller(teacher(), layers)


def test_one_text_is_too_few():
    with pytest.raises(ValueError, match="1 texts"):
        distill(teacher(), [[1, 2]], Plan((0,)))


def test_batches_hold_every_text_once_a_round_and_stay_within_their_tokens():
    lengths = [3, 40, 5, 40, 7, 20] * 30
    feed, seen = batches(lengths, 100, np.random.default_rng(1)), []
    while len(seen) < len(lengths):
        batch = next(feed)
        assert max(lengths[number] for number in batch) * len(batch) <= 100 + 8 * len(
            batch
        )  # lengths are blurred by up to 8
        seen += batch
    assert sorted(seen) == list(range(len(lengths)))


def test_the_written_folder_is_read_as_an_embedder(tmp_path):
    folder, into, texts = tmp_path / "teacher", tmp_path / "student", tmp_path / "pairs.jsonl"
    make_model(folder, "bert")
    teacher().save_pretrained(folder)
    write_profile(folder, EmbedderSpec("me/own", "r", 32, 40, "mean"))
    lines = [{"query": "ab a", "pos": ["abc b"]}, {"title": "c", "text": "cab"}, {"query": "b", "pos": ["bb", "ca"]}]
    texts.write_text("\n".join(map(json.dumps, lines)))
    assert list(read_texts(texts))[:3] == ["query: ab a", "passage: abc b", "passage: c\ncab"]
    main([str(folder), str(into), str(texts), "--layers", "0", "2", "--steps", "2"])
    embedder = load_embedder(into, device="cpu:float32")
    assert embedder.spec.model == "me/own, 2 layers"
    assert np.isfinite(embedder.embed_documents(["abc"])).all()
