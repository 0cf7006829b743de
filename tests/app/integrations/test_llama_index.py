"""Quarry in LlamaIndex, by LlamaIndex's own entry points: retrieve, a query engine, an index of vectors, a postprocessor."""

import asyncio

import numpy as np
import pytest

pytest.importorskip("llama_index.core", reason="needs LlamaIndex (pip install 'quarry-search[llama-index]')")
from llama_index.core import VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

from quarry.app.integrations.llama_index import QuarryEmbedding, QuarryReranker, QuarryRetriever
from quarry.indexer.errors import ModelError
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.app.integrations.conftest import DOCUMENTS, TwoFormats
from tests.fakes import OverlapReranker, WordEmbedder


@pytest.fixture
def retriever(index):
    return QuarryRetriever.open(index, k=3, embedder=WordEmbedder())


def test_nodes_are_the_searchers_results(retriever, index):
    nodes = retriever.retrieve("renew the books")
    answer = Searcher.open(index, embedder=WordEmbedder()).search("renew the books", k=3)
    assert [(n.node_id, n.text, n.score) for n in nodes] == [(r.chunk_id, r.text, r.score) for r in answer.results]
    first = nodes[0]
    assert (first.metadata["source"], first.metadata["lang"], first.metadata["page"]) == ("loans.md", "en", None)
    assert first.metadata["stage_scores"]["bm25"] == answer.results[0].evidence.bm25.score
    assert first.metadata["degraded"] == []
    assert first.node.ref_doc_id == "loans.md"
    assert DOCUMENTS[0].text[first.node.start_char_idx : first.node.end_char_idx] == first.text


def test_a_prompt_sees_the_source_and_no_numbers(retriever):
    shown = retriever.retrieve("renew the books")[0].node.get_content(metadata_mode=MetadataMode.LLM)
    assert "source: loans.md" in shown
    assert "stage_scores" not in shown
    assert "score" not in shown


def test_chinese_filters_and_async(index):
    retriever = QuarryRetriever.open(
        index, k=2, embedder=WordEmbedder(), options=SearchOptions(filters={"lang": ["zh"]})
    )
    nodes = retriever.retrieve("怎么续借图书？")
    assert [node.metadata["doc_id"] for node in nodes] == ["借书.md"]
    assert asyncio.run(retriever.aretrieve(QueryBundle("怎么续借图书？"))) == nodes
    with pytest.raises(ValueError, match="k is 0"):
        QuarryRetriever.open(index, k=0)
    with pytest.raises(ValueError, match="is empty"):
        retriever.retrieve(" ")


def test_llama_indexes_own_names_and_filters(index):
    def langs(*filters, condition="and"):
        wanted = MetadataFilters(filters=list(filters), condition=condition)
        retriever = QuarryRetriever.open(index, similarity_top_k=9, embedder=WordEmbedder(), filters=wanted)
        return {node.metadata["lang"] for node in retriever.retrieve("books 书")}

    zh, en = (MetadataFilter(key="lang", value=value) for value in ("zh", "en"))
    assert langs(zh) == {"zh"}
    assert langs(zh, en) == set()
    assert langs(zh, en, condition="or") == {"zh", "en"}
    assert langs(MetadataFilter(key="lang", value=["zh"], operator="in")) == {"zh"}
    assert langs(MetadataFilter(key="lang", value=["zh"], operator="nin")) == {"en"}
    assert langs(MetadataFilter(key="lang", value="zh", operator="!=")) == {"en"}
    assert langs(MetadataFilters(filters=[zh, en], condition="or"), zh) == {"zh"}
    assert len(QuarryRetriever.open(index, similarity_top_k=1, embedder=WordEmbedder()).retrieve("books")) == 1
    plain = QuarryRetriever.open(index, embedder=WordEmbedder(), filters={"lang": "zh"})
    assert {node.metadata["lang"] for node in plain.retrieve("books 书")} == {"zh"}
    for wrong in (
        [MetadataFilter(key="lang", value="zh", operator="text_match")],
        [zh, MetadataFilter(key="title", value="x")],
    ):
        with pytest.raises(ValueError, match="expected"):
            QuarryRetriever.open(index, filters=MetadataFilters(filters=wrong, condition="or"))


def test_a_query_engine_answers_with_sources(retriever):
    answer = RetrieverQueryEngine.from_args(retriever, llm=MockLLM()).query("clean the nozzle")
    assert answer.source_nodes[0].metadata["source"] == "printer.md"
    assert "PLA filament" in str(answer)  # the mock repeats its prompt


def test_a_missing_model_costs_quality_and_is_told(index, lexical_index):
    (note,) = QuarryRetriever.open(index, k=1).retrieve("renew the books")[0].metadata["degraded"]
    assert "BM25 answered" in note
    lexical = QuarryRetriever.open(lexical_index, k=1, options=SearchOptions(route="bm25")).retrieve("续借")[0]
    assert (lexical.metadata["source"], list(lexical.metadata["stage_scores"])) == ("借书.md", ["bm25"])


def test_embeddings_are_the_embedders_and_serve_an_index():
    embedding = QuarryEmbedding(WordEmbedder())
    texts = [document.text for document in DOCUMENTS]
    wanted = WordEmbedder().embed_documents(texts)
    assert embedding.model_name == "tests/words"
    assert np.allclose(embedding.get_text_embedding_batch(texts), wanted)
    assert np.allclose(asyncio.run(embedding.aget_text_embedding_batch(texts)), wanted)
    assert np.allclose(embedding.get_text_embedding(texts[0]), wanted[0])
    assert asyncio.run(embedding.aget_text_embedding(texts[0])) == embedding.get_text_embedding(texts[0])
    assert asyncio.run(embedding.aget_query_embedding("续借")) == embedding.get_query_embedding("续借")
    made = VectorStoreIndex([TextNode(text=text) for text in texts], embed_model=embedding)
    assert made.as_retriever(similarity_top_k=1).retrieve("在网上续借两次")[0].text == texts[2]
    with pytest.raises(ModelError, match="there is no embedder"):
        QuarryEmbedding.load("none")


def test_queries_and_passages_keep_their_own_formats():
    embedding = QuarryEmbedding(TwoFormats())
    assert np.allclose(embedding.get_query_embedding("book"), embedding.get_text_embedding("query book"))


def test_the_reranker_orders_cuts_and_leaves_the_nodes_alone():
    nodes = [NodeWithScore(node=TextNode(text=document.text), score=0.5) for document in DOCUMENTS]
    reranker = QuarryReranker(reranker=OverlapReranker(), top_n=2)
    found = reranker.postprocess_nodes(nodes, query_str="可以在网上续借")
    assert found[0].node is nodes[2].node
    assert found[0].score == pytest.approx(OverlapReranker().score("可以在网上续借", [DOCUMENTS[2].text])[0])
    assert found[0].score > found[1].score
    assert len(found) == 2
    assert [node.score for node in nodes] == [0.5] * 4
    assert found[1].node is nodes[0].node  # equal scores keep their order
    assert asyncio.run(reranker.apostprocess_nodes(nodes, query_str="可以在网上续借")) == found
    assert reranker.postprocess_nodes([], query_str="books") == []
    with pytest.raises(ValueError, match="no query was given"):
        reranker.postprocess_nodes(nodes)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        QuarryReranker(reranker=OverlapReranker(), top_n=0)
    with pytest.raises(ModelError, match="is not a folder"):
        QuarryReranker.load("./no-such-reranker")


def test_the_example_prints_passages_with_sources(run_example):
    out = run_example("llama_index_rag.py")
    assert "[1] documents/chloroplast-1.md, score " in out
    assert "[1] documents/黑死病-1.jsonl, score " in out


def test_without_llama_index_the_extra_is_named(import_without):
    assert "pip install 'quarry-search[llama-index]'" in import_without(
        "quarry.app.integrations.llama_index", "llama_index"
    )
