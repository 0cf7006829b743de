"""Obeying a query's quotation marks and exclusions, in every route: both become the passages that may come out at all.

With a quoted phrase, only passages that hold it may; when none does, a query of nothing else finds nothing, and one with other words is
answered as if the marks were not there, with a notice.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from math import inf, nextafter

from quarry.indexer.messages import Message
from quarry.indexer.stores.base import Predicate
from quarry.retriever.base import Retriever
from quarry.retriever.questions.phrases import Holders
from quarry.retriever.questions.understood import Understood, understand
from quarry.retriever.ranking import Evidence, Hit, Query, Ranking

EXACT = "search.exact_phrases"


@dataclass(frozen=True, slots=True)
class Obeying:
    """A Retriever that carries out the operators of a query around another one, which sees the query without exclusions and courtesies."""

    first: Retriever
    holders: Holders
    everything: Callable[[], Collection[str]]

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k best of the passages that a query's operators leave."""
        understood = [understand(query.text) for query in queries]
        plain = [_core(query, read) for query, read in zip(queries, understood, strict=True) if read.is_plain]
        found = iter(self.first.retrieve(plain, k, allowed=allowed) if plain else ())
        return [
            _of_core(next(found), query, read) if read.is_plain else self._obeyed(query, read, k, allowed)
            for query, read in zip(queries, understood, strict=True)
        ]

    def _obeyed(self, query: Query, read: Understood, k: int, allowed: Collection[str] | None) -> Ranking:
        left, notices = self._left(read, allowed)
        if read.only_excludes or (left is not None and not left):
            return Ranking(query, (), (), notices)
        (ranking,) = self.first.retrieve([replace(query, text=read.text)], k, allowed=left)
        hits = ranking.hits
        if left is not None and any(notice.code == EXACT for notice in notices):
            hits = _with_all(ranking.hits, left, read.phrases, k)
        return replace(ranking, query=query, hits=hits, notices=(*ranking.notices, *notices))

    def _left(
        self, read: Understood, allowed: Collection[str] | None
    ) -> tuple[Collection[str] | None, tuple[Message, ...]]:
        """Return the passages that may come out, and what is to be said of it."""
        notices: list[Message] = []
        left = allowed
        if read.phrases:
            holding = self._holding(read.phrases, allowed)
            if holding or read.only_phrases:
                left = holding
            notices.append(_of_phrases(read, found=bool(holding)))
        if read.excluded:
            dropped = frozenset().union(*(self.holders.of_word(word) for word in read.excluded))
            before = self.everything() if left is None else left
            left = before.without(dropped) if isinstance(before, Predicate) else frozenset(before) - dropped
            notices.append(
                Message.of(
                    "search.left_out", "passages with {excluded} are left out", excluded=[*map(_quoted, read.excluded)]
                )
            )
        return left, tuple(notices)

    def _holding(self, phrases: Sequence[str], allowed: Collection[str] | None) -> Collection[str]:
        for phrase in phrases:
            allowed = self.holders.of(phrase, allowed)
        return allowed if allowed is not None else frozenset()


def _core(query: Query, read: Understood) -> Query:
    return replace(query, text=read.text) if read.courtesies else query


def _of_core(ranking: Ranking, query: Query, read: Understood) -> Ranking:
    """Return the ranking of a question's core as that of the question; says so when there were courtesies."""
    if not read.courtesies:
        return ranking
    notice = Message.of(
        "search.courtesies",
        "searched for {core}; the courtesies around it were left out",
        do="Put what must be searched for in quotation marks",
        core=_quoted(read.text),
    )
    return replace(ranking, query=query, notices=(*ranking.notices, notice))


def _with_all(hits: Sequence[Hit], holding: Collection[str], phrases: tuple[str, ...], k: int) -> tuple[Hit, ...]:
    """Add the passages that hold the phrases and that the route did not find, such as BM25 an `iPhone` by its parts."""
    seen = {hit.chunk_id for hit in hits}
    out = list(hits)
    for chunk_id in sorted(holding)[: k + len(seen)]:
        if chunk_id not in seen and len(out) < k:
            score = nextafter(out[-1].score, -inf) if out else 0.0
            out.append(Hit(chunk_id, score, out[-1].stage if out else "bm25", Evidence(exact=phrases)))
    return tuple(out)


def _of_phrases(read: Understood, *, found: bool) -> Message:
    phrases = [*map(_quoted, read.phrases)]
    if found:
        return Message.of(
            "search.exact_phrases", "only passages that hold {phrases} word for word are shown", phrases=phrases
        )
    if read.only_phrases:
        return Message.of(
            "search.no_such_phrase",
            "no passage holds {phrases} word for word",
            do="Ask without the quotation marks for passages that come close",
            phrases=phrases,
        )
    return Message.of(
        "search.phrase_not_found",
        "no passage holds {phrases} word for word; the results are for the words without the quotation marks",
        phrases=phrases,
    )


def _quoted(text: str) -> str:
    return f"“{text}”"
