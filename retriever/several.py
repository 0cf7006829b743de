"""One question to several indexes.

Indexes of one scale, the same encoder and the same analyzer of words, are searched as one (`quarry.indexer.joined`): document
frequencies are summed, similarities compared, and the candidates of all of them fused and reranked together.

Others are searched apart, each with its own model, and merged by the strength of their hits (`quarry.retriever.answers.refusals.fit`): the
probability, calibrated on judged questions, that passages like it hold the answer. Scores would not do, each is relative to its own index.
The order within a search stays, and a notice says which indexes were searched apart. `python -m tests.benchmarks.several CACHE` compares
both ways, reciprocal ranks and z-scores on corpora that were cut into two and four indexes.

    several = Several.open([Path("handbook"), Path("mails")])
    answer, fit = several.search("how do I renew a book?", k=5)
    [(hit.index, hit.title) for hit in answer.results]
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Self

from quarry.indexer.errors import UnknownFilter
from quarry.indexer.joined import Scale, scale_of
from quarry.indexer.messages import Message
from quarry.indexer.principals import Principals
from quarry.indexer.stores.lake.view import place_of
from quarry.retriever.answers.refusals.fit import Fit, Strength, search_with_fit
from quarry.retriever.base import Reranker
from quarry.retriever.models.lazy import LATE
from quarry.retriever.options import STANDARD, SearchOptions
from quarry.retriever.ranking import Query, StageReport
from quarry.retriever.results import Answer, Result
from quarry.retriever.searcher import Searcher
from quarry.retriever.shown.own_ids import with_own_ids


@dataclass(frozen=True, slots=True)
class _Side:
    """Indexes that are searched together, by name, and what searches them."""

    searchers: Mapping[str, Searcher]
    searcher: Searcher

    @classmethod
    def of(cls, searchers: Mapping[str, Searcher]) -> Self:
        """Return a side; several of them must be of one scale."""
        alone = len(searchers) == 1
        return cls(searchers, next(iter(searchers.values())) if alone else Searcher.joined(searchers))

    @property
    def name(self) -> str:
        """The names of its indexes."""
        return ", ".join(self.searchers)

    def search(self, query: str, k: int, options: SearchOptions) -> "_Of":
        """Search it; results have the ids that they have in their own index."""
        answer, fit = search_with_fit(self.searcher, query, k, options)
        if len(self.searchers) == 1:
            results = tuple(replace(result, index=self.name) for result in answer.results)
        else:
            results = tuple(map(with_own_ids, answer.results))
        learned = [name for name, searcher in self.searchers.items() if _has_learned(searcher)]
        notices = (*answer.notices, _left_out(learned)) if learned and len(self.searchers) > 1 else answer.notices
        return _Of(self, replace(answer, results=results, notices=notices), fit)


@dataclass(frozen=True, slots=True)
class _Of:
    """What one side answered."""

    side: _Side
    answer: Answer
    fit: Fit

    @property
    def name(self) -> str:
        """The names of its indexes."""
        return self.side.name


@dataclass(frozen=True, slots=True)
class _Hit:
    """A hit of a side; `counted` is the least strength of it and those before it."""

    side: str
    result: Result
    strength: Strength
    counted: float

    def order(self) -> tuple[float, int, str, str]:
        """Return what hits are sorted by."""
        return -self.counted, self.result.rank, self.side, self.result.chunk_id


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

    @property
    def sides(self) -> tuple[_Side, ...]:
        """What is searched: indexes of one scale together, others apart; joined at the first search."""
        groups: dict[tuple[Scale, str], dict[str, Searcher]] = {}
        for name, searcher in self.searchers.items():
            groups.setdefault((scale_of(searcher.index), searcher.lazy_reranker.tuned), {})[name] = searcher
        return tuple(map(_Side.of, groups.values()))

    def search(self, query: str, k: int = 10, options: SearchOptions = STANDARD) -> tuple[Answer, Fit]:
        """Return the k best passages of all indexes with their strengths; `index` of each says where it is from.

        A filter on metadata that an index does not have finds nothing there.

        Raises:
            EmptyQuery: If the query is empty.
            UnknownFilter: If no index has the metadata of a filter.
            ValueError: If k < 1; those above are ValueErrors too.
        """
        if options.principals is not None:
            return self.seen_by(options.principals).search(query, k, replace(options, principals=None))
        found: list[_Of] = []
        unknown: UnknownFilter | None = None
        for side in self.sides:
            try:
                found.append(side.search(query, k, options))
            except UnknownFilter as err:
                unknown = err
        if not found and unknown is not None:
            raise unknown
        return merged(found, query, k)


def names_of(roots: Sequence[Path]) -> dict[str, Path]:
    """Return indexes by the names of their folders or lakes; those of one name, and an index that is named twice, by their places.

    Example:
        >>> names_of([Path("a/mails"), Path("b/mails"), Path("notes")]) == {
        ...     "a/mails": Path("a/mails"), "b/mails": Path("b/mails"), "notes": Path("notes")
        ... }
        True
    """
    different = {root.resolve(): root for root in reversed(roots)}
    ordered = list(reversed(different.values()))
    names = [PurePosixPath(place_of(root.resolve())).name for root in ordered]
    return {
        (name if names.count(name) == 1 else place_of(root)): root for name, root in zip(names, ordered, strict=True)
    }


def merged(found: Sequence[_Of], query: str, k: int) -> tuple[Answer, Fit]:
    """Merge the answers of several sides by the strength of their hits; none counts for more than those before it in its side."""
    every = sorted((hit for one in found for hit in _hits(one)), key=_Hit.order)
    best = every[:k]
    places = {(hit.side, hit.result.rank): rank for rank, hit in enumerate(best, start=1)}
    results = tuple(_placed(hit, rank, places) for rank, hit in enumerate(best, start=1))
    leads = best[0].side if best else found[0].name
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
    within = None if hit.result.within is None else places.get((hit.side, hit.result.within))
    return replace(hit.result, rank=rank, within=within)


def _answer(found: Sequence[_Of], query: str, results: tuple[Result, ...]) -> Answer:
    first = found[0].answer
    if len(found) == 1:
        return replace(first, results=results, generation=_generation(found[0]))
    apart = Message.of(
        "search.merged",
        "searched apart, because encoder or analyzer differ or one is a lake, and merged by the strength of their hits: {indexes:;}",
        indexes=[one.name for one in found],
    )
    return replace(
        first,
        query=Query(query, first.query.text),
        results=results,
        stages=tuple(_named(one.name, report) for one in found for report in one.answer.stages),
        notices=(*_notices(found), apart),
        generation=", ".join(map(_generation, found)),
        model=", ".join(dict.fromkeys(one.answer.model for one in found if one.answer.model)),
        milliseconds=sum(one.answer.milliseconds for one in found),
    )


def _generation(one: _Of) -> str:
    return ", ".join(f"{name} {searcher.index.generation}" for name, searcher in one.side.searchers.items())


def _has_learned(searcher: Searcher) -> bool:
    manifest = searcher.index.manifest
    return manifest.second_stage is not None or manifest.query_shift is not None


def _left_out(names: Sequence[str]) -> Message:
    return Message.of(
        "search.learned_alone",
        "what judgements taught {indexes} about questions counts in searches of that index alone",
        indexes=names,
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
