"""Why a document is not among the results of a search, with the files that indexing skipped."""

from collections.abc import Callable

from quarry.app.documents.skips import list_skips
from quarry.retriever.searcher import Searcher
from quarry.retriever.why_not.changes import any_search
from quarry.retriever.why_not.report import SkippedSource, WhyNot, why_not
from quarry.retriever.why_not.search import Search


def explain_missing(
    searcher: Searcher, search: Search, document: str, possible: Callable[[Search], bool] = any_search
) -> WhyNot:
    """Return `quarry.retriever.why_not.report.why_not` with what the last runs of indexing skipped. Raises as it does."""
    whole = (
        searcher.sees_all and search.options.principals is None
    )  # nothing says who may know of a file that was not read
    skipped = [SkippedSource(skip.source, skip.detail) for skip in list_skips(searcher.index.root)] if whole else []
    return why_not(searcher, search, document, skipped, possible)
