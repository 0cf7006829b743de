"""Quarry for Haystack: `QuarryRetriever`, `QuarryTextEmbedder`, `QuarryDocumentEmbedder`, `QuarryRanker`. The extra is `haystack`.

Example:
    pipeline = Pipeline()
    pipeline.add_component("retriever", QuarryRetriever("my-index", top_k=5, rerank="auto"))
    documents = pipeline.run({"retriever": {"query": "how to renew"}})["retriever"]["documents"]

Components are made of plain values, so pipelines can be saved; models are loaded by `warm_up` or at the first run. Load a saved
pipeline with `Pipeline.loads(text, allowed_modules=["quarry.app.integrations.haystack"])`.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from quarry.app.integrations.common import embedder_for, passages, reranked, reranker_for
from quarry.app.integrations.filters import Comparison, all_of, any_of
from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import MissingExtraError
from quarry.indexer.principals import Principals
from quarry.retriever.base import Reranker
from quarry.retriever.options import Expand
from quarry.retriever.ranking import Route
from quarry.retriever.searcher import Filters, Searcher, SearchOptions

try:
    from haystack import Document, component
except ImportError as err:
    raise MissingExtraError(
        "integrations.no_haystack",
        "Haystack cannot be imported ({reason})",
        expected="haystack-ai",
        do="Run `pip install 'quarry-search[haystack]'`",
        reason=str(err),
    ) from err


@component
class QuarryRetriever:
    """Searches an index. Without a model or reranker it still answers, and `meta["degraded"]` says what was missing."""

    def __init__(
        self,
        index: str,
        top_k: int = 10,
        filters: dict[str, Any] | None = None,
        route: Route = "hybrid",
        rerank: str = "late",
        device: str = "auto",
        expand: Expand = "none",
        expand_tokens: int = 512,
        principals: list[str] | None = None,
    ) -> None:
        """Store the settings; the index is opened by `warm_up` or at the first run.

        Args:
            index: The index folder.
            top_k: Passages per question, at least 1.
            filters: Haystack filters on the documents' metadata: comparisons, `AND` of these, and `OR` of one field.
            route: `hybrid`, `dense` or `bm25`.
            rerank: `none`, `auto`, or the id or folder of a reranker.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            expand: `section` or `neighbors` returns them as the content; what stands in the content of a better one is left out.
            expand_tokens: Estimated tokens of one content.
            principals: As whom to search: documents whose metadata `allow` names none of them are not there. None for everything.

        Raises:
            ValueError: If top_k < 1, or the filters have another operator.
        """
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}; expected at least 1")
        accepted_values(filters)
        self.index = str(index)
        self.top_k = top_k
        self.filters = filters
        self.route = route
        self.rerank = rerank
        self.device = device
        self.expand = expand
        self.expand_tokens = expand_tokens
        self.principals = principals
        self._searcher: Searcher | None = None

    def warm_up(self) -> None:
        """Open the index and load its models. Raises IndexFormatError if the folder is not an index, or is damaged."""
        self._opened().warm()

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the best passages; `filters` and `top_k` override those of the component.

        Raises:
            ValueError: If the query is empty, top_k < 1, or the filters name unknown metadata or another operator.
        """
        options = SearchOptions(
            self.route,
            filters=accepted_values(filters if filters is not None else self.filters),
            expand=self.expand,
            expand_tokens=self.expand_tokens,
            principals=None if self.principals is None else Principals.of(self.principals),
        )
        found = passages(self._opened(), query, self.top_k if top_k is None else top_k, options)
        return {
            "documents": [
                Document(id=hit.chunk_id, content=hit.text, meta=meta, score=float(hit.score)) for hit, meta in found
            ]
        }

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Run in a thread."""
        return await asyncio.to_thread(self.run, query, filters, top_k)

    def _opened(self) -> Searcher:
        if self._searcher is None:
            self._searcher = Searcher.open(Path(self.index), rerank=self.rerank, device=self.device)
        self._searcher = self._searcher.newest()
        return self._searcher


def accepted_values(filters: dict[str, Any] | None) -> Filters | None:
    """Translate Haystack filters; `*` in a value is a wildcard, as always in Quarry.

    Raises:
        ValueError: If an operator is not one of Haystack's comparisons, `AND`, or `OR` of one field, or a value is not text, a
            number, true or false.
    """
    return all_of(_comparisons(filters)) if filters else None


def _comparisons(filters: dict[str, Any]) -> Iterator[Comparison]:
    operator, conditions = filters.get("operator"), filters.get("conditions")
    if operator in ("AND", "OR") and isinstance(conditions, list) and conditions:
        parts = [comparison for condition in conditions for comparison in _comparisons(condition)]
        yield from parts if operator == "AND" else [any_of(parts)]
    elif "field" in filters and "value" in filters:
        yield Comparison(str(filters["field"]).removeprefix("meta."), str(operator), filters["value"])
    else:
        raise ValueError(
            f"the filter is {filters!r}; expected a field with an operator and a value, `AND` of such, or `OR` of one field"
        )


class _HasEmbedder:
    """Loads an embedder once, when first needed."""

    def __init__(self, model: str = "auto", device: str = "auto") -> None:
        self.model = str(model)
        self.device = device
        self._embedder: Embedder | None = None

    def warm_up(self) -> None:
        """Load the model. Raises ModelError if it is not available."""
        self._loaded()

    def _loaded(self) -> Embedder:
        if self._embedder is None:
            self._embedder = embedder_for(self.model, self.device)
        return self._embedder


@component
class QuarryTextEmbedder(_HasEmbedder):
    """Embeds questions. `model`: `auto`, a repository id, a model folder, or an index folder (its model)."""

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        """Return the unit vector of a question, in the model's format for queries."""
        return {"embedding": self._loaded().embed_queries([text])[0].tolist()}

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str) -> dict[str, list[float]]:
        """Run in a thread."""
        return await asyncio.to_thread(self.run, text)


@component
class QuarryDocumentEmbedder(_HasEmbedder):
    """Embeds documents. `model`: `auto`, a repository id, a model folder, or an index folder (its model)."""

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Return copies of the documents with unit vectors of their content, in the model's format for passages."""
        vectors = self._loaded().embed_documents([document.content or "" for document in documents]).tolist()
        return {
            "documents": [replace(document, embedding=row) for document, row in zip(documents, vectors, strict=True)]
        }

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, list[Document]]:
        """Run in a thread."""
        return await asyncio.to_thread(self.run, documents)


@component
class QuarryRanker:
    """Reranks the documents of any retriever. `QuarryRetriever(rerank=...)` also has a time budget."""

    def __init__(self, model: str = "auto", top_k: int = 10, device: str = "auto") -> None:
        """Store which model to load: `auto` (the best reranker on this machine), a repository id, or a folder.

        Raises:
            ValueError: If top_k < 1.
        """
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}; expected at least 1")
        self.model = str(model)
        self.top_k = top_k
        self.device = device
        self._reranker: Reranker | None = None

    def warm_up(self) -> None:
        """Load the model. Raises ModelError if it is not available."""
        self._loaded()

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """Return copies of the best documents with logits as scores, best first. Raises ValueError if top_k < 1."""
        texts = [document.content or "" for document in documents]
        order = reranked(self._loaded(), query, texts, self.top_k if top_k is None else top_k)
        return {"documents": [replace(documents[position], score=score) for position, score in order]}

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, documents: list[Document], top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Run in a thread."""
        return await asyncio.to_thread(self.run, query, documents, top_k)

    def _loaded(self) -> Reranker:
        if self._reranker is None:
            self._reranker = reranker_for(self.model, self.device)
        return self._reranker
