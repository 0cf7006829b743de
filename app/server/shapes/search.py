"""Requests and responses of the HTTP API, with their limits; the OpenAPI schema is generated from these."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from json import dumps
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from quarry.app.documents.catalog import Listed
from quarry.app.server.problems import UNKNOWN_FIELD
from quarry.retriever.answers.refusals.fit import Fit, Strength, Word
from quarry.retriever.options import Expand, SearchOptions
from quarry.retriever.questions.understood import Understood
from quarry.retriever.ranking import Route, Stage, Status
from quarry.retriever.results import Answer, Result

# At least one character besides NUL and white space, which is spelled out because \s differs between regex dialects.
SEARCHABLE = r"[^\x00\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
Name = Annotated[str, StringConstraints(min_length=1, max_length=2_048, pattern=r"^[^\x00]+$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=32_768, pattern=SEARCHABLE)]
# Pydantic says which values keys of the pattern have, and nothing of other keys, which it refuses.
KEYS: dict[str, Any] = {"additionalProperties": False}
MAX_DOCUMENTS = 1_000
MAX_META = 8_192  # characters of one value of a document's metadata


def _whole(value: Any) -> Any:
    """Take 2.0 for 2, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)


def _short(value: JsonValue) -> JsonValue:
    """Refuse metadata of more than 8,192 characters."""
    if len(value if isinstance(value, str) else dumps(value)) > MAX_META:
        raise ValueError(f"the value is longer than {MAX_META} characters")
    return value


class Typed(BaseModel):
    """A request whose values must have the schema's types: no quoted numbers, no strings for booleans."""

    model_config = ConfigDict(strict=True)


class Strict(Typed):
    """A request of our own design: unknown fields are errors, which name the known ones."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, value: Any) -> Any:
        unknown = [key for key in value if key not in cls.model_fields] if isinstance(value, Mapping) else []
        if unknown:
            known = list(cls.model_fields)
            raise PydanticCustomError(UNKNOWN_FIELD, "unknown field", {"unknown": unknown, "known": known})
        return value


FilterValue = (
    Annotated[str, StringConstraints(max_length=2_048)] | bool | int | Annotated[float, Field(allow_inf_nan=False)]
)
Filters = Annotated[
    dict[Name, FilterValue | Annotated[list[FilterValue], Field(min_length=1)]],
    Field(
        max_length=32,
        json_schema_extra=KEYS,
        description="Metadata key to a value or several: accepted ones, in which * is a wildcard, and bounds and refusals: "
        ">=2024-04-01, <10, !=draft. Numbers and dates compare by value; nested keys are dotted.",
    ),
]


ExpandTokens = Annotated[
    int, Field(ge=1, le=8_192, description="Estimated tokens of a passage with what stands around it."), WHOLE
]


class SearchRequest(Strict):
    """A question; only the first 8,192 characters are used, and a notice says so."""

    query: Text
    k: Annotated[int, Field(ge=1, le=100, description="Number of passages."), WHOLE] = 10
    top_k: Annotated[int, Field(ge=1, le=100), WHOLE] | None = Field(
        None, description="Another name of `k`; it counts where both are sent."
    )
    route: Route = "hybrid"
    rerank: bool = Field(True, description="Rerank the candidates, if the server has a reranker.")
    rerank_depth: Annotated[int, Field(ge=1, le=200), WHOLE] = 50
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


class DocumentIn(Strict):
    """A document; it replaces one with the same id."""

    id: Name
    text: Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]
    title: Annotated[str, StringConstraints(max_length=2_048)] = ""
    meta: dict[Name, Annotated[JsonValue, AfterValidator(_short)]] = Field(
        default_factory=dict,
        max_length=64,
        json_schema_extra=KEYS,
        description="Metadata: text, numbers, lists, nested objects.",
    )


class DocumentsRequest(Strict):
    """Documents to add."""

    documents: list[DocumentIn] = Field(min_length=1, max_length=MAX_DOCUMENTS)


class RemoveIds(Strict):
    """Remove documents by id. With `dry_run`, only what would go is returned."""

    ids: list[Name] = Field(min_length=1, max_length=MAX_DOCUMENTS)
    dry_run: bool = False


class RemoveMatching(Strict):
    """Remove the documents that a filter finds."""

    filters: Annotated[Filters, Field(min_length=1)]
    dry_run: bool = False


class RemoveFolder(Strict):
    """Remove the documents of a folder of the index; the folder itself is not touched."""

    root: Name = Field(description="A prefix of GET /roots.")
    dry_run: bool = False


RemovalRequest = RemoveIds | RemoveMatching | RemoveFolder


class RemovalPreview(BaseModel):
    """What a removal would take out now."""

    documents: int
    ids: list[str] = Field(description="The first 1,000.")
    not_found: list[str]
    returning: int = Field(
        description="How many belong to folders that stay in the index: indexing these again brings them back."
    )


class RootOut(BaseModel):
    """A folder that the index was made from."""

    prefix: str = Field(description="With which its documents' ids begin.")
    documents: int
    files: int
    there: bool = Field(description="Whether the folder still exists.")


class RootsAnswer(BaseModel):
    """The folders of the index; documents of programs belong to none."""

    roots: list[RootOut]


class DocumentOut(BaseModel):
    """A document of the index."""

    id: str
    title: str
    source: str = Field(
        description="The file it came from, relative to what was indexed; empty for documents of programs."
    )
    format: str
    language: str
    bytes: int | None = Field(description="Size of its file.")
    characters: int
    passages: int
    modified: str = Field(description="Day of the file's last change; empty when unknown.")
    left_out: dict[str, int] = Field(description="What its reader left out, by kind.")
    uploaded: bool

    @classmethod
    def of(cls, document: Listed) -> "DocumentOut":
        """Return the response for a document."""
        return cls(**{field: getattr(document, field) for field in cls.model_fields})


class FileSkipped(BaseModel):
    """A file or row that the last runs skipped, and why."""

    source: str
    reason: str
    detail: str


class DocumentsAnswer(BaseModel):
    """A page of the index's documents, ordered by id."""

    documents: list[DocumentOut]
    total: int
    start: int
    skipped: list[FileSkipped]


class PassageOut(BaseModel):
    """A passage as it was cut."""

    id: str
    start: int
    end: int
    heading: str
    text: str
    page: int | None
    time: str = Field(description="When it is said, of subtitles.")


class DocumentAnswer(BaseModel):
    """A document with its metadata and its passages as they were cut."""

    document: DocumentOut
    meta: dict[str, JsonValue]
    passages: list[PassageOut]


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
    removed: int = Field(0, description="Documents that a finished deletion removed.")
    skipped: list[SkippedOut] = []
    not_found: list[str] = []
    reason: str = Field("", description="Why it failed, or why it is still waiting.")


class Health(BaseModel):
    """Whether the server answers, and from which generation."""

    status: Literal["ok", "degraded"]
    generation: str
    documents: int
    passages: int
    model: str
    waiting_jobs: int
    problems: list[str]
