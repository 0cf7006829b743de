"""How often documents were shown and chosen, by what the feedback log holds of the results of each question."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from quarry.training.feedback.events import StoredEvent
from quarry.training.feedback.judgements import query_key

_FIRST = 3  # places in which a document carries an answer


@dataclass(frozen=True, slots=True)
class Usage:
    """What a feedback log says of documents.

    Attributes:
        questions: Different questions with the results that were shown.
        shown: Document -> questions among whose results it was.
        carried: Document -> questions for which it was among the first three, or was judged relevant.
    """

    questions: int
    shown: Counter[str]
    carried: Counter[str]


def usage(events: Iterable[StoredEvent]) -> Usage:
    """Count a log; a question counts once for each document."""
    shown: dict[str, set[str]] = {}
    carried: dict[str, set[str]] = {}
    for stored in events:
        event, key = stored.event, query_key(stored.event.query)
        hits = {hit.doc_id: hit.rank for hit in event.shown}
        if hits:
            shown.setdefault(key, set()).update(hits)
            carried.setdefault(key, set()).update(doc_id for doc_id, rank in hits.items() if rank <= _FIRST)
        if event.grade and event.doc_id:
            carried.setdefault(key, set()).add(event.doc_id)
    return Usage(
        len(shown),
        Counter(doc_id for documents in shown.values() for doc_id in documents),
        Counter(doc_id for documents in carried.values() for doc_id in documents),
    )
