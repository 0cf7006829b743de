"""What became of written answers: what they answered, whether a search finds them today, and what was said of them since."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quarry.retriever.options import SearchOptions
from quarry.retriever.searcher import Searcher
from quarry.training.feedback.events import EDITOR, StoredEvent
from quarry.training.feedback.judgements import query_key

LOOKED_AT = 10
"""Results among which an answer is looked for."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A group of questions that somebody wrote an answer to.

    Attributes:
        questions: In the order in which they were answered.
        doc_id: The answer's document.
        at: The day of the newest answer, UTC, as YYYY-MM-DD.
        ranks: For each question the answer's place in a search today; None where it is not among the first ten.
        good: Times that users judged it right since, with a thumb up or as the answer.
        bad: Times that users judged it wrong since.
    """

    questions: tuple[str, ...]
    doc_id: str
    at: str
    ranks: tuple[int | None, ...]
    good: int
    bad: int

    @property
    def holds(self) -> bool:
        """Whether a search finds the answer for every question, and no more users judged it wrong than right."""
        return None not in self.ranks and self.bad <= self.good


def answered_gaps(events: Iterable[StoredEvent], searcher: Searcher) -> tuple[Answered, ...]:
    """Return the groups that have a written answer, the newest answer first; a document that is gone again has no place.

    Args:
        events: The log's, oldest first.
        searcher: The index that they are about.
    """
    kept = list(events)
    found: dict[str, dict[str, StoredEvent]] = {}
    for stored in kept:
        event = stored.event
        if event.action == "answer" and event.session == EDITOR and event.doc_id:
            found.setdefault(event.doc_id, {})[query_key(event.query)] = stored
    groups = [_answered(doc_id, list(last.values()), kept, searcher) for doc_id, last in found.items()]
    return tuple(sorted(groups, key=lambda one: one.at, reverse=True))


def _answered(
    doc_id: str, answers: Sequence[StoredEvent], events: Sequence[StoredEvent], searcher: Searcher
) -> Answered:
    questions = tuple(stored.event.query for stored in answers)
    since = min(stored.number for stored in answers)
    said = [
        stored.event.grade
        for stored in events
        if stored.number > since and stored.event.doc_id == doc_id and stored.event.session != EDITOR
    ]
    return Answered(
        questions=questions,
        doc_id=doc_id,
        at=max(stored.event.at for stored in answers).date().isoformat(),
        ranks=tuple(place_of(doc_id, question, searcher) for question in questions),
        good=sum(grade is not None and grade > 0 for grade in said),
        bad=sum(grade == 0 for grade in said),
    )


def place_of(doc_id: str, question: str, searcher: Searcher) -> int | None:
    """Return the rank of a document's first passage in a search, from 1; None when it is not among the first ten."""
    route = "bm25" if searcher.index.vectors is None else "hybrid"
    answer = searcher.search(question, LOOKED_AT, SearchOptions(route=route))  # type: ignore[arg-type]
    return next((result.rank for result in answer.results if result.doc_id == doc_id), None)
