"""Quarry in Haystack, by Haystack's own entry points: pipelines, saved and loaded, with and without waiting."""

import asyncio
import json
import os

import numpy as np
import pytest

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
pytest.importorskip("haystack", reason="needs Haystack (pip install 'quarry-search[haystack]')")
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

from quarry.app.integrations import haystack as adapter
from quarry.app.integrations.haystack import QuarryDocumentEmbedder, QuarryRanker, QuarryRetriever, QuarryTextEmbedder
from quarry.indexer.build import index_documents
from quarry.indexer.errors import IndexFormatError, ModelError
from quarry.indexer.records import Document as Stored
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.app.integrations.conftest import DOCUMENTS, TwoFormats
from tests.fakes import OverlapReranker, WordEmbedder

ZH = {"field": "meta.lang", "operator": "==", "value": "zh"}
EN = {"field": "meta.lang", "operator": "in", "value": ["en", "zh"]}


@pytest.fixture
def fake_models(monkeypatch):
    """Models of tests.fakes under any name; returns the names that were loaded."""
    loaded = []
    monkeypatch.setattr(adapter, "embedder_for", lambda model, _device: loaded.append(model) or WordEmbedder())
    monkeypatch.setattr(adapter, "reranker_for", lambda model, _device: loaded.append(model) or OverlapReranker())
    return loaded


def test_documents_are_the_searchers_results(lexical_index):
    documents = QuarryRetriever(lexical_index, top_k=2, route="bm25").run("renew the books 续借")["documents"]
    answer = Searcher.open(lexical_index).search("renew the books 续借", k=2, options=SearchOptions(route="bm25"))
    assert [(d.id, d.content, d.score) for d in documents] == [(r.chunk_id, r.text, r.score) for r in answer.results]
    meta = documents[0].meta
    assert meta["source"] in ("loans.md", "借书.md")
    assert list(meta["stage_scores"]) == ["bm25"]
    assert meta["degraded"] == []
    json.dumps(meta)


def test_a_missing_model_costs_quality_and_is_told(index):
    retriever = QuarryRetriever(str(index))
    retriever.warm_up()
    (note,) = retriever.run("renew the books", top_k=1)["documents"][0].meta["degraded"]
    assert "BM25 answered" in note
    with pytest.raises(ValueError, match="is empty"):
        retriever.run("  ")
    with pytest.raises(ValueError, match="k is 0"):
        retriever.run("books", top_k=0)


def test_making_a_component_opens_and_loads_nothing(tmp_path):
    retriever = QuarryRetriever(str(tmp_path / "nothing"))
    with pytest.raises(IndexFormatError):
        retriever.warm_up()
    with pytest.raises(ModelError, match="there is no embedder"):
        QuarryTextEmbedder("none").warm_up()
    with pytest.raises(ModelError, match="is not a folder"):
        QuarryRanker("./no-such-reranker").warm_up()
    with pytest.raises(ValueError, match="top_k is 0"):
        QuarryRetriever("index", top_k=0)
    with pytest.raises(ValueError, match="top_k is 0"):
        QuarryRanker(top_k=0)


def test_filters_of_haystack(lexical_index):
    retriever = QuarryRetriever(str(lexical_index), filters=ZH)
    asked = "books library printer 借书"
    assert {d.meta["lang"] for d in retriever.run(asked)["documents"]} == {"zh"}
    assert {d.meta["lang"] for d in retriever.run(asked, filters=EN)["documents"]} == {"zh", "en"}
    both = {"operator": "AND", "conditions": [ZH, EN, {"field": "title", "operator": "==", "value": "借书"}]}
    assert adapter.accepted_values(both) == {"lang": ["zh"], "title": ["借书"]}
    assert [d.meta["source"] for d in retriever.run(asked, filters=both)["documents"]] == ["借书.md"]
    none = {"operator": "AND", "conditions": [ZH, {**ZH, "value": "en"}]}
    assert retriever.run(asked, filters=none)["documents"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {**ZH, "operator": "like"},
        {**ZH, "value": None},
        {"operator": "NOT", "conditions": [ZH]},
        {"operator": "OR", "conditions": [ZH, {"field": "title", "operator": "==", "value": "借书"}]},
        {"lang": "zh"},
        {**EN, "value": "zh"},
    ],
)
def test_other_filters_are_refused_at_once(wrong):
    with pytest.raises(ValueError, match="the filter .*expected"):
        QuarryRetriever("index", filters=wrong)


def rag(index) -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("retriever", QuarryRetriever(str(index), top_k=3, filters=EN))
    pipeline.add_component("ranker", QuarryRanker("some/reranker", top_k=2))
    pipeline.connect("retriever.documents", "ranker.documents")
    return pipeline


def test_a_pipeline_runs_survives_saving_and_runs_async(lexical_index, fake_models):
    question = "renew books twice online"
    inputs = {"retriever": {"query": question}, "ranker": {"query": question}}
    documents = rag(lexical_index).run(inputs)["ranker"]["documents"]
    assert documents[0].meta["source"] == "loans.md"
    assert documents[0].score == pytest.approx(OverlapReranker().score(question, [documents[0].content])[0])
    text = rag(lexical_index).dumps()
    again = Pipeline.loads(text, allowed_modules=["quarry.app.integrations.haystack"])
    assert again.dumps() == text
    assert again.run(inputs)["ranker"]["documents"] == documents
    assert asyncio.run(again.run_async(inputs))["ranker"]["documents"] == documents
    assert fake_models == ["some/reranker"] * 2  # once per pipeline, however often it runs


def test_a_component_searches_as_somebody_and_stays_so_when_it_is_saved(tmp_path):
    documents = [
        Stored("open.md", "The gate opens at nine.", "Gate"),
        Stored("pay.md", "The gate keeper earns 4,000.", "Salaries", {"allow": ["board"]}),
    ]
    index_documents(tmp_path / "index", documents, None)

    def seen(principals):
        pipeline = Pipeline()
        pipeline.add_component("found", QuarryRetriever(str(tmp_path / "index"), route="bm25", principals=principals))
        again = Pipeline.loads(pipeline.dumps(), allowed_modules=["quarry.app.integrations.haystack"])
        found = again.run({"found": {"query": "gate keeper"}})["found"]["documents"]
        return {document.meta["doc_id"] for document in found}

    assert seen(["ann"]) == seen([]) == {"open.md"}
    assert seen(["ann", "board"]) == seen(None) == {"open.md", "pay.md"}


def test_embedders_serve_a_document_store(fake_models):
    texts = [document.text for document in DOCUMENTS]
    given = [Document(content=text, meta={"row": row}) for row, text in enumerate(texts)]
    embedded = QuarryDocumentEmbedder("some/model").run(given)["documents"]
    assert np.allclose([document.embedding for document in embedded], WordEmbedder().embed_documents(texts))
    assert [document.id for document in embedded] == [document.id for document in given]
    assert given[0].embedding is None
    store = InMemoryDocumentStore()
    store.write_documents(embedded)
    pipeline = Pipeline()
    pipeline.add_component("embedder", QuarryTextEmbedder("some/model"))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    found = pipeline.run({"embedder": {"text": "在网上续借两次"}})["retriever"]["documents"]
    assert found[0].meta["row"] == 2
    assert asyncio.run(QuarryDocumentEmbedder().run_async(given))["documents"] == embedded
    assert QuarryDocumentEmbedder().run([])["documents"] == []
    asked = QuarryTextEmbedder()
    assert asyncio.run(asked.run_async("续借")) == asked.run("续借")


def test_queries_and_passages_keep_their_own_formats(monkeypatch):
    monkeypatch.setattr(adapter, "embedder_for", lambda _model, _device: TwoFormats())
    (document,) = QuarryDocumentEmbedder().run([Document(content="query book")])["documents"]
    assert np.allclose(QuarryTextEmbedder().run("book")["embedding"], document.embedding)


def test_a_saved_embedder_is_the_same():
    pipeline = Pipeline()
    pipeline.add_component("embedder", QuarryTextEmbedder("some/model", device="cpu"))
    pipeline.add_component("documents", QuarryDocumentEmbedder("other/model"))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["quarry.app.integrations.haystack"])
    embedder, documents = again.get_component("embedder"), again.get_component("documents")
    assert (embedder.model, embedder.device, documents.model) == ("some/model", "cpu", "other/model")


def test_the_ranker_keeps_the_order_of_equals_and_the_given_documents(fake_models):
    given = [Document(content=document.text, score=0.5) for document in DOCUMENTS]
    ranked = QuarryRanker("some/reranker").run("可以在网上续借", given)["documents"]
    assert [document.id for document in ranked] == [given[row].id for row in (2, 0, 1, 3)]
    assert {document.score for document in given} == {0.5}
    assert QuarryRanker("some/reranker").run("books", [])["documents"] == []


def test_the_example_prints_passages_with_sources(run_example):
    out = run_example("haystack_rag.py")
    assert "[1] documents/chloroplast-1.md, score " in out
    assert "[1] documents/黑死病-1.jsonl, score " in out


def test_without_haystack_the_extra_is_named(import_without):
    assert "pip install 'quarry-search[haystack]'" in import_without("quarry.app.integrations.haystack", "haystack")


def test_every_comparison_of_haystack_with_its_own_types(tmp_path):
    documents = [
        Stored(
            f"doc-{year}",
            f"The tide gate of {year}",
            "",
            {"year": year, "tags": ["gate", str(year)], "draft": year > 2023},
        )
        for year in (2022, 2023, 2024)
    ]
    index_documents(tmp_path / "index", documents, None)
    retriever = QuarryRetriever(str(tmp_path / "index"), route="bm25", rerank="none")

    def years(operator, value, field="meta.year"):
        filters = {"field": field, "operator": operator, "value": value}
        return sorted(document.meta["year"] for document in retriever.run("tide gate", filters=filters)["documents"])

    assert years("==", 2023) == [2023]
    assert years("!=", 2023) == [2022, 2024]
    assert years("in", [2022, 2024]) == [2022, 2024]
    assert years("not in", [2022, 2024]) == [2023]
    assert [years(operator, 2023) for operator in (">", ">=", "<", "<=")] == [
        [2024],
        [2023, 2024],
        [2022],
        [2022, 2023],
    ]
    assert years("==", True, "meta.draft") == [2024]
    assert years("==", "2022", "meta.tags") == [2022]
    either = {
        "operator": "OR",
        "conditions": [{"field": "meta.year", "operator": "==", "value": year} for year in (2022, 2023)],
    }
    both = {"operator": "AND", "conditions": [either, {"field": "meta.year", "operator": ">", "value": 2022}]}
    assert [document.meta["year"] for document in retriever.run("tide gate", filters=both)["documents"]] == [2023]
