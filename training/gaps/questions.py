"""The questions of an index that nobody could answer, grouped by meaning, with what comes nearest."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from quarry.indexer.embedder import Embedder
from quarry.retriever.options import SearchOptions
from quarry.retriever.results import Result
from quarry.retriever.searcher import Searcher
from quarry.training.feedback.events import EDITOR, StoredEvent
from quarry.training.feedback.judgements import query_key, summary
from quarry.training.gaps.grouping import groups_by_meaning, groups_by_words

MOST = 500
"""Questions that are grouped, those that were asked most."""
_NEAREST = 3


@dataclass(frozen=True, slots=True)
class Nearest:
    """A document that comes near an open question."""

    doc_id: str
    title: str
    source: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Questions that mean the same and have no good answer.

    Attributes:
        questions: As they were typed, the one with most events first.
        events: What was said about all of them together: thumbs, notes, clicks.
        visitors: How many sessions said it.
        notes: What users wrote.
        nearest: Documents that a search for the first question brings.
        answers: Documents of written answers to questions that mean the same, which did not help those who asked these.
    """

    questions: tuple[str, ...]
    events: int
    visitors: int
    notes: tuple[str, ...]
    nearest: tuple[Nearest, ...]
    answers: tuple[str, ...] = ()


def find_gaps(events: Iterable[StoredEvent], searcher: Searcher) -> tuple[Gap, ...]:
    """Group the open questions of a feedback log, most events first.

    A question is open when it has a thumb down or a note, and nothing that was judged relevant.

    Args:
        events: The log's.
        searcher: The index that they are about; its model groups them, its words do without one.
    """
    kept = list(events)
    of_query: dict[str, list[StoredEvent]] = {}
    for stored in kept:
        of_query.setdefault(query_key(stored.event.query), []).append(stored)
    questions = summary(kept).unanswered[:MOST]
    open_keys = {query_key(question) for question in questions}
    written = {
        stored.event.query: stored.event.doc_id
        for stored in kept
        if stored.event.session == EDITOR and query_key(stored.event.query) not in open_keys
    }
    memory = tuple(written)[-MOST:]
    gaps = []
    for places in _groups((*questions, *memory), searcher):
        group = [place for place in places if place < len(questions)]
        if not group:
            continue
        said = [stored for place in group for stored in of_query[query_key(questions[place])]]
        counts = Counter(query_key(stored.event.query) for stored in said)
        named = sorted((questions[place] for place in group), key=lambda text: -counts[query_key(text)])
        gaps.append(
            Gap(
                questions=tuple(named),
                events=len(said),
                visitors=len({stored.event.session for stored in said}),
                notes=tuple(dict.fromkeys(stored.event.note for stored in said if stored.event.note)),
                nearest=_nearest(named[0], searcher),
                answers=tuple(
                    dict.fromkeys(written[memory[place - len(questions)]] for place in places if place not in group)
                ),
            )
        )
    return tuple(sorted(gaps, key=lambda gap: -gap.events))


def _groups(questions: tuple[str, ...], searcher: Searcher) -> list[list[int]]:
    embedder: Embedder | None = searcher.embedder()
    if embedder is not None:
        return groups_by_meaning(questions, embedder)
    analyzer = searcher.index.analyzer
    return groups_by_words([frozenset(analyzer.query_tokens(question)) for question in questions])


def _nearest(question: str, searcher: Searcher) -> tuple[Nearest, ...]:
    route = "bm25" if searcher.index.vectors is None else "hybrid"
    found: dict[str, Result] = {}
    for result in searcher.search(question, 3 * _NEAREST, SearchOptions(route=route)).results:  # type: ignore[arg-type]
        found.setdefault(result.doc_id, result)
    return tuple(Nearest(one.doc_id, one.title, one.source) for one in list(found.values())[:_NEAREST])
