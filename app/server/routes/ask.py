"""`/ask`: an answer with checked citations. The model comes from the server's environment, never from the request."""

import asyncio
import os
from dataclasses import replace
from threading import BoundedSemaphore
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel, Field
from starlette.requests import Request

from quarry.app.server.problems import Problem
from quarry.app.server.services import RETRY_AFTER_S, Services, queue_full, services_of
from quarry.app.server.settings import ServeOptions
from quarry.app.server.shapes import WHOLE, Filters, Strict, Text
from quarry.indexer.errors import SettingsError
from quarry.indexer.messages import Message
from quarry.retriever.answers.answer import AskOptions, GroundedAnswer
from quarry.retriever.answers.answer import ask as answer_from
from quarry.retriever.answers.generate import MODEL_VARIABLE, URL_VARIABLE, endpoint_for
from quarry.retriever.answers.packing import STANDARD_BUDGET
from quarry.retriever.llm.stream import StreamOptions
from quarry.retriever.ranking import Route
from quarry.retriever.searcher import SearchOptions

AT_A_TIME = 4  # concurrent questions; a model is slow, and searches must not wait for it
_SHARE = 0.4  # of the time limit, for the search and for the model each
router = APIRouter()
Shared = Annotated[Services, Depends(services_of)]


class AskRequest(Strict):
    """A question."""

    question: Text
    k: Annotated[int, Field(ge=1, le=50, description="Number of passages to retrieve."), WHOLE] = 10
    budget: Annotated[int, Field(ge=256, le=32_000, description="Token budget for passages in the prompt."), WHOLE] = (
        STANDARD_BUDGET
    )
    route: Route = "hybrid"
    generate: bool = Field(True, description="False quotes sentences of the documents even if a model is configured.")
    filters: Filters | None = None


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


def register(app: FastAPI, settings: ServeOptions) -> None:
    """Add the route, with the model configured in the environment.

    Raises:
        SettingsError: If the endpoint in the environment is invalid, or has no model.
    """
    app.state.ask_slots = BoundedSemaphore(AT_A_TIME)
    app.state.ask_settings = _settings(settings.time_limit_s)
    app.include_router(router)


def _settings(time_limit_s: float) -> AskOptions:
    url, model = os.environ.get(URL_VARIABLE, ""), os.environ.get(MODEL_VARIABLE, "")
    if url and not model:
        raise SettingsError(
            "serve.no_model_name",
            "{url} is set and {model} is not",
            expected="both",
            do="Set {model} to the model's name",
            url=URL_VARIABLE,
            model=MODEL_VARIABLE,
        )
    seconds = time_limit_s * _SHARE
    endpoint = replace(endpoint_for(url, model, seconds), retries=0) if url else None
    return AskOptions(endpoint=endpoint, limits=StreamOptions(seconds=seconds))


@router.post("/ask", operation_id="ask", tags=["search"])
async def ask(asked: AskRequest, services: Shared, request: Request) -> AskAnswer:
    """Answer a question from the documents, with checked citations, by the server's model or by quoting the documents."""
    state = request.app.state
    limit = services.settings.time_limit_s
    options = SearchOptions(
        route=asked.route,
        rerank_budget_ms=limit * 1000 * _SHARE / 2,
        dense_budget_ms=limit * 1000 * _SHARE / 2,
        filters=asked.filters or None,
    )
    settings = replace(state.ask_settings, budget=asked.budget, k=asked.k, options=options)
    if not asked.generate:
        settings = replace(settings, endpoint=None)
    if not state.ask_slots.acquire(blocking=False):
        services.metrics.rejected.inc()
        raise Problem(429, queue_full(AT_A_TIME), retry_after_s=RETRY_AFTER_S)

    def work() -> GroundedAnswer:
        try:
            return answer_from(services.live.searcher, asked.question, settings)
        finally:
            state.ask_slots.release()

    try:
        answer = await asyncio.wait_for(asyncio.to_thread(work), limit)
    except TimeoutError as err:
        late = Message.of(
            "serve.no_answer_in_time",
            "no answer after {seconds:g} s",
            expected="one within the time limit",
            do="Set generate to false, or try again later",
            seconds=limit,
        )
        raise Problem(504, late, code="time_limit") from err
    return AskAnswer(**_plain(answer.to_dict()))


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in AskAnswer.model_fields}
