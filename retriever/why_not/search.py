"""A search as it is made: the question, how many passages, and how."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from quarry.retriever.options import STANDARD, SearchOptions
from quarry.retriever.results import Answer
from quarry.retriever.searcher import Searcher


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked.

    Attributes:
        question: As the user wrote it.
        k: Passages that are shown.
        options: How to search.
    """

    question: str
    k: int = 10
    options: SearchOptions = STANDARD

    def made(self, searcher: Searcher) -> Answer:
        """Return the answer. Raises as `Searcher.search`."""
        return searcher.search(self.question, self.k, self.options)

    def rank_of(self, doc_ids: Collection[str], searcher: Searcher) -> int | None:
        """Return the rank of the first result of one of the documents; None when none is shown."""
        return next((hit.rank for hit in self.made(searcher).results if hit.doc_id in doc_ids), None)

    def but(self, **options: Any) -> "Search":
        """Return it with other options."""
        return replace(self, options=replace(self.options, **options))
