"""An index as LangChain's `VectorStore`: documents go in and come out whole, and `as_retriever` works as usual.

Example:
    store = QuarryVectorStore.from_texts(texts, QuarryEmbeddings.load(), metadatas, index="my-index")
    store.similarity_search("怎么续借", k=3, filter={"lang": "zh"})

A LangChain document is one document of the index, found by its best passage. For passages with the evidence of every stage use
`QuarryRetriever` on the same folder. Every writing call creates a generation, so add many documents at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from json import loads
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np

from quarry.app.integrations.filters import of_langchain
from quarry.app.integrations.langchain import QuarryEmbeddings
from quarry.app.wiring import live_manifest
from quarry.indexer.build import delete_documents, index_documents, remove_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.build.removal import Selection
from quarry.indexer.errors import MissingExtraError
from quarry.indexer.records import Document as Stored
from quarry.retriever.live import LiveSearcher
from quarry.retriever.ranking import Query
from quarry.retriever.runs import document_run
from quarry.retriever.searcher import Filters, Searcher, SearchOptions, document_of

try:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore
    from langchain_core.vectorstores.utils import maximal_marginal_relevance
except ImportError as err:
    raise MissingExtraError(
        "integrations.no_langchain",
        "LangChain cannot be imported ({reason})",
        expected="langchain-core",
        do="Run `pip install 'quarry-search[langchain]'`",
        reason=str(err),
    ) from err

_DEEPER = 8
_WHOLE = "langchain"  # metadata key that older versions stored all metadata under, as JSON


class QuarryVectorStore(VectorStore):
    """Documents in an index folder, created by the first addition. Other programs may use the folder at the same time."""

    def __init__(
        self, index: str | Path, embeddings: QuarryEmbeddings, *, options: SearchOptions = SearchOptions()
    ) -> None:
        """Open a folder.

        Args:
            index: The index folder, existing or not.
            embeddings: The model; for an existing index, the one it was built with.
            options: Route (`hybrid` by default), reranking, time budgets, and as whom to read.

        Raises:
            TypeError: If the embeddings are not Quarry's, whose revision an index records.
            IndexMismatchError: If an existing index was built with another model.
        """
        if not isinstance(embeddings, QuarryEmbeddings):
            raise TypeError(
                f"the embeddings are {type(embeddings).__name__}; expected QuarryEmbeddings. Make them by "
                "QuarryEmbeddings.load(model)"
            )
        self._index, self._embeddings, self._options = Path(index), embeddings, options
        self._live: LiveSearcher | None = None
        self._searcher()

    @classmethod
    def from_texts(  # type: ignore[override]  # LangChain leaves arguments open; here each has a name
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        index: str | Path,
    ) -> Self:
        """Open or create an index and add texts. Raises as the constructor and `add_texts`."""
        store = cls(index, embedding)  # type: ignore[arg-type]  # the constructor refuses other embeddings
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @property
    def embeddings(self) -> Embeddings:
        """The model."""
        return self._embeddings

    def add_texts(  # type: ignore[override]
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
    ) -> list[str]:
        """Add texts, or replace those with the same id, in one generation; return the ids, generated where missing.

        Metadata keeps its types and can be filtered by: texts, numbers, true and false, lists by element, nested ones by dotted key.

        Raises:
            ValueError: If there are not as many metadata or ids as texts.
            SearchError: If the index could not be written; then nothing was added.
        """
        whole = list(texts)
        kept, names = list(metadatas or [{} for _ in whole]), list(ids or [None] * len(whole))
        if not len(whole) == len(kept) == len(names):
            raise ValueError(
                f"{len(kept)} metadata and {len(names)} ids for {len(whole)} texts; expected as many of each"
            )
        chosen = [name or uuid4().hex for name in names]
        documents = [_stored(*parts) for parts in zip(chosen, whole, kept, strict=True)]
        if documents:
            index_documents(self._index, documents, self._embeddings.embedder, BuildOptions(allow_empty=True))
        return chosen

    def delete(  # type: ignore[override]
        self, ids: list[str] | None = None, *, filter: Filters | None = None
    ) -> bool:
        """Delete documents by id or by filter, or all without either; unknown ids are ignored.

        Raises:
            ValueError: If the filter is empty, names unknown metadata, or cannot be answered.
        """
        searcher = self._searcher()
        if searcher is not None and filter is not None:
            wanted = of_langchain(filter, None)
            if not wanted:
                raise ValueError(
                    "the filter is empty; expected one that names what to delete. Leave it out to delete all"
                )
            remove_documents(self._index, Selection(tuple(ids or ()), wanted), self._embeddings.embedder)
        elif searcher is not None:
            gone = searcher.index.chunks.doc_ids() if ids is None else ids
            delete_documents(self._index, gone, self._embeddings.embedder)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the existing documents, in the order of the ids."""
        searcher = self._searcher()
        if searcher is None:
            return []
        chunks = searcher.index.chunks
        return [_document(chunks.document(doc_id)) for doc_id in ids if chunks.owner(doc_id) is not None]

    def similarity_search(  # type: ignore[override]
        self, query: str, k: int = 4, *, filter: Filters | None = None, filters: Filters | None = None
    ) -> list[Document]:
        """Return the k best documents.

        Args:
            query: The question.
            k: At least 1.
            filter: `{"dept": "ops"}`, `{"year": {"$gte": 2023}}`, `{"lang": ["zh", "en"]}` (any of them).
            filters: Another name of `filter`.

        Raises:
            TypeError: If the filter is a function.
            ValueError: If the query is empty, k < 1, or the filter names unknown metadata or cannot be answered.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, filter=filter, filters=filters)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: Filters | None = None, filters: Filters | None = None
    ) -> list[tuple[Document, float]]:
        """Return documents with the score of the last stage, which compares only within one answer. Raises as above."""
        return [
            (document, score)
            for document, score, _ in self._found(query, k, of_langchain(filter, filters), self._options)
        ]

    def _similarity_search_with_relevance_scores(  # type: ignore[override]
        self, query: str, k: int = 4, *, filter: Filters | None = None, filters: Filters | None = None
    ) -> list[tuple[Document, float]]:
        """Score by cosine alone, clipped to [0, 1], so that a threshold means the same for every question."""
        options = replace(self._options, route="dense", rerank=False)
        return [
            (document, min(1.0, max(0.0, score)))
            for document, score, _ in self._found(query, k, of_langchain(filter, filters), options)
        ]

    def max_marginal_relevance_search(  # type: ignore[override]
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filters | None = None,
        filters: Filters | None = None,
    ) -> list[Document]:
        """Return k of the fetch_k best documents, each unlike those before it (Carbonell and Goldstein, SIGIR 1998).

        `lambda_mult` is 1 for relevance alone and 0 for variety alone. Documents are compared by their best passages.
        """
        found = self._found(query, max(k, fetch_k), of_langchain(filter, filters), self._options)
        if not found:
            return []
        vectors = self._embeddings.embedder.embed_documents([passage for _, _, passage in found])
        asked = self._embeddings.embedder.embed_queries([query])[0]
        chosen = maximal_marginal_relevance(np.asarray(asked), list(vectors), lambda_mult=lambda_mult, k=k)
        return [found[place][0] for place in chosen]

    def _found(
        self, query: str, k: int, filters: Filters | None, options: SearchOptions
    ) -> list[tuple[Document, float, str]]:
        """Documents with their scores and best passages, best first."""
        searcher = self._searcher()
        if searcher is None or not len(searcher.index.lexical):
            return []
        options, depth = replace(options, filters=filters or None), k
        while True:
            rankings, run = document_run(searcher, [Query("query", query)], depth, options)
            if not rankings:
                raise ValueError("the query is empty; expected a question or some keywords")
            if len(run["query"]) >= k or len(rankings[0].hits) < depth:
                break
            depth *= _DEEPER  # a long document filled the list with its passages
        passages: dict[str, str] = {}
        for hit in rankings[0].hits:
            passages.setdefault(document_of(hit.chunk_id), hit.chunk_id)
        chunks, best = searcher.index.chunks, run["query"][:k]
        texts = chunks.texts([passages[doc_id] for doc_id, _ in best])
        return [
            (_document(chunks.document(doc_id)), float(score), text)
            for (doc_id, score), text in zip(best, texts, strict=True)
        ]

    def _searcher(self) -> Searcher | None:
        """Return the live generation, whoever wrote it, as the options' principals see it; None while there is no index."""
        if self._live is None and live_manifest(self._index) is not None:
            self._live = LiveSearcher(self._index, embedder=self._embeddings.embedder)
        if self._live is None:
            return None
        self._live.refresh()
        return self._live.searcher.seen_by(self._options.principals)


def _stored(doc_id: str, text: str, metadata: dict[str, Any]) -> Stored:
    title = metadata.get("title", "")
    return Stored(doc_id, text, title if isinstance(title, str) else str(title), metadata)


def _document(stored: Stored) -> Document:
    metadata = dict(stored.meta)
    if isinstance(metadata.get(_WHOLE), str):
        metadata = loads(metadata[_WHOLE])
    return Document(id=stored.doc_id, page_content=stored.text, metadata=metadata)
