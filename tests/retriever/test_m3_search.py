"""An index of a (tiny, random) bge-m3: its own heads order the candidates, and older indexes go on answering."""

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import heads_of
from quarry.indexer.models.digest import content_digest
from quarry.indexer.models.encoder import load_embedder
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.tokens.cache import TokenCache
from quarry.retriever.rerankers.late_interaction import z_scores
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.indexer.models.tiny_models import make_model
from tests.m3 import make_m3, plain_scores

QUESTION = "how do I renew a book"
DOCUMENTS = [
    Document("loans", "Books may be renewed twice online, at the desk or by phone."),
    Document("printers", "The 3D printer takes filament of 1.75 mm; book a slot first."),
    Document("fees", "Late fees are ten cents a day for every item."),
    Document("zh", "图书可以在网上续借两次。"),
]


def load(folder):
    return load_embedder(folder, model_id="BAAI/bge-m3", revision=content_digest(folder), device="cpu:float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_m3(tmp_path_factory.mktemp("m3"))


@pytest.fixture(scope="module")
def index(tmp_path_factory, folder):
    root = tmp_path_factory.mktemp("index") / "i"
    index_documents(root, DOCUMENTS, load(folder), BuildOptions(model_folder=str(folder)))
    return root


def rerank_stage(answer):
    (report,) = [report for report in answer.stages if report.stage == "rerank"]
    return report


def test_the_models_own_sum_orders_the_candidates_although_they_share_words(folder, index):
    assert Index.open(index).manifest.token_states  # by default
    searcher = Searcher.open(index, embedder=load(folder))
    answer = searcher.search(QUESTION, k=4)
    first = searcher.search(QUESTION, k=4, options=SearchOptions(rerank=False))
    assert rerank_stage(answer).status == "ran" and rerank_stage(answer).reason is None
    assert any(result.evidence.terms for result in answer.results)
    before = {result.doc_id: result.score for result in first.results}
    plain = {result.doc_id: plain_scores(folder, QUESTION, result.text) for result in first.results}
    for result in answer.results:
        found = searcher.m3_score(QUESTION, result)
        dense, sparse, multi = plain[result.doc_id]
        # states are kept as signed bytes, weights in half precision
        assert found.dense == pytest.approx(dense, abs=1e-5) and found.sparse == pytest.approx(sparse, abs=1e-3)
        assert found.multi_vector == pytest.approx(multi, abs=0.01)
        assert found.total == pytest.approx(dense + 0.3 * sparse + multi, abs=0.01)
    names = list(before)
    totals = z_scores(np.array([plain[name][0] + 0.3 * plain[name][1] + plain[name][2] for name in names]))
    expected = z_scores(np.array([before[name] for name in names])) + totals
    order = [names[row] for row in np.argsort(-expected)]
    assert [result.doc_id for result in answer.results] == order


def test_explain_shows_the_three_parts_and_which_tokens_met(index):
    result = CliRunner().invoke(cli, ["search", str(index), QUESTION, "-k", "2", "--explain"])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.output.splitlines() if line.startswith("   M3: dense ")]
    assert len(lines) == 2 and all(" + 0.3 x sparse " in line and " + multi-vector " in line for line in lines)
    assert any(line.startswith("   tokens: how ~ ") for line in result.output.splitlines())


def test_an_index_made_before_there_were_heads_answers_and_says_what_to_run(tmp_path, folder):
    old = load(make_model(tmp_path / "old", "xlm-roberta"))
    assert heads_of(old) == ""
    index_documents(tmp_path / "i", DOCUMENTS, old, BuildOptions(rerank_vectors=True))
    embedder = load(folder)
    answer = Searcher.open(tmp_path / "i", embedder=embedder).search("zzz qqq", k=4)
    assert len(answer.results) == 4 and rerank_stage(answer).status == "failed"
    assert "--rerank-vectors" in str(answer.degraded[0]) and "heads" in str(answer.degraded[0])
    report = index_documents(tmp_path / "i", DOCUMENTS, embedder)
    assert report.encoded == 4 and not report.switched
    again = Searcher.open(tmp_path / "i", embedder=embedder).search("zzz qqq", k=4)
    assert rerank_stage(again).status == "ran" and not again.degraded


def test_an_index_without_token_states_answers_by_the_first_stage(tmp_path, folder):
    embedder, plain = load(folder), BuildOptions(rerank_vectors=False)
    index_documents(tmp_path / "i", DOCUMENTS, embedder, plain)
    answer = Searcher.open(tmp_path / "i", embedder=embedder).search(QUESTION, k=4)
    assert rerank_stage(answer).status == "off" and "--rerank-vectors" in str(rerank_stage(answer).reason)
    assert answer.results[0].stage == "fusion"
    index_documents(tmp_path / "i", DOCUMENTS, embedder, replace(plain, rerank_vectors=True))
    assert rerank_stage(Searcher.open(tmp_path / "i", embedder=embedder).search(QUESTION, k=4)).status == "ran"


def test_weights_of_terms_are_stored_with_the_states(index, folder):
    cache, found = TokenCache.read(index, load(folder).spec.fingerprint), {}
    opened = Index.open(index)
    ids, digests = opened.chunks.digests()
    embedder = load(folder)
    embedder.embed_documents_and_parts(opened.chunks.texts(ids), lambda *_: None, found.__setitem__)
    assert cache.heads() == heads_of(embedder)
    for row, stored in enumerate(cache.terms(digests)):
        assert np.array_equal(stored.ids, found[row].ids)
        np.testing.assert_allclose(stored.weights, found[row].weights, rtol=1e-3, atol=1e-6)
    assert cache.terms([b"unknown"]) == [None]
