"""A question in, an explained answer out. The public names; heavy libraries load when they are used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarry.retriever.ranking import Query, Ranking
    from quarry.retriever.rerankers.cross_encoder import load_reranker
    from quarry.retriever.results import Answer, Result
    from quarry.retriever.searcher import Searcher, SearchOptions

_HOMES = {
    "Answer": "results", "Result": "results", "load_reranker": "rerankers.cross_encoder", "Query": "ranking", "Ranking": "ranking",
    "Searcher": "searcher", "SearchOptions": "searcher",
}  # fmt: skip
__all__ = ["Answer", "Query", "Ranking", "Result", "SearchOptions", "Searcher", "load_reranker"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module at the first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'quarry.retriever' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"quarry.retriever.{_HOMES[name]}"), name)
