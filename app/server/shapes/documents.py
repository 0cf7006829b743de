"""Requests about documents and what is answered: adding, removing, listing, one document, jobs."""

from json import dumps
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    JsonValue,
    StringConstraints,
)

from quarry.app.documents.catalog import Listed
from quarry.app.server.shapes.values import KEYS, Filters, Name, Strict

MAX_DOCUMENTS = 1_000
MAX_META = 8_192  # characters of one value of a document's metadata


def _short(value: JsonValue) -> JsonValue:
    """Refuse metadata of more than 8,192 characters."""
    if len(value if isinstance(value, str) else dumps(value)) > MAX_META:
        raise ValueError(f"the value is longer than {MAX_META} characters")
    return value


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
