"""Requests and responses of the HTTP API, with their limits; the OpenAPI schema is generated from these."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from quarry.retriever.ranking import Evidence, Route, Stage, Status
from quarry.retriever.results import Answer, Result

# At least one character besides NUL and white space, which is spelled out because \s differs between regex dialects.
SEARCHABLE = r"[^\x00\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
Name = Annotated[str, StringConstraints(min_length=1, max_length=2_048, pattern=r"^[^\x00]+$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=32_768, pattern=SEARCHABLE)]
# Pydantic says which values keys of the pattern have, and nothing of other keys, which it refuses.
KEYS: dict[str, Any] = {"additionalProperties": False}
MAX_DOCUMENTS = 1_000
MAX_INPUTS = 256


def _whole(value: Any) -> Any:
    """Take 2.0 for 2, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)


class Typed(BaseModel):
    """A request whose values must have the schema's types: no quoted numbers, no strings for booleans."""

    model_config = ConfigDict(strict=True)


class Strict(Typed):
    """A request of our own design: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class SearchRequest(Strict):
    """A question; only the first 8,192 characters are used, and a notice says so."""

    query: Text
    k: Annotated[int, Field(ge=1, le=100, description="Number of passages."), WHOLE] = 10
    route: Route = "hybrid"
    rerank: bool = Field(True, description="Rerank the candidates, if the server has a reranker.")
    rerank_depth: Annotated[int, Field(ge=1, le=200), WHOLE] = 50
    filters: dict[Name, Annotated[list[Annotated[str, StringConstraints(max_length=2_048)]], Field(min_length=1)]] = (
        Field(
            default_factory=dict,
            description="Metadata key to accepted values; * is a wildcard.",
            max_length=32,
            json_schema_extra=KEYS,
        )
    )


class StageOut(BaseModel):
    """How one stage went."""

    stage: Stage
    status: Status
    reason: str
    milliseconds: float
    candidates: int


class ResultOut(BaseModel):
    """One passage; `score` is that of `stage` and comparable only within this response."""

    rank: int
    score: float
    stage: Stage
    chunk_id: str
    doc_id: str
    title: str
    heading: str
    source: str
    page: int | None
    start: int
    end: int
    text: str
    highlights: list[tuple[int, int]]
    meta: dict[str, str]
    evidence: Evidence


class SearchAnswer(BaseModel):
    """The passages, and how they were found."""

    query: str
    route: Route
    results: list[ResultOut]
    stages: list[StageOut]
    degraded: list[str] = Field(description="One sentence per stage that did not fully run; empty if all did.")
    notices: list[str]
    generation: str
    model: str
    milliseconds: float

    @classmethod
    def of(cls, answer: Answer) -> "SearchAnswer":
        """Return the response for an answer."""
        return cls(
            query=answer.query.text,
            route=answer.route,
            results=[_result(result) for result in answer.results],
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
        )


def _result(result: Result) -> ResultOut:
    fields = {name: getattr(result, name) for name in ResultOut.model_fields}
    return ResultOut(**{**fields, "highlights": [tuple(span) for span in result.highlights]})


class DocumentIn(Strict):
    """A document; it replaces one with the same id."""

    id: Name
    text: Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
    title: Annotated[str, StringConstraints(max_length=2_048)] = ""
    meta: dict[Name, Annotated[str, StringConstraints(max_length=8_192)]] = Field(
        default_factory=dict, max_length=64, json_schema_extra=KEYS
    )


class DocumentsRequest(Strict):
    """Documents to add."""

    documents: list[DocumentIn] = Field(min_length=1, max_length=MAX_DOCUMENTS)


class SkippedOut(BaseModel):
    """A document that was not indexed, and why."""

    id: str
    reason: str
    detail: str


class JobOut(BaseModel):
    """An acknowledged job. `queued`: safe on disk; `done`: searchable from `generation` on."""

    job: str
    kind: Literal["add", "delete"]
    state: Literal["queued", "done", "failed"]
    documents: int
    acknowledged: str
    generation: str = ""
    skipped: list[SkippedOut] = []
    not_found: list[str] = []
    reason: str = Field("", description="Why it failed, or why it is still waiting.")


class EmbeddingsRequest(Typed):
    """Like OpenAI's `/v1/embeddings`; its other fields are ignored."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
    model: str = Field("", description="The index's model, or empty.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = None
    input_type: Literal["query", "document"] = Field(
        "document", description="Extension of OpenAI's API: queries and passages are encoded differently."
    )


class EmbeddingOut(BaseModel):
    """One vector of unit length: numbers, or little-endian float32 in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of the inputs."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(BaseModel):
    """Vectors in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[EmbeddingOut]
    model: str
    usage: Usage


class PassageIn(BaseModel):
    """A passage as an object, as Cohere and Jina allow."""

    text: Text


class RerankRequest(Typed):
    """Like Jina's and Cohere's `/rerank`."""

    query: Text
    documents: list[Text | PassageIn] = Field(min_length=1, max_length=MAX_INPUTS)
    model: str = Field("", description="The server's reranker, or empty.")
    top_n: Annotated[int, Field(ge=1), WHOLE] | None = None
    return_documents: bool = False


class RerankedOut(BaseModel):
    """One passage, by its position in the request; `relevance_score` is the sigmoid of the logit."""

    index: int
    relevance_score: float
    document: PassageIn | None = None


class RerankAnswer(BaseModel):
    """Passages, best first."""

    model: str
    results: list[RerankedOut]


class Health(BaseModel):
    """Whether the server answers, and from which generation."""

    status: Literal["ok", "degraded"]
    generation: str
    documents: int
    passages: int
    model: str
    waiting_jobs: int
    problems: list[str]
