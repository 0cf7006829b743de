"""Quarry in LangChain, by LangChain's own entry points: invoke, batch, ainvoke, a chain, a vector store."""

import asyncio
import json

import numpy as np
import pytest

pytest.importorskip("langchain_core", reason="needs LangChain (pip install 'quarry-search[langchain]')")
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from quarry.app.integrations.langchain import QuarryEmbeddings, QuarryReranker, QuarryRetriever
from quarry.indexer.errors import IndexFormatError, ModelError
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.app.integrations.conftest import DOCUMENTS, TwoFormats
from tests.fakes import OverlapReranker, WordEmbedder


@pytest.fixture
def retriever(index):
    return QuarryRetriever.open(index, k=3, embedder=WordEmbedder())


def test_documents_are_those_of_the_searcher(retriever, index):
    documents = retriever.invoke("renew the books")
    answer = Searcher.open(index, embedder=WordEmbedder()).search("renew the books", k=3)
    assert [(d.id, d.page_content, d.metadata["score"]) for d in documents] == [
        (r.chunk_id, r.text, r.score) for r in answer.results
    ]
    first = documents[0].metadata
    assert (first["source"], first["title"], first["page"], first["lang"]) == ("loans.md", "Loans", None, "en")
    assert DOCUMENTS[0].text[first["start"] : first["end"]] == documents[0].page_content
    evidence = answer.results[0].evidence
    assert first["stage_scores"] == {
        "dense": evidence.dense.score,
        "bm25": evidence.bm25.score,
        "fusion": evidence.fusion.score,
    }
    assert first["stage_ranks"]["bm25"] == 1
    assert (first["stage"], first["score"], first["degraded"]) == ("fusion", evidence.fusion.score, [])
    json.dumps(first)


def test_chinese_page_numbers_and_k_of_one_call(retriever):
    (found,) = retriever.invoke("怎么续借图书？", k=1)
    assert found.metadata["doc_id"] == "借书.md"
    (hours,) = retriever.invoke("when does the library open", k=1)
    assert hours.metadata["page"] == 1
    with pytest.raises(ValueError, match="k is 0"):
        retriever.invoke("books", k=0)


def test_async_batch_and_chain_give_the_same(retriever):
    questions = ["renew the books", "怎么续借图书？"]
    one_by_one = [retriever.invoke(question) for question in questions]
    assert retriever.batch(questions) == one_by_one
    assert asyncio.run(retriever.abatch(questions)) == one_by_one
    assert len(asyncio.run(retriever.ainvoke(questions[0], k=1))) == 1
    chain = retriever | RunnableLambda(lambda documents: documents[0].metadata["source"])
    assert chain.invoke(questions[0]) == "loans.md"


def test_options_and_reranker_reach_the_search(index):
    options = SearchOptions(filters={"lang": ["zh"]})
    found = QuarryRetriever.open(index, embedder=WordEmbedder(), options=options).invoke("books 书")
    assert {document.metadata["lang"] for document in found} == {"zh"}
    plain = QuarryRetriever.open(index, embedder=WordEmbedder())
    for name in ("filter", "filters"):
        assert {document.metadata["lang"] for document in plain.invoke("books 书", **{name: {"lang": "zh"}})} == {"zh"}
        assert asyncio.run(plain.ainvoke("books 书", **{name: {"lang": "zh"}})) == found
    with pytest.raises(TypeError, match="the filter is a function"):
        plain.invoke("books", filter=lambda _document: True)
    reranked = QuarryRetriever.open(index, embedder=WordEmbedder(), rerank=OverlapReranker()).invoke(
        "renew books twice"
    )
    assert reranked[0].metadata["stage"] == "rerank"
    assert reranked[0].metadata["stage_ranks"]["rerank"] == 1


def test_callbacks_see_the_documents_and_the_error(retriever):
    seen = []

    class Handler(BaseCallbackHandler):
        def on_retriever_end(self, documents, **kwargs):
            seen.append(len(documents))

        def on_retriever_error(self, error, **kwargs):
            seen.append(str(error))

    retriever.invoke("books", {"callbacks": [Handler()]}, k=2)
    with pytest.raises(ValueError, match="is empty"):
        retriever.invoke("  ", {"callbacks": [Handler()]})
    assert seen[0] == 2
    assert "is empty" in seen[1]


def test_a_missing_model_costs_quality_and_is_told(index):
    documents = QuarryRetriever.open(index).invoke("renew the books")
    assert documents[0].metadata["source"] == "loans.md"
    (note,) = documents[0].metadata["degraded"]
    assert "tests/words" in note
    assert "BM25 answered" in note


def test_a_lexical_index_and_no_index(lexical_index, tmp_path):
    first = QuarryRetriever.open(lexical_index, k=1, options=SearchOptions(route="bm25")).invoke("续借")[0].metadata
    assert (first["source"], list(first["stage_scores"]), first["degraded"]) == ("借书.md", ["bm25"], [])
    with pytest.raises(IndexFormatError):
        QuarryRetriever.open(tmp_path / "nothing")
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        QuarryRetriever.open(lexical_index, k=0)


def test_embeddings_are_the_embedders_and_serve_a_vector_store():
    embeddings = QuarryEmbeddings(WordEmbedder())
    texts = [document.text for document in DOCUMENTS]
    assert np.allclose(embeddings.embed_documents(texts), WordEmbedder().embed_documents(texts))
    assert isinstance(embeddings.embed_query("books")[0], float)
    assert asyncio.run(embeddings.aembed_query("续借")) == embeddings.embed_query("续借")
    assert embeddings.embed_documents([]) == []
    store = InMemoryVectorStore(embeddings)
    store.add_documents([Document(page_content=text) for text in texts])
    assert store.similarity_search("在网上续借两次", k=1)[0].page_content == texts[2]


def test_queries_and_passages_keep_their_own_formats():
    embeddings = QuarryEmbeddings(TwoFormats())
    assert np.allclose(embeddings.embed_query("book"), embeddings.embed_documents(["query book"])[0])


def test_embeddings_by_name(index, lexical_index):
    with pytest.raises(ModelError, match="tests/words"):
        QuarryEmbeddings.load(str(index))
    with pytest.raises(ModelError, match="was built without a model"):
        QuarryEmbeddings.load(str(lexical_index))
    with pytest.raises(ModelError, match="there is no embedder"):
        QuarryEmbeddings.load("none")


def test_the_example_prints_passages_with_sources(run_example):
    out = run_example("langchain_rag.py")
    assert "[1] documents/chloroplast-1.md, score " in out
    assert "[1] documents/黑死病-1.jsonl, score " in out
    assert out.count("[1]") == 2


def test_without_langchain_the_extra_is_named(import_without):
    assert "pip install 'quarry-search[langchain]'" in import_without(
        "quarry.app.integrations.langchain", "langchain_core"
    )


def test_the_reranker_orders_documents_of_any_retriever(retriever):
    compressor = QuarryReranker(reranker=OverlapReranker(), top_n=2)
    given = [
        Document(id=str(place), page_content=text, metadata={"n": place})
        for place, text in enumerate(["closed on Mondays", "books", "renew books twice online", "可以在网上续借两次"])
    ]
    best = compressor.compress_documents(given, "renew books online")
    assert [(document.id, document.metadata["n"]) for document in best] == [("2", 2), ("1", 1)]
    assert best[0].metadata["relevance_score"] > best[1].metadata["relevance_score"]
    assert "relevance_score" not in given[2].metadata
    assert asyncio.run(compressor.acompress_documents(given, "网上续借"))[0].id == "3"
    assert compressor.compress_documents([], "a") == []
    with pytest.raises(ValueError, match="top_n is 2 and the query ' '"):
        compressor.compress_documents(given, " ")
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        QuarryReranker(reranker=OverlapReranker(), top_n=0)
    with pytest.raises(ModelError, match="nothing/here"):
        QuarryReranker.load("nothing/here")
    json.dumps(best[0].metadata)
