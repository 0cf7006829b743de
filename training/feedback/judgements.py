"""What the feedback log says when read as a whole: one judgement per query and passage, agreement, open questions. Pure.

Who is right when sessions differ, in this order:

1. Of one session, the latest judging event about a query and passage counts; a `withdraw` takes its opinion away.
2. Then the majority of sessions decides whether the passage is relevant (grade above 0). A tie is no judgement: it is left
   out and counted as disputed.
3. The grade is the lower median of those of the majority.

Clicks judge nothing: people click what stands on top. Queries are the same when they differ only in case, width or spaces.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import combinations
from statistics import median_low
from typing import Literal, TypeAlias
from unicodedata import normalize

from quarry.training.feedback.events import DEFAULT_GRADES, FeedbackEvent, StoredEvent

Conflict = Literal["majority", "latest"]
_Pair: TypeAlias = tuple[str, str, str]  # query key, document, passage (empty: the whole document)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One query and passage with the grade that stands.

    Attributes:
        query: As it was typed last.
        chunk_id: Empty when the whole document was judged.
        doc_id: Its document.
        grade: 0 (not relevant) to 3.
        sessions: How many sessions have an opinion.
        at: When the latest of them was given.
        generation: The index generation that it was about.
    """

    query: str
    chunk_id: str
    doc_id: str
    grade: int
    sessions: int
    at: datetime
    generation: str


@dataclass(frozen=True, slots=True)
class FeedbackSummary:
    """Counts of a log.

    Attributes:
        events: All events.
        by_action: Per action.
        by_day: Per day in UTC, `2026-11-21`.
        by_session: Per session.
        by_language: Per language of the query.
        judged_queries: Queries with at least one judgement that stands.
        agreement: Among pairs of sessions that judged the same query and document, the share that agree whether it is
            relevant; None when there is no such pair.
        compared: How many such pairs there are.
        disputed: (query, document) with as many sessions for as against.
        unanswered: Queries with a thumb down or a note and nothing relevant, most events first.
    """

    events: int
    by_action: Mapping[str, int]
    by_day: Mapping[str, int]
    by_session: Mapping[str, int]
    by_language: Mapping[str, int]
    judged_queries: int
    agreement: float | None
    compared: int
    disputed: tuple[tuple[str, str], ...]
    unanswered: tuple[str, ...]


def query_key(query: str) -> str:
    """Return what is equal for queries that are the same: width and case folded, spaces joined."""
    return " ".join(normalize("NFKC", query).casefold().split())


def query_id(query: str) -> str:
    """Return a stable id for a query, the same for equal queries."""
    return "q" + sha256(query_key(query).encode("utf-8", "replace")).hexdigest()[:16]


def judgements(events: Iterable[StoredEvent], conflict: Conflict = "majority") -> list[Judgement]:
    """Return the judgements of passages that stand, in the order in which they were first made.

    Args:
        events: The log's events, oldest first.
        conflict: `majority` as described above; `latest`: the last word of anyone counts.
    """
    found = []
    for opinions in _opinions(events).values():
        given = [stored for stored in opinions.values() if stored.event.action != "withdraw"]
        latest = max(given, key=lambda stored: stored.number, default=None)
        if latest is None:
            continue
        grade = latest.event.grade if conflict == "latest" else _majority([s.event.grade or 0 for s in given])
        if grade is not None:
            e = latest.event
            found.append(Judgement(e.query, e.chunk_id, e.doc_id, grade, len(given), e.at, e.generation))
    return found


def document_grades(events: Iterable[StoredEvent]) -> dict[str, dict[str, int]]:
    """Return query to document to grade: a session's opinion of a document is that of its best passage, then the majority."""
    texts, grades = _by_document(events)
    out: dict[str, dict[str, int]] = {}
    for (key, doc_id), opinions in grades.items():
        grade = _majority(list(opinions.values()))
        if grade is not None:
            out.setdefault(texts[key], {})[doc_id] = grade
    return out


def summary(events: Iterable[StoredEvent]) -> FeedbackSummary:
    """Count a log."""
    kept = list(events)
    texts, grades = _by_document(kept)
    votes = {pair: [grade > 0 for grade in opinions.values()] for pair, opinions in grades.items()}
    agreeing = Counter(one == other for vote in votes.values() for one, other in combinations(vote, 2))
    standing = document_grades(kept)
    good = {query_key(query) for query, found in standing.items() if any(grade > 0 for grade in found.values())}
    complained = {query_key(s.event.query) for s in kept if s.event.action in ("thumb_down", "note")}
    counts = Counter(query_key(s.event.query) for s in kept)
    unanswered = sorted(complained - good, key=lambda key: (-counts[key], texts[key]))
    compared = agreeing.total()
    return FeedbackSummary(
        events=len(kept),
        by_action=_counted(s.event.action for s in kept),
        by_day=_counted(s.event.at.date().isoformat() for s in kept),
        by_session=_counted(s.event.session for s in kept),
        by_language=_counted(s.event.language for s in kept),
        judged_queries=len(standing),
        agreement=agreeing[True] / compared if compared else None,
        compared=compared,
        disputed=tuple(
            (texts[pair[0]], pair[1]) for pair, vote in votes.items() if vote and 2 * sum(vote) == len(vote)
        ),
        unanswered=tuple(texts[key] for key in unanswered),
    )


def _opinions(events: Iterable[StoredEvent]) -> dict[_Pair, dict[str, StoredEvent]]:
    """The latest judging event per pair and session."""
    out: dict[_Pair, dict[str, StoredEvent]] = defaultdict(dict)
    for stored in events:
        event = stored.event
        if event.action in DEFAULT_GRADES or event.action == "withdraw":
            opinions = out[_pair(event)]
            before = opinions.get(event.session)
            if before is None or stored.number > before.number:
                opinions[event.session] = stored
    return out


def _pair(event: FeedbackEvent) -> _Pair:
    return query_key(event.query), event.doc_id, event.chunk_id


def _by_document(events: Iterable[StoredEvent]) -> tuple[dict[str, str], dict[tuple[str, str], dict[str, int]]]:
    """The latest spelling per query key, and per query key and document the grade of each session."""
    kept = list(events)
    texts = {query_key(s.event.query): s.event.query for s in kept}
    grades: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for (key, doc_id, _), opinions in _opinions(kept).items():
        for session, stored in opinions.items():
            if stored.event.grade is not None:
                best = max(stored.event.grade, grades[key, doc_id].get(session, 0))
                grades[key, doc_id][session] = best
    return texts, grades


def _majority(grades: list[int]) -> int | None:
    relevant = [grade for grade in grades if grade > 0]
    against = len(grades) - len(relevant)
    if len(relevant) == against:
        return None
    return median_low(relevant) if len(relevant) > against else 0


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
