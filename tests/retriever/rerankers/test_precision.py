"""Rankings in bfloat16 are those of float32: first by vectors of the offline model, then by rerankers of every kind."""

import numpy as np
import pytest
import torch

from quarry.indexer.models import offline_bundle
from quarry.indexer.models.encoder import EncoderOptions, load_embedder
from quarry.retriever.data.datasets import documents, load_dataset
from quarry.retriever.evaluation.measures import ndcg
from quarry.retriever.rerankers.cross_encoder import load_reranker
from tests.retriever.rerankers.tiny_rerankers import PASSAGES, QUERY, make

GEMMA = "BAAI/bge-reranker-v2-gemma"
KINDS = [("xlm-roberta", None), ("bert", None), ("gemma", GEMMA), ("gemma2", GEMMA), ("llama", GEMMA)]


@pytest.mark.model
@pytest.mark.data
@pytest.mark.parametrize("name", ["cmrc2018-zh", "xquad-en"])
def test_chinese_and_english_texts_have_the_vectors_and_the_ranking_of_float32(shared_data, name):
    data = load_dataset(shared_data / name)
    asked = data.queries[:24]
    judged = sorted({doc_id for query in asked for doc_id in data.qrels[query.query_id]})
    texts = {document.doc_id: document.text[:200] for document in documents(data)}
    gains, vectors = {}, {}
    for precision in ("float32", "bfloat16"):
        options = EncoderOptions(precision=precision)
        embedder = load_embedder(offline_bundle.bundle_folder(), device="cpu", options=options)
        queries = embedder.embed_queries([query.text for query in asked])
        passages = embedder.embed_documents([texts[doc_id] for doc_id in judged])
        vectors[precision] = np.concatenate([queries, passages])
        gains[precision] = np.mean(
            [
                ndcg([judged[row] for row in np.argsort(-(passages @ vector))], data.qrels[query.query_id], 10)
                for query, vector in zip(asked, queries, strict=True)
            ]
        )
    assert (vectors["float32"] * vectors["bfloat16"]).sum(axis=1).min() >= 0.9999
    assert gains["bfloat16"] == pytest.approx(gains["float32"], abs=0.01)
    assert gains["float32"] > 0.4  # a canary: it does rank


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_products_in_bfloat16_cost_less_than_a_whole_model_in_it(tmp_path, kind, name):
    """The whole model in bfloat16 is how GPUs compute, and how FlagEmbedding runs its rerankers."""
    folder = make(tmp_path, kind)
    passages = [*PASSAGES, *(f"renew {number} 续借" for number in range(20))]
    exact = load_reranker(folder, model_id=name, device="cpu", precision="float32").score(QUERY, passages)
    reranker = load_reranker(folder, model_id=name, device="cpu", precision="bfloat16")
    mixed = reranker.score(QUERY, passages)
    assert 0 < np.abs(mixed - exact).max() <= 0.02
    model = reranker._model if name is None else reranker._scorer.__closure__[0].cell_contents
    model.base_model.to(torch.bfloat16)
    whole = reranker.score(QUERY, passages)
    assert np.abs(mixed - exact).mean() <= np.abs(whole - exact).mean()


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_passage_scores_alike_alone_and_in_company(tmp_path, kind, name):
    reranker = load_reranker(make(tmp_path, kind), model_id=name, device="cpu", precision="bfloat16")
    alone = np.concatenate([reranker.score(QUERY, [passage]) for passage in PASSAGES])
    assert np.abs(reranker.score(QUERY, PASSAGES) - alone).max() <= 0.01


def test_the_device_may_say_the_precision_and_the_argument_comes_first(tmp_path):
    folder = make(tmp_path, "bert")
    assert load_reranker(folder, device="cpu:float32").precision == "float32"
    assert load_reranker(folder, device="cpu:float32", precision="bfloat16").precision == "bfloat16"
