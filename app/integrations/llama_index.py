"""Quarry for LlamaIndex: `QuarryRetriever`, `QuarryEmbedding` and `QuarryReranker`. The extra is `llama-index`.

Example:
    engine = RetrieverQueryEngine.from_args(QuarryRetriever.open("my-index", k=5, rerank="auto"))

Prefer the retriever's own reranker, which has a time budget and a fallback; `QuarryReranker` is for nodes of other retrievers.
Every node's `metadata["degraded"]` says which stages did not fully run.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, SkipValidation

from quarry.app.integrations.common import TECHNICAL_KEYS, embedder_for, passages, reranked, reranker_for
from quarry.app.integrations.filters import Comparison, all_of, any_of
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import MissingExtraError
from quarry.retriever.base import Reranker
from quarry.retriever.results import Result
from quarry.retriever.searcher import Filters, Searcher, SearchOptions

try:
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.retrievers import BaseRetriever
    from llama_index.core.schema import (
        MetadataMode,
        NodeRelationship,
        NodeWithScore,
        QueryBundle,
        RelatedNodeInfo,
        TextNode,
    )
    from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilters
except ImportError as err:
    raise MissingExtraError(
        "integrations.no_llama_index",
        "LlamaIndex cannot be imported ({reason})",
        expected="llama-index-core",
        do="Run `pip install 'quarry-search[llama-index]'`",
        reason=str(err),
    ) from err


# an element of a list in the metadata counts as a value
_OPERATORS = {
    FilterOperator.NIN: "not in",
    FilterOperator.ANY: "in",
    FilterOperator.CONTAINS: "==",
}


class QuarryRetriever(BaseRetriever):
    """Searches an index. Embeddings and extra strings in a QueryBundle are ignored: Quarry embeds the query itself."""

    def __init__(self, searcher: Searcher, *, k: int = 10, options: SearchOptions = SearchOptions()) -> None:
        """Take an opened index, the number of passages per question, and how to search.

        Raises:
            ValueError: If k < 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        super().__init__()
        self.searcher = searcher
        self.k = k
        self.options = options

    @classmethod
    def open(
        cls,
        index: str | Path,
        *,
        k: int = 10,
        options: SearchOptions = SearchOptions(),
        embedder: Embedder | None = None,
        rerank: str | Reranker | None = "late",
        device: str = "auto",
        similarity_top_k: int | None = None,
        filters: MetadataFilters | Filters | None = None,
    ) -> Self:
        """Open an index folder; the other arguments and errors are those of `Searcher.open`.

        Args:
            index: The index folder.
            k: Passages per question.
            options: How to search.
            embedder: A loaded embedder to use.
            rerank: As for `Searcher.open`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            similarity_top_k: LlamaIndex's name of `k`.
            filters: LlamaIndex's filters, or Quarry's, instead of those of `options`.

        Raises:
            ValueError: If k < 1, or the filters cannot be answered.
        """
        if filters is not None:
            wanted = accepted_values(filters) if isinstance(filters, MetadataFilters) else filters
            options = replace(options, filters=wanted)
        searcher = Searcher.open(index, embedder=embedder, rerank=rerank, device=device)
        return cls(searcher, k=k if similarity_top_k is None else similarity_top_k, options=options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        self.searcher = self.searcher.newest()
        found = passages(self.searcher, query_bundle.query_str, self.k, self.options)
        return [NodeWithScore(node=_node(result, metadata), score=float(result.score)) for result, metadata in found]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def accepted_values(filters: MetadataFilters) -> Filters | None:
    """Translate LlamaIndex filters; `*` in a value is a wildcard, as always in Quarry.

    Raises:
        ValueError: If they have `NOT`, `OR` of several keys, or an operator that a search cannot answer.
    """
    return all_of(_comparisons(filters))


def _comparisons(filters: MetadataFilters) -> Iterator[Comparison]:
    parts: list[Comparison] = []
    for each in filters.filters:
        if isinstance(each, MetadataFilters):
            parts += _comparisons(each)
        else:
            parts.append(Comparison(each.key, _OPERATORS.get(each.operator, each.operator.value), each.value))
    condition = filters.condition or FilterCondition.AND
    if condition is FilterCondition.NOT:
        raise ValueError("the filter has NOT; expected AND, or OR of one key. Use the operators != and nin")
    yield from parts if condition is FilterCondition.AND or not parts else [any_of(parts)]


def _node(result: Result, metadata: dict[str, Any]) -> TextNode:
    """Return a passage as a node of its document; prompts and embeddings see its source, title and page only."""
    return TextNode(
        id_=result.chunk_id,
        text=result.text,
        metadata=metadata,
        excluded_llm_metadata_keys=list(TECHNICAL_KEYS),
        excluded_embed_metadata_keys=list(TECHNICAL_KEYS),
        start_char_idx=result.start,
        end_char_idx=result.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=result.doc_id)},
    )


class QuarryEmbedding(BaseEmbedding):
    """Quarry's embedder for LlamaIndex; queries and passages each get the model's own format."""

    _embedder: Embedder = PrivateAttr()

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(model_name=embedder.spec.model)
        self._embedder = embedder

    @classmethod
    def load(cls, model: str = "auto", device: str = "auto") -> Self:
        """Load a model: `auto`, a repository id, a model folder, or an index folder (its model). Raises ModelError."""
        return cls(embedder_for(model, device))

    @classmethod
    def class_name(cls) -> str:
        """Return the name in LlamaIndex's events."""
        return "QuarryEmbedding"

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._embedder.embed_queries([query])[0].tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.embed_documents(texts).tolist()
        return vectors

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


class QuarryReranker(BaseNodePostprocessor):
    """Reranks the nodes of any retriever; scores become the reranker's logits.

    Attributes:
        reranker: The loaded model.
        top_n: Maximum number of nodes to return, at least 1.
    """

    reranker: SkipValidation[Reranker] = Field(exclude=True)
    top_n: int = Field(default=10, ge=1)

    @classmethod
    def load(cls, model: str = "auto", device: str = "auto", top_n: int = 10) -> Self:
        """Load a reranker: `auto` (the best one on this machine), a repository id, or a folder. Raises ModelError."""
        return cls(reranker=reranker_for(model, device), top_n=top_n)

    @classmethod
    def class_name(cls) -> str:
        """Return the name in LlamaIndex's events."""
        return "QuarryReranker"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("no query was given; expected query_bundle or query_str")
        texts = [node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        order = reranked(self.reranker, query_bundle.query_str, texts, self.top_n)
        return [NodeWithScore(node=nodes[position].node, score=score) for position, score in order]
