"""An index as LangChain's `VectorStore`: documents go in and come out whole, and `as_retriever` works as usual.

Example:
    store = QuarryVectorStore.from_texts(texts, QuarryEmbeddings.load(), metadatas, index="my-index")
    store.similarity_search("怎么续借", k=3, filters={"lang": ["zh"]})

A LangChain document is one document of the index, found by its best passage. For passages with the evidence of every stage use
`QuarryRetriever` on the same folder. Every writing call creates a generation, so add many documents at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from json import dumps, loads
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np

from quarry.app.integrations.langchain import QuarryEmbeddings
from quarry.app.wiring import live_manifest
from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import MissingExtraError
from quarry.indexer.records import Document as Stored
from quarry.retriever.live import LiveSearcher
from quarry.retriever.ranking import Query
from quarry.retriever.searcher import Filters, Searcher, SearchOptions, document_of, document_run

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
_WHOLE = "langchain"  # metadata key for values that are not strings


class QuarryVectorStore(VectorStore):
    """Documents in an index folder, created by the first addition. Other programs may use the folder at the same time."""

    def __init__(
        self, index: str | Path, embeddings: QuarryEmbeddings, *, options: SearchOptions = SearchOptions()
    ) -> None:
        """Open a folder.

        Args:
            index: The index folder, existing or not.
            embeddings: The model; for an existing index, the one it was built with.
            options: Route (`hybrid` by default), reranking, time budgets.

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

        Metadata must be JSON-serializable; string values can be filtered by.

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

    def delete(self, ids: list[str] | None = None) -> bool:  # type: ignore[override]
        """Delete documents by id, or all for None; unknown ids are ignored."""
        searcher = self._searcher()
        if searcher is not None:
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
        self, query: str, k: int = 4, *, filters: Filters | None = None
    ) -> list[Document]:
        """Return the k best documents. Raises ValueError for an empty query, k < 1, or a filter on unknown metadata."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filters=filters)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filters: Filters | None = None
    ) -> list[tuple[Document, float]]:
        """Return documents with the score of the last stage, which compares only within one answer. Raises as above."""
        return [(document, score) for document, score, _ in self._found(query, k, filters, self._options)]

    def _similarity_search_with_relevance_scores(  # type: ignore[override]
        self, query: str, k: int = 4, *, filters: Filters | None = None
    ) -> list[tuple[Document, float]]:
        """Score by cosine alone, clipped to [0, 1], so that a threshold means the same for every question."""
        options = replace(self._options, route="dense", rerank=False)
        return [(document, min(1.0, max(0.0, score))) for document, score, _ in self._found(query, k, filters, options)]

    def max_marginal_relevance_search(  # type: ignore[override]
        self, query: str, k: int = 4, fetch_k: int = 20, lambda_mult: float = 0.5, *, filters: Filters | None = None
    ) -> list[Document]:
        """Return k of the fetch_k best documents, each unlike those before it (Carbonell and Goldstein, SIGIR 1998).

        `lambda_mult` is 1 for relevance alone and 0 for variety alone. Documents are compared by their best passages.
        """
        found = self._found(query, max(k, fetch_k), filters, self._options)
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
        """Return the live generation, whoever wrote it; None while there is no index."""
        if self._live is None and live_manifest(self._index) is not None:
            self._live = LiveSearcher(self._index, embedder=self._embeddings.embedder)
        if self._live is None:
            return None
        self._live.refresh()
        return self._live.searcher


def _stored(doc_id: str, text: str, metadata: dict[str, Any]) -> Stored:
    meta = {key: value for key, value in metadata.items() if isinstance(value, str)}
    if len(meta) < len(metadata):
        meta[_WHOLE] = dumps(metadata, ensure_ascii=False)
    return Stored(doc_id, text, meta.get("title", ""), meta)


def _document(stored: Stored) -> Document:
    metadata = dict(stored.meta)
    if _WHOLE in metadata:
        metadata = loads(metadata[_WHOLE])
    return Document(id=stored.doc_id, page_content=stored.text, metadata=metadata)
