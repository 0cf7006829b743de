"""A trained model is served with the format that it was trained with, and its card says how other libraries get the same vectors."""

from dataclasses import replace

import pytest

from quarry.indexer.models.encoder import load_embedder
from quarry.training.fit.embedder import finetune
from quarry.training.fit.spec import TrainSpec
from tests.training.tiny_model import tiny_model, topic_rows

ROWS = topic_rows(16)
SPEC = TrainSpec(batch_size=8, checkpoint_steps=0, learning_rate=1e-3, max_query_tokens=120)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base") / "m", "qwen3")


@pytest.mark.parametrize(
    ("prompts", "query_format"),
    [
        (["Find notes."], "Instruct: Find notes.\nQuery:{query}"),
        ([""], "Instruct: find\nQuery:{query}"),
        (["{query}"], "{query}"),
        (["Find notes.", "Find words."], "Instruct: find\nQuery:{query}"),
        (["Find notes.", ""], "Instruct: find\nQuery:{query}"),
    ],
)
def test_a_model_is_served_with_the_one_instruction_of_its_rows(base, tmp_path, prompts, query_format):
    rows = [replace(row, prompt=prompts[number % len(prompts)]) for number, row in enumerate(ROWS)]
    trained = finetune(base, rows, SPEC, tmp_path / "run", device="cpu")
    assert load_embedder(trained.folder, device="cpu").spec.query_format == query_format


@pytest.mark.parametrize("tail", ["", "\n<response>"])
def test_the_card_of_a_model_says_how_sentence_transformers_gives_the_same_vectors(base, tmp_path, tail):
    from sentence_transformers import SentenceTransformer

    query_format = f"find: {{query}}{tail}"
    spec = SPEC.model_copy(update={"query_format": query_format})
    trained = finetune(base, ROWS, spec, tmp_path / "run", device="cpu")
    card = (trained.folder / "README.md").read_text(encoding="utf-8")
    served = load_embedder(trained.folder, device="cpu:float32").embed_queries(["how to fix"])
    other = SentenceTransformer(str(trained.folder), device="cpu", local_files_only=True)
    if tail:
        assert 'call `encode(..., prompt="")`' in card
        assert (other.encode_query(["how to fix"]) @ served[0]).item() < 0.9999
        same = other.encode([query_format.replace("{query}", "how to fix")], prompt="")
    else:
        assert "`model.encode_query(...)`" in card
        same = other.encode_query(["how to fix"])
    assert (same @ served[0]).item() >= 0.9999
