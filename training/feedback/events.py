"""What a user did with an answer: the records of the feedback log, valid by construction. Nothing here reads or writes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Literal, get_args

from quarry.indexer.errors import FeedbackError
from quarry.indexer.language import language_of
from quarry.retriever.ranking import Stage

Action = Literal["thumb_up", "thumb_down", "answer", "note", "click", "withdraw"]
ACTIONS: tuple[str, ...] = get_args(Action)
MAX_QUERY_CHARS = 8_192  # as quarry.retriever.searcher cuts them
MAX_NOTE_CHARS = 10_000
MAX_ID_CHARS = 2_048
MAX_SHOWN = 200
MAX_GRADE = 3
DEFAULT_GRADES = {"thumb_up": 1, "thumb_down": 0, "answer": 2}
"""The grades of judging actions where none is given; the other actions have none."""
EDITOR = "editor"
"""The session of answers that somebody wrote to open questions (`quarry.training.gaps.writing`)."""

_STAGES = get_args(Stage)


@dataclass(frozen=True, slots=True)
class ShownHit:
    """One result as the user saw it: where it stood, and with what score of what stage.

    Raises:
        FeedbackError: If an id is empty, the rank is below 1, the score is not finite, or the stage is unknown.
    """

    chunk_id: str
    doc_id: str
    rank: int
    score: float
    stage: Stage

    def __post_init__(self) -> None:
        _check_id("chunk_id of a shown hit", self.chunk_id)
        _check_id("doc_id of a shown hit", self.doc_id)
        if type(self.rank) is not int or self.rank < 1:
            raise FeedbackError(
                "feedback.shown_rank",
                "the rank of a shown hit is {rank}",
                expected="a whole number from 1",
                rank=repr(self.rank),
            )
        if not isinstance(self.score, int | float) or isinstance(self.score, bool) or not isfinite(self.score):
            raise FeedbackError(
                "feedback.shown_score",
                "the score of a shown hit is {score}",
                expected="a finite number",
                score=repr(self.score),
            )
        if self.stage not in _STAGES:
            raise FeedbackError(
                "feedback.shown_stage",
                "the stage of a shown hit is {stage}",
                expected="one of {stages}",
                stage=repr(self.stage),
                stages=list(_STAGES),
            )


@dataclass(frozen=True, slots=True)
class FeedbackEvent:
    """One thing a user did.

    NUL and lone surrogates in `query` and `note` become U+FFFD; in ids they are errors.

    Attributes:
        query: As typed, at most 8,192 characters.
        action: `thumb_up`, `thumb_down` and `answer` ("this is the answer") judge; `withdraw` takes the session's judgement
            of this passage back; `note` is free text; `click` is an opened result, which judges nothing.
        session: Anonymous id.
        generation: The index generation that answered.
        chunk_id: The passage; empty when the whole document or the whole answer is meant.
        doc_id: Its document; may be empty for a note only.
        grade: 0 to 3 for judging actions (None takes 1, 0 and 2), None for others. A thumb down is 0, the others at least 1.
        note: Free text, at most 10,000 characters; required for the action `note`.
        shown: The results as they were shown, at most 200.
        language: The query's language; empty detects it by the script.
        at: When, with a time zone; kept in UTC to the millisecond.

    Raises:
        FeedbackError: If a field is not valid; it is named.
    """

    query: str
    action: Action
    session: str
    generation: str
    chunk_id: str = ""
    doc_id: str = ""
    grade: int | None = None
    note: str = ""
    shown: tuple[ShownHit, ...] = ()
    language: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.action not in ACTIONS:
            raise FeedbackError(
                "feedback.action",
                "action is {action}",
                expected="one of {actions}",
                action=repr(self.action),
                actions=list(ACTIONS),
            )
        put(self, "query", _clean("query", self.query, MAX_QUERY_CHARS))
        put(self, "note", _clean("note", self.note, MAX_NOTE_CHARS))
        if not self.query.strip():
            raise FeedbackError("feedback.no_query", "query is empty", expected="what the user asked")
        if self.action == "note" and not self.note.strip():
            raise FeedbackError("feedback.no_note", "note is empty", expected="text for the action 'note'")
        _check_id("session", self.session)
        _check_id("generation", self.generation)
        _check_id("chunk_id", self.chunk_id, empty=True)
        _check_id("doc_id", self.doc_id, empty=self.action == "note" and not self.chunk_id)
        put(self, "grade", _checked_grade(self.action, self.grade))
        put(self, "shown", _checked_shown(self.shown))
        put(self, "language", _clean("language", self.language or language_of(self.query), 16))
        put(self, "at", _checked_time(self.at))


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with its number in the log; numbers grow."""

    number: int
    event: FeedbackEvent


def _clean(name: str, text: object, limit: int) -> str:
    if not isinstance(text, str):
        raise FeedbackError(
            "feedback.not_text", "{name} is a {type}", expected="text", name=name, type=type(text).__name__
        )
    if len(text) > limit:
        raise FeedbackError(
            "feedback.too_long",
            "{name} has {count} characters",
            expected="at most {limit}",
            do="Shorten it",
            name=name,
            count=len(text),
            limit=limit,
        )
    return "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text)


def _check_id(name: str, value: object, *, empty: bool = False) -> None:
    if not isinstance(value, str) or len(value) > MAX_ID_CHARS or (not value and not empty):
        shown = f"{len(value)} characters long" if isinstance(value, str) and value else repr(value)
        raise FeedbackError(
            "feedback.id",
            "{name} is {shown}",
            expected="text of 1 to {limit} characters",
            name=name,
            shown=shown,
            limit=MAX_ID_CHARS,
        )
    if _clean(name, value, MAX_ID_CHARS) != value:
        raise FeedbackError(
            "feedback.broken_id",
            "{name} {shown} has a NUL or half a character",
            expected="an id as the index gives it",
            name=name,
            shown=ascii(value),
        )


def _checked_grade(action: Action, grade: object) -> int | None:
    if action not in DEFAULT_GRADES:
        if grade is not None:
            raise FeedbackError(
                "feedback.no_grade",
                "grade is {grade} for the action {action}",
                expected="none, because it judges nothing",
                grade=repr(grade),
                action=repr(action),
            )
        return None
    if grade is None:
        return DEFAULT_GRADES[action]
    low, high = (0, 0) if action == "thumb_down" else (1, MAX_GRADE)
    if type(grade) is not int or not low <= grade <= high:
        raise FeedbackError(
            "feedback.grade",
            "grade is {grade} for the action {action}",
            expected="a whole number from {low} to {high}",
            grade=repr(grade),
            action=repr(action),
            low=low,
            high=high,
        )
    return grade


def _checked_shown(shown: Iterable[ShownHit]) -> tuple[ShownHit, ...]:
    hits = tuple(shown)
    if len(hits) > MAX_SHOWN:
        raise FeedbackError(
            "feedback.many_shown", "shown has {count} hits", expected="at most {most}", count=len(hits), most=MAX_SHOWN
        )
    if not all(isinstance(hit, ShownHit) for hit in hits) or len({hit.rank for hit in hits}) < len(hits):
        raise FeedbackError(
            "feedback.shown",
            "shown has an entry that is not a ShownHit, or one rank twice",
            expected="the list as it was shown",
        )
    return hits


def _checked_time(at: object) -> datetime:
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise FeedbackError("feedback.at", "at is {at}", expected="a time with a time zone", at=repr(at))
    utc = at.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
