"""`/feedback`: what a user did with an answer. Each action has its own shape, so the schema says what goes with it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field, StringConstraints

from quarry.app.server.problems import Problem
from quarry.app.server.services import Services, services_of
from quarry.app.server.shapes.values import SEARCHABLE, WHOLE, Name, Strict
from quarry.indexer.errors import FeedbackError
from quarry.indexer.messages import Message
from quarry.retriever.ranking import Stage
from quarry.retriever.searcher import document_of
from quarry.training.feedback.events import EDITOR
from quarry.training.feedback.log import FeedbackEvent, ShownHit

router = APIRouter()
Shared = Annotated[Services, Depends(services_of)]
_OptionalName = Annotated[str, StringConstraints(max_length=2_048, pattern=r"^[^\x00]*$")]
_NoteText = Annotated[str, StringConstraints(max_length=10_000)]


MAX_RANK = 1_000_000
_RESERVED = Message.of(
    "serve.session_reserved",
    "the session {session} stands for answers that were written with quarry gaps or in the app",
    expected="another name",
    session=EDITOR,
)


class ShownIn(Strict):
    """A result as the user saw it."""

    chunk_id: Name
    doc_id: Name
    rank: Annotated[int, Field(ge=1, le=MAX_RANK), WHOLE]
    score: float = Field(allow_inf_nan=False)
    stage: Stage


class _Feedback(Strict):
    query: Annotated[str, StringConstraints(min_length=1, max_length=8_192, pattern=SEARCHABLE)]
    session: Name
    generation: _OptionalName = Field("", description="The generation that answered; empty for the live one.")
    chunk_id: _OptionalName = Field("", description="The passage; empty for the whole document.")
    note: _NoteText = ""
    shown: list[ShownIn] = Field(default_factory=list, max_length=200)


class ThumbUpIn(_Feedback):
    """The passage or document is relevant."""

    action: Literal["thumb_up"]
    doc_id: Name
    grade: Annotated[int, Field(ge=1, le=3), WHOLE] | None = None


class ThumbDownIn(_Feedback):
    """The passage or document is not relevant."""

    action: Literal["thumb_down"]
    doc_id: Name
    grade: Annotated[int, Field(ge=0, le=0), WHOLE] | None = None


class AnswerIn(_Feedback):
    """The passage or document answers the question."""

    action: Literal["answer"]
    doc_id: Name
    grade: Annotated[int, Field(ge=1, le=3), WHOLE] | None = None


class ClickIn(_Feedback):
    """The user opened the result."""

    action: Literal["click"]
    doc_id: Name
    grade: None = None


class WithdrawIn(_Feedback):
    """The session takes its judgment back."""

    action: Literal["withdraw"]
    doc_id: Name
    grade: None = None


class NoteIn(_Feedback):
    """Free text, about a result or about the whole answer."""

    action: Literal["note"]
    note: Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=SEARCHABLE)]
    doc_id: _OptionalName = ""
    grade: None = None


FeedbackRequest = Annotated[
    ThumbUpIn | ThumbDownIn | AnswerIn | ClickIn | WithdrawIn | NoteIn, Field(discriminator="action")
]


class FeedbackAnswer(BaseModel):
    """The number of the stored event."""

    number: int


@router.post("/feedback", operation_id="feedback", tags=["feedback"], status_code=201)
def feedback(said: FeedbackRequest, services: Shared) -> FeedbackAnswer:
    """Store what a user did with an answer; it is on disk when this returns."""
    if said.session == EDITOR:
        raise Problem(422, _RESERVED, code="invalid_request")
    fields = said.model_dump(exclude={"shown", "generation"})
    if said.chunk_id and not said.doc_id:  # a note on a passage
        fields["doc_id"] = document_of(said.chunk_id) or said.chunk_id
    try:
        event = FeedbackEvent(
            **fields,
            generation=said.generation or services.generation(),
            shown=tuple(ShownHit(**hit.model_dump()) for hit in said.shown),
        )
    except FeedbackError as err:
        raise Problem(422, err.message, code="invalid_request") from err
    return FeedbackAnswer(number=services.judging().append(event))
