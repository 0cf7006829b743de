"""Requests and answers of a search, and the health of a server."""

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    Field,
)

from quarry.app.server.shapes.values import WHOLE, ExpandTokens, Filters, Strict, Text
from quarry.retriever.answers.refusals.fit import Fit, Strength, Word
from quarry.retriever.options import Expand, SearchOptions
from quarry.retriever.questions.understood import Understood
from quarry.retriever.ranking import Route, Stage, Status
from quarry.retriever.results import Answer, Result

MOST_RESULTS = 100
DEEPEST_RERANK = 200


class SearchRequest(Strict):
    """A question; only the first 8,192 characters are used, and a notice says so."""

    query: Text
    k: Annotated[int, Field(ge=1, le=MOST_RESULTS, description="Number of passages."), WHOLE] = 10
    top_k: Annotated[int, Field(ge=1, le=MOST_RESULTS), WHOLE] | None = Field(
        None, description="Another name of `k`; it counts where both are sent."
    )
    route: Route = "hybrid"
    rerank: bool = Field(True, description="Rerank the candidates, if the server has a reranker.")
    rerank_depth: Annotated[int, Field(ge=1, le=DEEPEST_RERANK), WHOLE] = 50
    cutoff_layers: Annotated[int, Field(ge=1, le=512), WHOLE] | None = Field(
        None,
        description="Run only so many layers of a layerwise reranker, at most those that the server loaded; 409 if it cannot.",
    )
    compress: Literal[1, 2, 4, 8] | None = Field(
        None,
        description="Average each so many tokens of a passage inside a reranker trained for it; 409 for others.",
    )
    collapse: bool = Field(
        True, description="Name copies of a passage with the best of them, not as results of their own."
    )
    filters: Filters | None = None
    expand: Expand = Field("none", description="Return the section of each passage, or its neighbors, as `context`.")
    expand_tokens: ExpandTokens = 512
    strength: bool = Field(True, description="Say how well each passage fits; costs one more encoding of the question.")

    @property
    def count(self) -> int:
        """How many passages are asked for."""
        return self.top_k or self.k

    def options(self) -> SearchOptions:
        """How to search, with the standard time budgets."""
        return SearchOptions(
            route=self.route,
            rerank=self.rerank,
            rerank_depth=self.rerank_depth,
            cutoff_layers=self.cutoff_layers,
            compress=self.compress,
            collapse=self.collapse,
            filters=self.filters or None,
            expand=self.expand,
            expand_tokens=self.expand_tokens,
        )


@dataclass(frozen=True, slots=True)
class HitOut(Result):
    """A passage, with how well it fits.

    Attributes:
        strength: In [0, 1], the same scale in every search; None unless asked for.
        fit: The same in a word.
    """

    strength: float | None = None
    fit: Word | None = None

    @classmethod
    def of(cls, result: Result, strength: Strength | None) -> "HitOut":
        """Return a result with its strength."""
        own = {each.name: getattr(result, each.name) for each in fields(result)}
        return cls(**own) if strength is None else cls(**own, strength=strength.value, fit=strength.word)


class StageOut(BaseModel):
    """How one stage went."""

    stage: Stage
    status: Status
    reason: str
    milliseconds: float
    candidates: int


class SearchAnswer(BaseModel):
    """The passages, and how they were found."""

    query: str
    route: Route
    results: list[HitOut]
    nothing_fits: bool | None = Field(
        None, description="Whether nothing that was found fits the question well; null unless `strength` was asked for."
    )
    stages: list[StageOut]
    degraded: list[str] = Field(description="One sentence per stage that did not fully run; empty if all did.")
    notices: list[str]
    generation: str
    model: str
    milliseconds: float
    understood: Understood = Field(description="The query's exact phrases, and what it leaves out.")

    @classmethod
    def of(cls, answer: Answer, fit: Fit | None) -> "SearchAnswer":
        """Return the response for an answer and how well it fits."""
        strengths = fit.hits if fit else [None] * len(answer.results)
        return cls(
            query=answer.query.text,
            route=answer.route,
            results=[HitOut.of(result, strength) for result, strength in zip(answer.results, strengths, strict=True)],
            nothing_fits=fit.nothing if fit else None,
            stages=[
                StageOut(
                    stage=report.stage,
                    status=report.status,
                    reason=str(report.reason or ""),
                    milliseconds=report.milliseconds,
                    candidates=report.candidates,
                )
                for report in answer.stages
            ],
            degraded=[str(loss) for loss in answer.degraded],
            notices=[str(notice) for notice in answer.notices],
            generation=answer.generation,
            model=answer.model,
            milliseconds=answer.milliseconds,
            understood=answer.understood,
        )


class Health(BaseModel):
    """Whether the server answers, and from which generation."""

    status: Literal["ok", "degraded"]
    generation: str
    documents: int
    passages: int
    model: str
    waiting_jobs: int
    problems: list[str]
