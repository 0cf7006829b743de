"""How to search: the route, the second stage, time budgets, filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from quarry.indexer.principals import Principals
from quarry.retriever.ranking import Route

Filters = Mapping[str, Any]
Expand = Literal["none", "section", "neighbors"]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Attributes:
        route: `hybrid` (dense and BM25 fused), `dense` or `bm25`.
        rerank: Whether the reranker, when the searcher has one, reorders the best candidates.
        rerank_depth: How many candidates it is given at most.
        cutoff_layers: How many layers of a layerwise reranker run, at most those that are loaded; None for as many as it was loaded for.
        compress: How many tokens of a passage become one inside a reranker trained for it, 1, 2, 4 or 8; None as it was loaded.
        rerank_budget_ms: Wall time for it; what is not scored by then keeps its fused place, and the answer says so.
        dense_budget_ms: Wall time for embedding the query and searching the vectors; past it, BM25 answers.
        collapse: Whether copies of a passage are named with the best of them instead of being results of their own.
        filters: Metadata that documents must have, by key: a value or several (`*` is a wildcard), bounds such as `>=2024-04-01`,
            `!=` and a value (`quarry.indexer.storage.texts.conditions`).
        expand: What stands around a passage comes with it: its `section`, or its `neighbors` (`quarry.retriever.sections.context`).
        expand_tokens: Estimated tokens of a passage with what stands around it.
        principals: Who asks; what they may not see is as if it were not in the index. None sees everything.
    """

    route: Route = "hybrid"
    rerank: bool = True
    rerank_depth: int = 50
    cutoff_layers: int | None = None
    compress: int | None = None
    rerank_budget_ms: float = 8_000.0
    dense_budget_ms: float = 15_000.0
    collapse: bool = True
    filters: Filters | None = None
    expand: Expand = "none"
    expand_tokens: int = 512
    principals: Principals | None = None


STANDARD = SearchOptions()
