"""The stage at which a document is lost."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from quarry.indexer.messages import Message
from quarry.indexer.readers.left_out import counts_of, losses, told
from quarry.indexer.storage.texts.conditions import condition_of
from quarry.retriever.asking import checked
from quarry.retriever.questions.phrases import Holders
from quarry.retriever.questions.understood import understand
from quarry.retriever.ranking import Query
from quarry.retriever.results import Result
from quarry.retriever.searcher import Searcher
from quarry.retriever.why_not.places import DEEPEST, Places
from quarry.retriever.why_not.search import Search

Stage = Literal[
    "shown",
    "not_indexed",
    "skipped",
    "part",
    "filter",
    "excluded",
    "phrase",
    "collapsed",
    "candidates",
    "fusion",
    "rerank",
]
"""`shown` is no loss; `part` is a part of the file that its reader left out. A single route loses what it ranks below the cut as
`candidates`."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Where a document is lost, and why.

    Attributes:
        stage: The first stage that keeps it from being shown.
        reason: One sentence.
        places: Its ranks; None when it never came to ranking.
        keys: The filters that block it.
        rank: Of the result that shows it or names it as a copy.
    """

    stage: Stage
    reason: Message
    places: Places | None = None
    keys: tuple[str, ...] = ()
    rank: int | None = None


def find_loss(searcher: Searcher, search: Search, doc_ids: Collection[str]) -> Loss:
    """Follow documents of an index through a search, to where they are lost.

    Raises:
        QueryError: As `Searcher.search`.
    """
    blocked = _filtered(searcher, search, doc_ids) or _by_operators(searcher, search, doc_ids)
    if blocked is not None:
        return blocked
    results = search.made(searcher).results
    shown = _shown(results, doc_ids)
    if shown is not None:
        return shown
    places = Places.of(searcher, search, doc_ids)
    if search.options.route != "hybrid":
        return _below(searcher, search, doc_ids, places)
    if places.last is None and not places.handed_on:
        return _never_found(searcher, doc_ids, places)
    if places.fusion is not None and places.fusion <= search.k:
        return Loss("rerank", _reranked(places, search.k), places)
    return Loss("fusion", _fused(places, search.k), places)


def _filtered(searcher: Searcher, search: Search, doc_ids: Collection[str]) -> Loss | None:
    table = searcher.index.chunks
    filters = search.options.filters or {}
    kept = {key: set(table.documents_matching({key: value})) for key, value in filters.items()}
    keys = tuple(key for key, documents in kept.items() if not documents & set(doc_ids))
    if not keys and filters and not set.intersection(*kept.values()) & set(doc_ids):
        keys = tuple(filters)  # documents of one file that each lack something else
    if not keys:
        return None
    reason = Message.of(
        "search.lost_filtered",
        "it does not meet the filter {filters}",
        filters=[str(condition_of(key, filters[key])) for key in keys],
    )
    return Loss("filter", reason, keys=keys)


def _by_operators(searcher: Searcher, search: Search, doc_ids: Collection[str]) -> Loss | None:
    read = understand(checked(Query("", search.question))[0].text)
    if not (read.phrases or read.excluded):
        return None
    index = searcher.index
    holders = Holders(index.lexical, index.analyzer, index.chunks)
    mine = frozenset(chunk.chunk_id for doc_id in doc_ids for chunk in index.chunks.passages_of(doc_id))
    dropped = {word: holders.of_word(word) for word in read.excluded}
    if read.excluded and mine <= frozenset().union(*dropped.values()):
        words = [word for word, chunk_ids in dropped.items() if chunk_ids & mine]
        return Loss(
            "excluded",
            Message.of("search.lost_excluded", "its passages hold {words}, which the question leaves out", words=words),
        )
    if not read.phrases:
        return None
    allowed = index.chunks.matching(search.options.filters) if search.options.filters else None
    everywhere, here = allowed, mine
    for phrase in read.phrases:
        everywhere, here = holders.of(phrase, everywhere), holders.of(phrase, here)
    if here or not (everywhere or read.only_phrases):
        return None
    missing = [phrase for phrase in read.phrases if not holders.of(phrase, mine)] or list(read.phrases)
    return Loss(
        "phrase",
        Message.of("search.lost_phrase", "none of its passages holds {phrases} word for word", phrases=missing),
    )


def _shown(results: Sequence[Result], doc_ids: Collection[str]) -> Loss | None:
    for result in results:
        if result.doc_id in doc_ids:
            reason = Message.of("search.lost_shown", "it is shown as result {rank}", rank=result.rank)
            return Loss("shown", reason, rank=result.rank)
    for result in results:
        if any(copy.doc_id in doc_ids for copy in result.copies):
            reason = Message.of(
                "search.lost_collapsed",
                "it says the same as result {rank}, {title}, which names it as a copy",
                rank=result.rank,
                title=result.title,
            )
            return Loss("collapsed", reason, rank=result.rank)
    return None


def _never_found(searcher: Searcher, doc_ids: Collection[str], places: Places) -> Loss:
    """Neither route has it among its candidates: perhaps because a part of the file is not there."""
    missing = _parts(searcher, doc_ids)
    reason = Message.of(
        "search.lost_candidates",
        "neither route has it among its first {candidates} passages: {dense}, {bm25}",
        candidates=places.candidates,
        dense=_dense(searcher, places),
        bm25=_bm25(places),
    )
    if missing and places.bm25 is None:
        part = Message.of(
            "search.lost_part",
            "a part of the file was not read ({parts}), and the rest has no word of the question",
            parts=missing,
        )
        return Loss("part", part, places)
    return Loss("candidates", reason, places)


def _parts(searcher: Searcher, doc_ids: Collection[str]) -> list[Message]:
    counts: Counter[str] = Counter()
    for meta in searcher.index.chunks.meta(list(doc_ids)).values():
        counts.update(losses(counts_of(str(meta.get("left_out", "")))))
    return told(counts)


def _below(searcher: Searcher, search: Search, doc_ids: Collection[str], places: Places) -> Loss:
    if search.options.route == "bm25" and places.bm25 is None:
        return _never_found(searcher, doc_ids, places)
    if (
        places.last is not None
        and places.last > search.k
        and search.options.rerank
        and _rank_of_route(search, places) <= search.k
    ):
        return Loss("rerank", _reranked(places, search.k), places)
    where = _bm25(places) if search.options.route == "bm25" else _dense(searcher, places)
    return Loss(
        "candidates", Message.of("search.lost_below", "{where}, below the first {k}", where=where, k=search.k), places
    )


def _rank_of_route(search: Search, places: Places) -> int:
    rank = places.bm25 if search.options.route == "bm25" else places.dense
    return rank if rank is not None else DEEPEST


def _fused(places: Places, k: int) -> Message:
    together = (
        Message.of("search.beyond", "beyond {last}", last=places.candidates)
        if places.fusion is None
        else _rank(places.fusion)
    )
    dense, bm25 = _rank(places.dense), _rank(places.bm25)
    if places.best_route is not None and places.best_route <= k:
        return Message.of(
            "search.lost_fused",
            "one route has it among the first {k}, the fusion of both does not: dense {dense}, BM25 {bm25}, together {together}",
            k=k,
            dense=dense,
            bm25=bm25,
            together=together,
        )
    return Message.of(
        "search.lost_ranked_low",
        "every stage ranks it below the first {k}: dense {dense}, BM25 {bm25}, together {together}",
        k=k,
        dense=dense,
        bm25=bm25,
        together=together,
    )


def _reranked(places: Places, k: int) -> Message:
    return Message.of(
        "search.lost_reranked",
        "the first stage ranks it {first}, the second stage moves it to {last}, below the first {k}",
        first=places.fusion if places.fusion is not None else places.best_route or 0,
        last=places.last if places.last is not None else 0,
        k=k,
    )


def _rank(rank: int | None) -> Message:
    if rank is None:
        return Message.of("search.not_there", "not there")
    return Message.of("search.rank", "rank {rank}", rank=rank)


def _dense(searcher: Searcher, places: Places) -> Message:
    if places.dense is not None:
        return Message.of("search.rank_by_meaning", "rank {rank} by meaning", rank=places.dense)
    if searcher.index.vectors is None:
        return Message.of("search.no_vectors", "the index has no vectors")
    return Message.of("search.beyond_by_meaning", "beyond {deepest:,} by meaning", deepest=DEEPEST)


def _bm25(places: Places) -> Message:
    if places.bm25 is not None:
        return Message.of("search.rank_by_words", "rank {rank} by words", rank=places.bm25)
    return Message.of("search.none_by_words", "none of the question's words is in it")
