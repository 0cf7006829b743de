"""A query that is too long loses its own end, never what the format puts behind it."""

import random

import pytest

from quarry.indexer.embedder import EmbedderSpec
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.models.fitting import Frame
from quarry.indexer.models.format import write_profile
from quarry.training.fit.models.trainable import open_trainable
from quarry.training.fit.rows.tokens import Tokenizer
from quarry.training.fit.spec import TrainSpec
from tests.training.tiny_model import tiny_model

TAIL = "\n<response>"
FORMAT = f"<instruct>find it\n<query>{{query}}{TAIL}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny_model(tmp_path_factory.mktemp("m"), "qwen3")
    write_profile(folder, EmbedderSpec("tests/icl", "1", 32, 60, "last_token", query_format=FORMAT))
    return folder


def letters(count):
    return "".join(random.Random(count).choice("abcdefgh") for _ in range(count))


@pytest.mark.parametrize("count", [0, 1, 20, 22, 23, 24, 60, 180, 5000])
def test_the_tail_of_the_format_stays_while_training_and_while_serving(folder, count):
    opened = open_trainable(folder, TrainSpec(), device="cpu")
    (ids,) = Tokenizer(opened.tokenizer, 60).encode_queries([letters(count)], [FORMAT])
    whole = opened.tokenizer.copy().encode(FORMAT.replace("{query}", letters(count)).encode().decode()).ids
    assert len(ids) == min(60, len(whole))
    if len(whole) <= 60:
        assert ids == whole
    after = len(opened.tokenizer.ids(TAIL)) + 1  # and [SEP]
    assert ids[-after:] == whole[-after:]
    assert ids[:-after] == whole[:-after][: 60 - after]
    embedder = load_embedder(folder, device="cpu:float32")
    served = embedder.embed_queries([letters(count)])
    many = embedder.embed_queries([letters(count), *(f"other {number}" for number in range(20))])
    assert many[0] == pytest.approx(served[0], abs=1e-5)
    import torch

    with torch.inference_mode():
        trained = opened.model(
            {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        )
    assert served[0] == pytest.approx(trained["sentence_embedding"][0].numpy(), abs=1e-5)


def test_examples_that_fill_the_room_lose_the_first_of_them(folder):
    opened = open_trainable(folder, TrainSpec(), device="cpu")
    head = f"<instruct>a\n<query>{letters(300)}\n\n<instruct>find\n<query>"
    (ids,) = Tokenizer(opened.tokenizer, 60).encode_queries([letters(30)], [f"{head}{{query}}{TAIL}"])
    kept = opened.tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=True)
    whole = opened.tokenizer.backend_tokenizer.decode(opened.tokenizer.ids(head + letters(30) + TAIL))
    assert len(ids) == 60
    assert kept.split()[-11:] == whole.split()[-11:]
    assert Frame.of("{query}", "{query}") == Frame("", "")
