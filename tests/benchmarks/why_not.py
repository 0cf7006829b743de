"""Judged documents that a search misses, explained: `python -m tests.benchmarks.why_not WORK [SET ...]` prints Markdown rows.

Needs ../shared/data and the offline model. Indexes are those of `tests.benchmarks.mixed`, made below WORK. Of each corpus, the first
questions of which a relevant document is not among the first three passages are explained. The stage is checked by searches that the
explanation does not make: each route alone, the passages of the other language alone, without the second stage, with copies shown. The change is carried out as it is told.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from quarry.app.wiring import choose_model
from quarry.indexer.embedder import Embedder
from quarry.retriever.ranking import Query, Route
from quarry.retriever.searcher import Searcher, SearchOptions, document_of
from quarry.retriever.why_not.report import WhyNot, why_not
from quarry.retriever.why_not.search import Search
from tests.benchmarks.mixed import opened
from tests.benchmarks.mixed_sets import SETS

_K = 3
_MISSES = 60  # of each corpus
_HANDED_ON = 100  # passages of a route
_MARKS = str.maketrans(dict.fromkeys('"“”「」『』', " "))
_ROUTES: tuple[Route, ...] = ("dense", "bm25")
_PATIENT = SearchOptions(dense_budget_ms=1e7, rerank_budget_ms=1e7)


@dataclass(frozen=True, slots=True)
class Explained:
    """A miss: what was told, what other searches say, and whether the change works."""

    told: WhyNot
    stage: str
    works: bool


def misses(searcher: Searcher, name: str) -> Iterator[tuple[str, str]]:
    """Yield questions with a relevant document that is not shown."""
    found = 0
    for asked in SETS[name]().asked:
        shown = {result.doc_id for result in searcher.search(asked.query.text, _K, _PATIENT).results}
        missing = sorted(set(asked.relevant) - shown)
        if missing and found < _MISSES:
            found += 1
            yield asked.query.text, missing[0]


def stage_of(searcher: Searcher, question: str, doc_id: str) -> str:
    """Return the stage that loses a document, by searches that leave one thing out each."""
    unquoted = " ".join(question.translate(_MARKS).split())
    if (
        unquoted != question
        and _found(searcher, question, doc_id) is None
        and _found(searcher, unquoted, doc_id) is not None
    ):
        return "phrase"
    answer = searcher.search(question, _K, _PATIENT)
    if doc_id in [copy.doc_id for result in answer.results for copy in result.copies]:
        return "collapsed"
    if _found(searcher, question, doc_id) is None and _among_foreign(searcher, question, doc_id) is None:
        return "candidates"
    first = searcher.search(question, _K, replace(_PATIENT, rerank=False)).results
    return "rerank" if any(result.doc_id == doc_id for result in first) else "fusion"


def _found(searcher: Searcher, question: str, doc_id: str) -> int | None:
    """Return where a document stands among all candidates, or among those of either route."""
    for options in (
        replace(_PATIENT, rerank=False),
        *(replace(_PATIENT, rerank=False, route=route) for route in _ROUTES),
    ):
        (ranking,) = searcher.rank([Query("", question)], _HANDED_ON, options)
        for place, hit in enumerate(ranking.hits):
            if document_of(hit.chunk_id) == doc_id:
                return place
    return None


def _among_foreign(searcher: Searcher, question: str, doc_id: str) -> int | None:
    """Return where a document stands among the passages of the other language, which join the candidates of an index of two."""
    if searcher.pipeline.languages is None:
        return None
    dense = searcher.pipeline.retriever(replace(_PATIENT, rerank=False, route="dense"))
    foreign = searcher.pipeline.languages.foreign(question)
    if not foreign:
        return None
    (ranking,) = dense.retrieve([Query("", question)], _HANDED_ON, allowed=foreign)
    return next((place for place, hit in enumerate(ranking.hits) if document_of(hit.chunk_id) == doc_id), None)


def explained(searcher: Searcher, question: str, doc_id: str) -> Explained:
    """Explain a miss, and check the explanation."""
    told = why_not(searcher, Search(question, _K, _PATIENT), doc_id)
    works = told.change is not None and told.change.search.rank_of({doc_id}, searcher) is not None
    return Explained(told, stage_of(searcher, question, doc_id), works)


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    work, *names = arguments
    embedder: Embedder | None = choose_model("auto", device="cpu").embedder
    if embedder is None:
        raise SystemExit("no embedding model on this machine; expected the offline model")
    print("| corpus | misses | stage as checked | change works | stages | first steps |")
    print("|---" * 6 + "|")
    for name in names or SETS:
        searcher = opened(Path(work), name, SETS[name](), embedder)
        found = [explained(searcher, *miss) for miss in misses(searcher, name)]
        right = sum(one.told.loss.stage == one.stage for one in found)
        stages = Counter(one.told.loss.stage for one in found)
        steps = Counter(one.told.change.steps[-1].code.removeprefix("search.") for one in found if one.told.change)
        cells = (name, len(found), right, sum(one.works for one in found), _counts(stages), _counts(steps))
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
        for one in found:
            if one.told.loss.stage != one.stage:
                print(
                    f"<!-- {one.told.search.question[:60]} {one.told.loss.stage} {one.stage} {one.told.loss.places} -->"
                )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


if __name__ == "__main__":
    main(sys.argv[1:])
