"""The queries behind a difference: who won, who lost, and what each side showed for them. It measures nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from quarry.indexer.records import Document
from quarry.retriever.evaluation.compare import Comparison
from quarry.retriever.evaluation.judged_runs import JudgedRun, texts_of

_TEXT_CHARS = 200  # of a document, enough to see what it is


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """One document of a ranking.

    Attributes:
        rank: From 1.
        doc_id: Its id.
        score: The run's score.
        grade: Its judgement; None when it is not judged.
        title: Empty when unknown.
        text: Its beginning in one line, after the title; empty when the corpus is not available.
    """

    rank: int
    doc_id: str
    score: float
    grade: int | None
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One query of a comparison.

    Attributes:
        query_id: Its id.
        text: The question; the id when the texts are not available.
        before: Value of the measure.
        after: The same.
        delta: after - before.
        rank_before: Rank of the first relevant document; None when there is none in the run.
        rank_after: The same.
        documents_before: The first documents.
        documents_after: The same.
    """

    query_id: str
    text: str
    before: float
    after: float
    delta: float
    rank_before: int | None
    rank_after: int | None
    documents_before: tuple[ShownDocument, ...]
    documents_after: tuple[ShownDocument, ...]


@dataclass(frozen=True, slots=True)
class Cases:
    """The largest wins and losses of a comparison, largest first."""

    wins: tuple[Case, ...]
    losses: tuple[Case, ...]


def documents_to_show(
    comparison: Comparison, sides: tuple[JudgedRun, JudgedRun], *, count: int = 5, depth: int = 3
) -> set[str]:
    """Return the ids of the documents that `cases` will show, so that their texts can be fetched."""
    chosen = [*comparison.wins[:count], *comparison.losses[:count]]
    return {doc_id for side in sides for query_id in chosen for doc_id, _ in side.run.get(query_id, ())[:depth]}


def cases(
    comparison: Comparison,
    sides: tuple[JudgedRun, JudgedRun],
    documents: Mapping[str, Document],
    *,
    count: int = 5,
    depth: int = 3,
) -> Cases:
    """Return the largest wins and losses.

    Args:
        comparison: The comparison of the two sides.
        sides: Before and after.
        documents: By id, for titles and texts; those that are missing are shown by their id.
        count: How many of each at most.
        depth: How many documents of each side.
    """
    texts = texts_of(sides)

    def case(query_id: str) -> Case:
        before, after = (side.evaluation.per_query[query_id][comparison.measure] for side in sides)
        ranks = [_first_relevant(side, query_id) for side in sides]
        shown = [_shown(side, query_id, documents, depth) for side in sides]
        delta = comparison.deltas[query_id]
        return Case(
            query_id, texts.get(query_id, query_id), before, after, delta, ranks[0], ranks[1], shown[0], shown[1]
        )

    return Cases(
        tuple(case(query_id) for query_id in comparison.wins[:count]),
        tuple(case(query_id) for query_id in comparison.losses[:count]),
    )


def known_and_wanted(corpus: Iterable[Document], wanted: set[str]) -> tuple[set[str], dict[str, Document]]:
    """Read a corpus once: all its ids, and the documents wanted."""
    known, found = set(), {}
    for document in corpus:
        known.add(document.doc_id)
        if document.doc_id in wanted:
            found[document.doc_id] = document
    return known, found


def _grades(side: JudgedRun, query_id: str) -> Mapping[str, int]:
    return side.questions.qrels.get(query_id, {}) if side.questions is not None else {}


def _first_relevant(side: JudgedRun, query_id: str) -> int | None:
    grades = _grades(side, query_id)
    ranking = enumerate(side.run.get(query_id, ()), start=1)
    return next((rank for rank, (doc_id, _) in ranking if grades.get(doc_id, 0) > 0), None)


def _shown(side: JudgedRun, query_id: str, documents: Mapping[str, Document], depth: int) -> tuple[ShownDocument, ...]:
    grades = _grades(side, query_id)
    ranking: Sequence[tuple[str, float]] = side.run.get(query_id, ())
    return tuple(
        _document(rank, doc_id, score, grades.get(doc_id), documents.get(doc_id))
        for rank, (doc_id, score) in enumerate(ranking[:depth], start=1)
    )


def _document(rank: int, doc_id: str, score: float, grade: int | None, document: Document | None) -> ShownDocument:
    if document is None:
        return ShownDocument(rank, doc_id, score, grade, "", "")
    body = document.text.lstrip("# \n").removeprefix(document.title) if document.title else document.text
    text = " ".join(body[: 2 * _TEXT_CHARS].split())[:_TEXT_CHARS]
    return ShownDocument(rank, doc_id, score, grade, document.title, text)
