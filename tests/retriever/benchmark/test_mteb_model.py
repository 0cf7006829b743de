"""The embedder as mteb sees it: which side a text is encoded on, and cosines."""

from dataclasses import replace

import numpy as np
import pytest

from quarry.retriever.benchmark.mteb_model import MtebEncoder
from tests.fakes import WordEmbedder


class TwoSided(WordEmbedder):
    def embed_queries(self, texts):
        return super().embed_queries([f"query {text}" for text in texts])


def encode(encoder, texts, prompt_type=None):
    batches = [{"text": texts[:1]}, {"text": texts[1:]}]
    return encoder.encode(batches, task_metadata=None, hf_split="test", hf_subset="default", prompt_type=prompt_type)


TEXTS = ["renew books", "怎么续借", "hours"]


@pytest.mark.parametrize(("side", "document_format", "as_query"), [
    ("query", "{text}", True), ("document", "{text}", False), (None, "{text}", False), (None, "passage: {text}", True),
])  # fmt: skip  # a table
def test_the_prompt_type_decides_and_symmetric_texts_follow_the_model(side, document_format, as_query):
    model = TwoSided()
    model.spec = replace(model.spec, document_format=document_format)
    wanted = model.embed_queries(TEXTS) if as_query else model.embed_documents(TEXTS)
    assert np.array_equal(encode(MtebEncoder(model), TEXTS, side), wanted)


def test_mtebs_own_prompt_types_are_understood():
    types = pytest.importorskip("mteb.types")
    model = TwoSided()
    assert np.array_equal(encode(MtebEncoder(model), TEXTS, types.PromptType.query), model.embed_queries(TEXTS))
    assert np.array_equal(encode(MtebEncoder(model), TEXTS, types.PromptType.document), model.embed_documents(TEXTS))


def test_mteb_takes_it_for_an_encoder_and_nothing_else():
    protocols = pytest.importorskip("mteb.models")
    encoder = MtebEncoder(WordEmbedder())
    assert isinstance(encoder, protocols.EncoderProtocol)
    assert not isinstance(encoder, (protocols.SearchProtocol, protocols.CrossEncoderProtocol))


def test_similarities_are_cosines():
    model = WordEmbedder()
    vectors, encoder = model.embed_documents(TEXTS), MtebEncoder(model)
    assert encoder.similarity(vectors, vectors[:2]).shape == (3, 2)
    assert np.allclose(np.diag(encoder.similarity(vectors, vectors)), 1)
    assert np.allclose(
        encoder.similarity_pairwise(vectors, vectors[::-1]),
        [v @ w for v, w in zip(vectors, vectors[::-1], strict=True)],
    )
    assert encoder.similarity(vectors[0], vectors[1]).shape == (1, 1)


def test_the_meta_names_model_revision_and_experiment():
    pytest.importorskip("mteb")
    model = WordEmbedder(revision="abc")
    meta = MtebEncoder(model, {"dim": 32}).mteb_model_meta
    assert (meta.name, meta.revision, meta.embed_dim, meta.experiment_name) == ("tests/words", "abc", 64, "dim_32")
    model.spec = replace(model.spec, model="mine", revision="")
    meta = MtebEncoder(model).mteb_model_meta
    assert (meta.name, meta.revision, meta.use_instructions) == ("local/mine", "no_revision", False)
