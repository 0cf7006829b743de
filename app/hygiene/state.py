"""The state of a collection, gathered from the index and its feedback log."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from quarry.app.documents.catalog import Listed, list_documents
from quarry.app.documents.skips import list_skips
from quarry.app.hygiene.near_duplicates import near_duplicates
from quarry.app.hygiene.usage import Usage, usage
from quarry.indexer.principals import Principals
from quarry.indexer.stores.parts import live_texts
from quarry.retriever.answers.packing import OLD_DAYS
from quarry.training.feedback.judgements import summary
from quarry.training.feedback.log import read_events

STALE_DAYS = OLD_DAYS
ENOUGH_QUESTIONS = 20
"""Questions with their results in the log, below which "never found" says nothing."""
_ALL = 10_000_000


@dataclass(frozen=True, slots=True)
class Stale:
    """An old document that people still get.

    Attributes:
        id: Its id.
        title: Its title.
        modified: Day of its last change, ISO.
        questions: How many it was among the first three results of, or was judged relevant for.
    """

    id: str
    title: str
    modified: str
    questions: int


@dataclass(frozen=True, slots=True)
class State:
    """The state of a collection.

    Attributes:
        documents: How many.
        passages: How many they were cut into.
        formats: Documents by format.
        languages: Documents by language.
        years: Documents by the year of their last change; `unknown` for those without a date.
        left_out: What readers left out of all documents, by kind.
        skipped: Files that the last runs skipped.
        duplicates: Groups of ids that are nearly the same, the largest first.
        stale: Old documents that carry answers, those with most questions first.
        questions: Questions with their results in the feedback log.
        never_found: Ids of documents that were among the results of none of them; None below 20 questions.
        open_questions: Questions without a good answer.
    """

    documents: int
    passages: int
    formats: Mapping[str, int]
    languages: Mapping[str, int]
    years: Mapping[str, int]
    left_out: Mapping[str, int]
    skipped: int
    duplicates: tuple[tuple[str, ...], ...]
    stale: tuple[Stale, ...]
    questions: int
    never_found: tuple[str, ...] | None
    open_questions: tuple[str, ...]


def state_of(
    index: Path, *, stale_days: int = STALE_DAYS, today: date | None = None, principals: Principals | None = None
) -> State:
    """Look through an index.

    Args:
        index: The index folder.
        stale_days: Days since its last change after which a document is old.
        today: The day to count from; None for today, UTC.
        principals: Who asks: the report is about what they may see. None for everything.

    Raises:
        IndexFormatError: If the folder is not an index, or is damaged.
        FeedbackError: If its feedback log is damaged.

    Example:
        >>> from pathlib import Path
        >>> from quarry.app.hygiene.state import state_of
        >>> state = state_of(Path("my-index"))
        >>> state.documents, state.formats["markdown"], state.duplicates, state.never_found
        (4, 1, (), None)
    """
    events = read_events(index, principals)
    used = usage(events)
    with live_texts(index, principals) as table:
        listed = list_documents(table, count=_ALL).documents
        texts = ((document.doc_id, document.text) for document in table.documents())
        groups = near_duplicates(texts, lambda doc_id: table.document(doc_id).text)
        left_out = table.left_out()
    never = tuple(one.id for one in listed if not used.shown[one.id])
    return State(
        documents=len(listed),
        passages=sum(one.passages for one in listed),
        formats=_counted(one.format or "other" for one in listed),
        languages=_counted(one.language for one in listed),
        years=_counted(one.modified[:4] or "unknown" for one in listed),
        left_out=left_out,
        skipped=len(list_skips(index)) if principals is None else 0,
        duplicates=tuple(map(tuple, groups)),
        stale=_stale(listed, used, stale_days, today or datetime.now(UTC).date()),
        questions=used.questions,
        never_found=never if used.questions >= ENOUGH_QUESTIONS else None,
        open_questions=summary(events).unanswered,
    )


def _stale(listed: tuple[Listed, ...], used: Usage, days: int, today: date) -> tuple[Stale, ...]:
    old = [one for one in listed if used.carried[one.id] and (_age(one.modified, today) or 0) > days]
    found = [Stale(one.id, one.title, one.modified[:10], used.carried[one.id]) for one in old]
    return tuple(sorted(found, key=lambda one: (-one.questions, one.modified, one.id)))


def _age(modified: str, today: date) -> int | None:
    """Return days since a day as metadata writes it; None when it is no date."""
    try:
        return (today - date.fromisoformat(modified[:10])).days
    except ValueError:
        return None


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
