"""The smallest change to a search that shows a document; each is tried before it is proposed."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from quarry.indexer.messages import Message
from quarry.indexer.records import BETWEEN_HEADINGS
from quarry.retriever.questions.understood import understand
from quarry.retriever.searcher import Searcher
from quarry.retriever.why_not.loss import Loss, find_loss
from quarry.retriever.why_not.places import DEEPEST, Places
from quarry.retriever.why_not.search import Search
from quarry.retriever.why_not.spelling import corrected

_A_FEW = 2  # times the asked number of results: so many more are a smaller change than another route
_MANY = 100  # results that somebody may look through
_BLOCKS = 4  # things that can stand before the ranking, one behind the other
_HEADINGS = 3  # titles and headings whose words are tried


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was tried.

    Attributes:
        steps: What to do, in order; mostly one.
        search: The changed search.
        rank: Of the first result of the document in it.
    """

    steps: tuple[Message, ...]
    search: Search
    rank: int


def any_search(_search: Search) -> bool:
    """Every search can be made."""
    return True


def smallest_change(
    searcher: Searcher,
    search: Search,
    doc_ids: Collection[str],
    loss: Loss,
    possible: Callable[[Search], bool] = any_search,
) -> Change | None:
    """Return the smallest change that shows one of the documents; None when none of those tried does.

    What blocks it before the ranking goes first, in as many steps as it takes. Then one more change is made: to the spelling, the
    number of results, the route, the second stage, or the question's words.

    Args:
        searcher: The opened index.
        search: What was asked.
        doc_ids: The documents.
        loss: Where they were lost.
        possible: Whether the asker can make a search.
    """
    steps: list[Message] = []
    for _ in range(_BLOCKS):
        step, changed = _unblocked(search, loss)
        if step is None or not possible(changed):
            break
        steps.append(step)
        search = changed
        loss = find_loss(searcher, search, doc_ids)
    if loss.stage == "shown":
        return Change(tuple(steps), search, loss.rank or 1) if steps else None
    tries = _tries(searcher, search, doc_ids, loss.places) if loss.places else iter([_alone(search, doc_ids)])
    for step, changed in tries:
        rank = changed.rank_of(doc_ids, searcher) if possible(changed) else None
        if rank is None:
            continue
        # of the results asked for, some are copies that another one names
        fewer = _more(search, rank) if search.k < rank < changed.k else None
        if fewer is not None and fewer[1].rank_of(doc_ids, searcher) == rank:
            return Change((*steps, fewer[0]), fewer[1], rank)
        return Change((*steps, step), changed, rank)
    return None


def _unblocked(search: Search, loss: Loss) -> tuple[Message | None, Search]:
    """Return the search without what blocks the document before the ranking; None for the step when nothing does."""
    if loss.stage == "filter":
        left = {key: value for key, value in (search.options.filters or {}).items() if key not in loss.keys}
        step = Message.of("search.drop_filter", "Search without the filter on {keys}", keys=list(loss.keys))
        return step, search.but(filters=left or None)
    if loss.stage == "excluded":
        asked = understand(search.question).text
        return Message.of("search.drop_exclusion", "Do not leave out words: ask {question}", question=asked), replace(
            search, question=asked
        )
    if loss.stage == "phrase":
        asked = search.question.translate({ord(mark): " " for mark in '"“”「」『』'})
        asked = " ".join(asked.split())
        return Message.of("search.drop_quotes", "Ask without quotation marks: {question}", question=asked), replace(
            search, question=asked
        )
    if loss.stage == "collapsed":
        return Message.of("search.show_copies", "Show copies as results of their own"), search.but(collapse=False)
    return None, search


def _tries(
    searcher: Searcher, search: Search, doc_ids: Collection[str], places: Places
) -> Iterator[tuple[Message, Search]]:
    """Yield changes that may help, the smallest first."""
    index = searcher.index
    passages = [chunk for doc_id in doc_ids for chunk in index.chunks.passages_of(doc_id)]
    for question in corrected(search.question, (chunk.text for chunk in passages), index.lexical, index.analyzer):
        yield (
            Message.of("search.spell", "Spell it as the document does: {question}", question=question),
            replace(search, question=question),
        )
    last = places.last
    if last is not None and last <= _A_FEW * search.k:
        yield _more(search, last)
    second = list(_second_stage(search, places))
    if places.fusion is not None and places.fusion <= search.k:  # it is the second stage that loses it
        yield from second
    yield from _other_routes(search, places)
    yield from second
    if last is not None and last <= _MANY:
        yield _more(search, last)
    titles = index.chunks.titles(list(doc_ids)).values()
    names = [*titles, *(chunk.heading.rpartition(BETWEEN_HEADINGS)[2] for chunk in passages)]
    for name in list(
        dict.fromkeys(name for name in names if name and name.casefold() not in search.question.casefold())
    )[:_HEADINGS]:
        question = f"{search.question} {name}"
        yield (
            Message.of("search.add_words", "Add words of its title or headings: {question}", question=question),
            replace(search, question=question),
        )
    step, alone = _alone(search, doc_ids)
    yield step, alone
    if search.options.route == "bm25" and index.vectors is not None:
        yield step, alone.but(route="hybrid")
    deep = last if last is not None else places.best_route
    if deep is not None:
        yield _more(search, min(DEEPEST, 2 * deep))


def _alone(search: Search, doc_ids: Collection[str]) -> tuple[Message, Search]:
    alone: dict[str, Any] = {**(search.options.filters or {}), "doc_id": [f"=={doc_id}" for doc_id in sorted(doc_ids)]}
    step = Message.of(
        "search.only_document", "Search in this document alone, with the filter doc_id={id}", id=sorted(doc_ids)[0]
    )
    return step, search.but(filters=alone)


def _more(search: Search, k: int) -> tuple[Message, Search]:
    return Message.of("search.ask_for_more", "Ask for {k} results", k=k), replace(search, k=k)


def _second_stage(search: Search, places: Places) -> Iterator[tuple[Message, Search]]:
    if not search.options.rerank:
        return
    yield Message.of("search.no_second_stage", "Search without the second stage"), search.but(rerank=False)
    if places.fusion is not None and places.fusion > search.options.rerank_depth:
        step = Message.of("search.rerank_deeper", "Let the second stage read {depth} passages", depth=places.fusion)
        yield step, search.but(rerank_depth=places.fusion)


def _other_routes(search: Search, places: Places) -> Iterator[tuple[Message, Search]]:
    ranks = {"bm25": places.bm25, "dense": places.dense}
    better = sorted((rank, route) for route, rank in ranks.items() if rank is not None and rank <= search.k)
    for _, route in better:
        if route != search.options.route:
            yield Message.of("search.take_route", "Search with the route {route}", route=route), search.but(route=route)
    if search.options.route != "hybrid":
        yield (
            Message.of("search.take_route", "Search with the route {route}", route="hybrid"),
            search.but(route="hybrid"),
        )
