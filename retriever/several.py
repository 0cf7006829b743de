"""One question to several indexes: each is searched as it is, with its own model, and the hits are merged on one scale.

Scores of different indexes are not comparable, whatever the stage: each is relative to its own index. The strength of a hit is
(`quarry.retriever.answers.refusals.fit`): the probability, calibrated on judged questions, that passages like it hold the answer. So hits
are merged by strength, also of indexes with different models and languages, and the order within an index stays. `python -m
tests.benchmarks.several CACHE` compares this with reciprocal ranks and z-scores on corpora that were cut into two and four indexes.

    several = Several.open([Path("handbook"), Path("mails")])
    answer, fit = several.search("how do I renew a book?", k=5)
    [(hit.index, hit.title) for hit in answer.results]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from quarry.indexer.errors import UnknownFilter
from quarry.indexer.messages import Message
from quarry.indexer.principals import Principals
from quarry.retriever.answers.refusals.fit import Fit, Strength, search_with_fit
from quarry.retriever.base import Reranker
from quarry.retriever.options import STANDARD, SearchOptions
from quarry.retriever.ranking import Query, StageReport
from quarry.retriever.results import Answer, Result
from quarry.retriever.searcher import Searcher
from quarry.retriever.stages.models import LATE


@dataclass(frozen=True, slots=True)
class _Of:
    """What one index answered."""

    name: str
    answer: Answer
    fit: Fit


@dataclass(frozen=True, slots=True)
class _Hit:
    """A hit of an index; `counted` is the least strength of it and those before it."""

    index: str
    result: Result
    strength: Strength
    counted: float

    def order(self) -> tuple[float, int, str, str]:
        """Return what hits are sorted by."""
        return -self.counted, self.result.rank, self.index, self.result.chunk_id


class Several:
    """Searches several indexes. Safe to share between threads, as their searchers are."""

    def __init__(self, searchers: Mapping[str, Searcher]) -> None:
        """Join searchers.

        Args:
            searchers: By the name that hits are given, at least one.
        """
        self.searchers = dict(searchers)

    @classmethod
    def open(cls, roots: Sequence[Path], *, rerank: str | Reranker | None = LATE, device: str = "auto") -> Self:
        """Open indexes; each is named by its folder. Raises as `Searcher.open`."""
        return cls({name: Searcher.open(root, rerank=rerank, device=device) for name, root in names_of(roots).items()})

    def seen_by(self, principals: Principals | None) -> Self:
        """Return the same indexes without the documents that somebody may not see."""
        return type(self)({name: searcher.seen_by(principals) for name, searcher in self.searchers.items()})

    def search(self, query: str, k: int = 10, options: SearchOptions = STANDARD) -> tuple[Answer, Fit]:
        """Return the k best passages of all indexes with their strengths; `index` of each says where it is from.

        A filter on metadata that an index does not have finds nothing there.

        Raises:
            EmptyQuery: If the query is empty.
            UnknownFilter: If no index has the metadata of a filter.
            ValueError: If k < 1; those above are ValueErrors too.
        """
        found: list[_Of] = []
        unknown: UnknownFilter | None = None
        for name, searcher in self.searchers.items():
            try:
                answer, fit = search_with_fit(searcher, query, k, options)
            except UnknownFilter as err:
                unknown = err
            else:
                found.append(_Of(name, answer, fit))
        if not found and unknown is not None:
            raise unknown
        return merged(found, query, k)


def names_of(roots: Sequence[Path]) -> dict[str, Path]:
    """Return indexes by the names of their folders; those of one name, and an index that is named twice, by their paths.

    Example:
        >>> names_of([Path("a/mails"), Path("b/mails"), Path("notes")]) == {
        ...     "a/mails": Path("a/mails"), "b/mails": Path("b/mails"), "notes": Path("notes")
        ... }
        True
    """
    different = {root.resolve(): root for root in reversed(roots)}
    ordered = list(reversed(different.values()))
    names = [root.resolve().name for root in ordered]
    return {
        (name if names.count(name) == 1 else root.as_posix()): root for name, root in zip(names, ordered, strict=True)
    }


def merged(found: Sequence[_Of], query: str, k: int) -> tuple[Answer, Fit]:
    """Merge the answers of several indexes by the strength of their hits; none counts for more than those before it in its index."""
    every = sorted((hit for one in found for hit in _hits(one)), key=_Hit.order)
    best = every[:k]
    places = {(hit.index, hit.result.rank): rank for rank, hit in enumerate(best, start=1)}
    results = tuple(_placed(hit, rank, places) for rank, hit in enumerate(best, start=1))
    leads = best[0].index if best else found[0].name
    grounds = next(one.fit.grounds for one in found if one.name == leads)
    nothing = all(one.fit.nothing for one in found)
    words = tuple(_word(hit.strength, nothing=nothing) for hit in best)
    return _answer(found, query, results), Fit(words, grounds, nothing)


def _word(strength: Strength, *, nothing: bool) -> Strength:
    return replace(strength, word="weak") if nothing else strength


def _hits(one: _Of) -> Iterable[_Hit]:
    lowest = 1.0
    for result, strength in zip(one.answer.results, one.fit.hits, strict=True):
        lowest = min(lowest, strength.value)
        yield _Hit(one.name, result, strength, lowest)


def _placed(hit: _Hit, rank: int, places: Mapping[tuple[str, int], int]) -> Result:
    within = None if hit.result.within is None else places.get((hit.index, hit.result.within))
    return replace(hit.result, rank=rank, index=hit.index, within=within)


def _answer(found: Sequence[_Of], query: str, results: tuple[Result, ...]) -> Answer:
    first = found[0].answer
    return replace(
        first,
        query=Query(query, first.query.text),
        results=results,
        stages=tuple(_named(one.name, report) for one in found for report in one.answer.stages),
        notices=tuple(_notices(found)),
        generation=", ".join(f"{one.name} {one.answer.generation}" for one in found),
        model=", ".join(dict.fromkeys(one.answer.model for one in found if one.answer.model)),
        milliseconds=sum(one.answer.milliseconds for one in found),
    )


def _named(name: str, report: StageReport) -> StageReport:
    return replace(report, reason=_of_index(name, report.reason)) if report.reason else report


def _notices(found: Sequence[_Of]) -> Iterable[Message]:
    """Yield what all indexes say once, and what some say with their names; that a word is unknown is said when all say so."""
    for notice in dict.fromkeys(notice for one in found for notice in one.answer.notices):
        said = [one.name for one in found if notice in one.answer.notices]
        if len(said) == len(found):
            yield notice
        elif notice.code not in ("search.no_known_word", "search.other_language"):
            for name in said:
                yield _of_index(name, notice)


def _of_index(name: str, message: Message) -> Message:
    return Message.of("search.of_index", "{index}: {message}", index=name, message=message)
