"""`/why-not`: the stage at which a document was lost, and the smallest change that brings it back."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StringConstraints

from quarry.app.documents.why_not import explain_missing
from quarry.app.server.problems import Problem
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes.search import DEEPEST_RERANK, MOST_RESULTS, SearchRequest
from quarry.app.server.shapes.values import SEARCHABLE
from quarry.retriever.asking import checked
from quarry.retriever.ranking import Query, Route
from quarry.retriever.why_not.document import SeveralDocuments
from quarry.retriever.why_not.loss import Stage
from quarry.retriever.why_not.places import Places
from quarry.retriever.why_not.report import WhyNot
from quarry.retriever.why_not.search import Search

router = APIRouter()
DocumentName = Annotated[str, StringConstraints(min_length=1, max_length=2_048, pattern=SEARCHABLE)]
Shared = Annotated[Services, Depends(services_of)]


class WhyNotRequest(SearchRequest):
    """A search, and the document that it does not show."""

    document: DocumentName = Field(description="An id, a file, a title, or a part of one of them.")


class ChangedSearch(BaseModel):
    """A change that was tried."""

    steps: list[str]
    query: str
    k: int
    route: Route
    rerank: bool
    rerank_depth: int
    collapse: bool
    filters: dict[str, str | list[str]] | None
    rank: int = Field(description="Of the document in the changed search.")


class WhyNotAnswer(BaseModel):
    """Where a document was lost."""

    document: str
    doc_ids: list[str] = Field(description="The documents that were meant; empty when the index has none.")
    alike: list[str] = Field(description="Ids that resemble a name that no document has.")
    stage: Stage
    reason: str
    places: Places | None
    change: ChangedSearch | None
    remarks: list[str]

    @classmethod
    def of(cls, found: WhyNot) -> "WhyNotAnswer":
        """Return the response to an explanation."""
        return cls(
            document=found.document.title,
            doc_ids=list(found.document.doc_ids),
            alike=list(found.document.alike),
            stage=found.loss.stage,
            reason=str(found.loss.reason),
            places=found.loss.places,
            change=_changed(found),
            remarks=[str(remark) for remark in found.remarks],
        )


def _possible(search: Search) -> bool:
    """Whether `/search` takes it."""
    return search.k <= MOST_RESULTS and search.options.rerank_depth <= DEEPEST_RERANK


def _changed(found: WhyNot) -> ChangedSearch | None:
    change = found.change
    if change is None:
        return None
    options = change.search.options
    filters = {
        key: [str(one) for one in value] if isinstance(value, list | tuple) else str(value)
        for key, value in (options.filters or {}).items()
    }
    return ChangedSearch(
        steps=[str(step) for step in change.steps],
        query=change.search.question,
        k=change.search.k,
        route=options.route,
        rerank=options.rerank,
        rerank_depth=options.rerank_depth,
        collapse=options.collapse,
        filters=filters or None,
        rank=change.rank,
    )


@router.post("/why-not", operation_id="why_not", tags=["search"])
async def explain(asked: WhyNotRequest, services: Shared) -> WhyNotAnswer:
    """Say which stage of a search loses a document, and the smallest change that brings it back, which was tried."""
    checked(Query(asked.query, asked.query))

    def work() -> WhyNotAnswer:
        searcher = services.live.searcher
        search = Search(asked.query, asked.count, asked.options())
        try:
            return WhyNotAnswer.of(explain_missing(searcher, search, asked.document, _possible))
        except SeveralDocuments as err:
            raise Problem(409, err.message) from err

    return await services.search_apart(work)
