"""Quarry for LangChain: `QuarryRetriever` (a Runnable), `QuarryReranker` and `QuarryEmbeddings`. The extra is `langchain`.

Example:
    retriever = QuarryRetriever.open("my-index", k=5, rerank="auto")
    chain = {"context": retriever, "question": RunnablePassthrough()} | prompt | chat_model

As with `Searcher.open`, a missing model or reranker costs quality, not the answer: `metadata["degraded"]` of every document
says what was missing.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, Field, SkipValidation

from quarry.app.integrations.common import embedder_for, passages, reranked, reranker_for
from quarry.app.integrations.filters import of_langchain
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import MissingExtraError
from quarry.retriever.base import Reranker
from quarry.retriever.searcher import Filters, Searcher, SearchOptions

try:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun, Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import run_in_executor
except ImportError as err:
    raise MissingExtraError(
        "integrations.no_langchain",
        "LangChain cannot be imported ({reason})",
        expected="langchain-core",
        do="Run `pip install 'quarry-search[langchain]'`",
        reason=str(err),
    ) from err


class QuarryRetriever(BaseRetriever):
    """Searches an index. `invoke(question, k=3, filter={"lang": "zh"})` overrides `k` and the filters for that call.

    Attributes:
        searcher: The opened index.
        k: Passages per question, at least 1.
        options: Route, reranking, time budgets and filters.
    """

    searcher: SkipValidation[Searcher]
    k: int = Field(default=10, ge=1)
    options: SkipValidation[SearchOptions] = SearchOptions()

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
    ) -> Self:
        """Open an index folder; arguments and errors are those of `Searcher.open`."""
        return cls(searcher=Searcher.open(index, embedder=embedder, rerank=rerank, device=device), k=k, options=options)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun | None = None,  # noqa: ARG002 (LangChain passes it)
        k: int | None = None,
        filter: Filters | None = None,
        filters: Filters | None = None,
    ) -> list[Document]:
        """Return the best passages.

        Raises:
            ValueError: If the query is empty, k < 1, or the filter names unknown metadata or cannot be answered.
        """
        self.searcher = self.searcher.newest()
        wanted = of_langchain(filter, filters)
        options = self.options if wanted is None else replace(self.options, filters=wanted)
        found = passages(self.searcher, query, self.k if k is None else k, options)
        return [Document(id=hit.chunk_id, page_content=hit.text, metadata=metadata) for hit, metadata in found]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun | None = None,  # noqa: ARG002 (LangChain passes it)
        k: int | None = None,
        filter: Filters | None = None,
        filters: Filters | None = None,
    ) -> list[Document]:
        return await run_in_executor(None, self._get_relevant_documents, query, k=k, filter=filter, filters=filters)


class QuarryEmbeddings(Embeddings):
    """Quarry's embedder for LangChain's vector stores; queries and passages each get the model's own format."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    @classmethod
    def load(cls, model: str = "auto", device: str = "auto") -> Self:
        """Load a model: `auto`, a repository id, a model folder, or an index folder (its model). Raises ModelError."""
        return cls(embedder_for(model, device))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one unit vector per passage; `aembed_documents` does it in a thread."""
        vectors: list[list[float]] = self.embedder.embed_documents(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the unit vector of a question; `aembed_query` does it in a thread."""
        vector: list[float] = self.embedder.embed_queries([text])[0].tolist()
        return vector


class QuarryReranker(BaseDocumentCompressor):
    """Reranks the documents of any retriever; `QuarryRetriever(rerank=...)` also has a time budget.

    Attributes:
        reranker: The loaded model.
        top_n: Maximum number of documents to return, at least 1.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    reranker: SkipValidation[Reranker] = Field(exclude=True)
    top_n: int = Field(default=10, ge=1)

    @classmethod
    def load(cls, model: str = "auto", device: str = "auto", top_n: int = 10) -> Self:
        """Load a reranker: `auto` (the best one on this machine), a repository id, or a folder. Raises ModelError."""
        return cls(reranker=reranker_for(model, device), top_n=top_n)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 (LangChain passes it)
    ) -> list[Document]:
        """Return copies of the best documents with the logit as `relevance_score` in their metadata, best first.

        `acompress_documents` does it in a thread.

        Raises:
            ValueError: If the query is blank.
        """
        order = reranked(self.reranker, query, [document.page_content for document in documents], self.top_n)
        return [
            documents[place].model_copy(update={"metadata": {**documents[place].metadata, "relevance_score": score}})
            for place, score in order
        ]
