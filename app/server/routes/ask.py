"""`/ask`: an answer with checked citations."""

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StringConstraints
from starlette.requests import Request

from quarry.app.server.asking import Asker
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes.values import WHOLE, ExpandTokens, Filters, Name, Strict, Text
from quarry.retriever.answers.answer import GroundedAnswer
from quarry.retriever.answers.packing import STANDARD_BUDGET
from quarry.retriever.answers.refusals.questions import Turn
from quarry.retriever.options import Expand
from quarry.retriever.ranking import Route

router = APIRouter()
Shared = Annotated[Services, Depends(services_of)]


class TurnIn(Strict):
    """A question that was answered before."""

    question: Text
    answer: Annotated[str, StringConstraints(max_length=32_768)] = ""
    cited: list[Name] = Field(
        default_factory=list, max_length=100, description="The `chunk_ids` of the sources that it cited."
    )

    def turn(self) -> Turn:
        """Return it for the library."""
        return Turn(self.question, self.answer, tuple(self.cited))


class AskRequest(Strict):
    """A question."""

    question: Text
    k: Annotated[int, Field(ge=1, le=50, description="Number of passages to retrieve."), WHOLE] = 10
    budget: Annotated[int, Field(ge=256, le=32_000, description="Token budget for passages in the prompt."), WHOLE] = (
        STANDARD_BUDGET
    )
    top_k: Annotated[int, Field(ge=1, le=50), WHOLE] | None = Field(
        None, description="Another name of `k`; it counts where both are sent."
    )
    route: Route = "hybrid"
    generate: bool = Field(True, description="False quotes sentences of the documents even if a model is configured.")
    rewrite: bool = Field(
        False,
        description="Let the server's model also search for simpler questions and for what an answer may look like.",
    )
    before: list[TurnIn] = Field(
        default_factory=list,
        max_length=20,
        description="What was asked before, oldest first; the question may lean on it.",
    )
    filters: Filters | None = None
    expand: Expand = Field("none", description="Answer from the section of each passage, or its neighbors.")
    expand_tokens: ExpandTokens = 512


class SentenceOut(BaseModel):
    """A sentence, safe to show as text, and whether the cited passages support it."""

    text: str
    citations: list[int]
    support: Literal["supported", "unsupported", "unchecked"]
    unknown: list[int]
    missing: list[str]
    overlap: float
    cited_by: Literal["model", "quarry"]
    gap: str


class SourceOut(BaseModel):
    """A numbered passage. Its text comes from a document and is untrusted."""

    number: int
    doc_id: str
    title: str
    path: str
    text: str
    chunk_ids: list[str]
    score: float
    page: int | None
    start: int
    end: int
    cut: str
    also_in: list[str]
    index: str = Field(description="Which of several indexes it is from; empty for one.")
    modified: str = Field(description="Day of its file's last change; empty when unknown.")


class EvidenceOut(BaseModel):
    """Whether the search found enough to answer from."""

    strength: float
    weak: bool
    threshold: float
    basis: str


class AskAnswer(BaseModel):
    """An answer with its evidence; `refused` means that the documents do not answer the question."""

    question: str
    language: Literal["zh", "en"]
    origin: Literal["generated", "extractive", "refused"]
    refused: bool
    sentences: list[SentenceOut]
    sources: list[SourceOut]
    evidence: EvidenceOut
    notes: list[str]
    model: str
    generation: str
    milliseconds: float


@router.post("/ask", operation_id="ask", tags=["search"])
async def ask(asked: AskRequest, services: Shared, request: Request) -> AskAnswer:
    """Answer a question from the documents, with checked citations, by the server's model or by quoting the documents."""
    asker: Asker = request.app.state.asker
    options = replace(
        asker.search_options(services.settings.time_limit_s),
        route=asked.route,
        filters=asked.filters or None,
        expand=asked.expand,
        expand_tokens=asked.expand_tokens,
    )
    settings = replace(
        asker.settings,
        budget=asked.budget,
        k=asked.top_k or asked.k,
        options=options,
        rewrite=asked.rewrite,
        before=tuple(each.turn() for each in asked.before),
    )
    if not asked.generate:
        settings = replace(settings, endpoint=None)
    return shown(await asker.answer(services, asked.question, settings))


def shown(answer: GroundedAnswer) -> AskAnswer:
    """Return an answer for programs."""
    fields = answer.to_dict()
    return AskAnswer(**{name: fields[name] for name in AskAnswer.model_fields})
