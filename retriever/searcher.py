"""Searching an index: open it once, ask it as often as you like.

    searcher = Searcher.open("my-index")
    for result in searcher.search("how do I renew a book?", k=5).results:
        print(result.rank, result.title, result.text)

The stages are put together in `quarry.retriever.pipeline`; what is shown of a ranking, in `quarry.retriever.shown.presentation`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Self

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import SearchError, cause_of
from quarry.indexer.joined import JoinedIndex
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.principals import Principals
from quarry.retriever.asking import MAX_QUERY_CHARS
from quarry.retriever.base import Reranker
from quarry.retriever.models.lazy import LATE, LazyEmbedder, LazyReranker
from quarry.retriever.options import STANDARD, Filters, SearchOptions
from quarry.retriever.pipeline import Pipeline, nothing_matches
from quarry.retriever.ranking import Query, Ranking
from quarry.retriever.rerankers.alignment import Meeting
from quarry.retriever.rerankers.m3 import M3Score
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.retriever.results import Answer, Result
from quarry.retriever.shown.distinct import Distinct, distinct, every_one
from quarry.retriever.shown.presentation import Asked, by_meaning_alone, expanded, shown
from quarry.retriever.stages.query_shift import QueryShift, RecordedShift
from quarry.retriever.views import Views

__all__ = ["MAX_QUERY_CHARS", "Filters", "SearchOptions", "Searcher", "document_of"]


class Searcher:
    """Answers queries from one generation of an index. Safe to share between threads."""

    def __init__(self, index: Index, embedder: LazyEmbedder, reranker: LazyReranker) -> None:
        self.index = index
        self.lazy_embedder = embedder
        self.lazy_reranker = reranker
        self.pipeline = Pipeline(index, embedder, reranker)
        self._pinned = False  # a named generation was asked for
        self._whole: Self | None = None  # what this one hides parts of
        self._principals: Principals | None = None
        self._views: Views[Self] = Views()
        self.behind: Message | None = None  # why a newer generation does not answer

    @classmethod
    def open(
        cls,
        root: str | Path,
        *,
        embedder: Embedder | None = None,
        rerank: str | Reranker | None = LATE,
        device: str = "auto",
        generation: str | None = None,
    ) -> Self:
        """Open an index for searching. Models are loaded at the first query that needs them, or by `warm`.

        Args:
            root: The index folder, or a lake: its folder, or an address such as `s3://bucket/kb`.
            embedder: A loaded embedder to use; None loads the one the index was built with.
            rerank: `late` for late interaction over the index's token states, which needs no model of its own; `auto` for that and
                then the reranker tuned for this index, else the best one on this machine; a reranker, its id or folder; `none`.
            device: `auto`, `cpu`, `cuda` or `cuda:N`.
            generation: A generation other than the live one.

        Raises:
            IndexFormatError: If the folder is not an index, or is damaged or newer.
            IndexMismatchError: If `embedder` is not the one the index was built with.

        Example:
            >>> searcher = Searcher.open("my-index")
            >>> searcher.index.manifest.documents
            4
        """
        index = Index.open(root, generation=generation)
        if embedder is not None:
            index.check_embedder(embedder.spec)
        searcher = cls(index, LazyEmbedder(index, embedder, device), LazyReranker(rerank, device, index))
        searcher._pinned = generation is not None
        return searcher

    @classmethod
    def joined(cls, searchers: Mapping[str, Self]) -> Self:
        """Return a searcher that ranks the passages of several indexes as if they were in one.

        Ids carry the names of the indexes (`quarry.indexer.joined.ids`). Models are those of the first, which keeps what was joined.

        Args:
            searchers: By the name of the index, at least one, of one scale (`quarry.indexer.joined.scale_of`).

        Raises:
            ValueError: If they are not of one scale.
        """
        first = next(iter(searchers.values()))
        indexes = {name: searcher.index for name, searcher in searchers.items()}
        return first._views.joined(searchers, lambda: first._pinned_to(JoinedIndex.join(indexes)))

    def newest(self) -> Self:
        """Return a searcher of the generation that is live now, which keeps the loaded models.

        It is this one while nothing newer is live (checking reads one small file), when `open` was given a generation, and
        when the live one cannot be opened: then `behind` and the notices of answers say so. A searcher that is no longer
        used releases its generation. `LiveSearcher` follows in the background, for programs that run for long.
        """
        if self._whole is not None:
            newer = self._whole.newest()
            return self if newer is self._whole else newer.seen_by(self._principals)
        if self._pinned:
            return self
        try:
            if self.index.newest() == self.index.generation:
                self.behind = None
                return self
            index = Index.open(self.index.root)
        except (SearchError, OSError) as err:
            self.behind = Message.of(
                "search.older_generation",
                "generation {generation} answers; a newer one could not be opened: {error}",
                generation=self.index.generation,
                error=cause_of(err),
            )
            return self
        return type(self)(index, self.lazy_embedder.for_generation(index), self.lazy_reranker.for_generation(index))

    def seen_by(self, principals: Principals | None) -> Self:
        """Return a searcher of the same index and models without the documents that somebody may not see.

        Every route, count, statistic and explanation is then as if these documents had not been indexed. One that hides something
        already never shows more than before.

        Raises:
            IndexFormatError: If the generation is of an older format, or its files have become unreadable.

        Example:
            >>> ann = Searcher.open("my-index").seen_by(Principals.of("ann"))
            >>> ann.search("Where does the Rhine begin?", k=1, options=SearchOptions(route="bm25")).results[0].title
            'Rhine (1)'
        """
        if principals is None or principals == self._principals:
            return self
        if self._whole is not None and self._principals is not None:
            return self._whole.seen_by(self._principals.both(principals))
        found = self._views.seen_by(principals, lambda: self._view_of(principals))
        found.behind = self.behind
        return found

    def _view_of(self, principals: Principals) -> Self:
        found = type(self)(self.index.seen_by(principals), self.lazy_embedder, self.lazy_reranker)
        found._whole, found._principals, found._pinned = self, principals, self._pinned
        return found

    @property
    def sees_all(self) -> bool:
        """Whether nothing of the index is hidden."""
        return self._whole is None

    def warm(self, *, words: bool = True) -> tuple[Message, ...]:
        """Load the models now; return why a model could not be loaded (searches work without it).

        Args:
            words: Whether to read the whole Chinese dictionary, too; for a few questions a part is read when it is needed.
        """
        if words:
            self.index.analyzer.warm()
        return tuple(reason for reason in (self.lazy_embedder.warm(), self.lazy_reranker.warm()) if reason)

    def embedder(self) -> Embedder | None:
        """Return the index's embedder, loaded when needed; None for a lexical-only index, or when it cannot be loaded."""
        return None if self.lazy_embedder.unavailable() else self.lazy_embedder.get()

    def with_second_stage(self, tuned: TokenMap | None) -> Self:
        """Return a searcher of the same index and models with the ordinary second stage and this map; for judging it.

        Languages are not told apart, since an index of two has a second stage of its own (`both_languages`), which has no map.
        """
        searcher = self._pinned_to(self.index)
        searcher.pipeline = self.pipeline.with_map(tuned)
        return searcher

    def with_query_shift(self, shift: QueryShift | None) -> Self:
        """Return a searcher of the same index and models whose questions move in this way, or not at all; for judging it."""
        searcher = self._pinned_to(self.index)
        searcher.pipeline = self.pipeline.with_shift(None if shift is None else RecordedShift.given(shift, "judged"))
        return searcher

    def _pinned_to(self, index: Index) -> Self:
        """Return a searcher of an index with the same models, which follows no newer generation."""
        searcher = type(self)(index, self.lazy_embedder, self.lazy_reranker)
        searcher._pinned = True
        return searcher

    def search(self, query: str, k: int = 10, options: SearchOptions = STANDARD) -> Answer:
        """Answer one question with its k best passages.

        Raises:
            EmptyQuery: If the query is empty.
            QueryError: If the query only says what to leave out.
            UnknownFilter: If a filter names metadata that no document has.
            BadFilter: If a filter compares what cannot be compared.
            ValueError: If k < 1; those above are ValueErrors too.

        Example:
            >>> answer = Searcher.open("my-index").search("Where does the Rhine begin?", k=1, options=SearchOptions(route="bm25"))
            >>> [(result.rank, result.title) for result in answer.results]
            [(1, 'Rhine (1)')]
            >>> answer.results[0].evidence.terms
            ('rhine', 'begin')
        """
        return self.search_many([Query(query[:MAX_QUERY_CHARS], query)], k, options)[0]

    def search_many(self, queries: Sequence[Query], k: int = 10, options: SearchOptions = STANDARD) -> list[Answer]:
        """Answer many questions, encoded in one batch. Raises as `search` does."""
        if options.principals is not None and options.principals != self._principals:
            return self.seen_by(options.principals).search_many(queries, k, replace(options, principals=None))
        started = perf_counter()
        asked = [Asked.of(query, self.index) for query in queries]
        found = self._found([one.query for one in asked], k, options)
        results = [
            expanded(shown(one, read, self.index), read, self.index, options)
            for one, read in zip(found, asked, strict=True)
        ]
        share = (perf_counter() - started) * 1000 / max(1, len(queries))
        return [
            self._answer(one.ranking, of_one, read, options, share)
            for one, of_one, read in zip(found, results, asked, strict=True)
        ]

    def _found(self, queries: Sequence[Query], k: int, options: SearchOptions) -> list[Distinct]:
        if options.collapse and k >= 1:  # `rank` refuses other numbers
            return distinct(lambda asked, depth: self.rank(asked, depth, options), self.index.chunks, queries, k)
        return every_one(self.rank(queries, k, options))

    def meetings(self, query: str, result: Result) -> tuple[Meeting, ...]:
        """Return which word of the query met which word of a result; empty unless late interaction scored it."""
        late = self.pipeline.late_behind(result)
        return () if late is None else late.meetings(self._asked_text(query), result.chunk_id)

    def m3_score(self, query: str, result: Result) -> M3Score | None:
        """Return the three similarities of a result that late interaction scored by a model's own heads; None for others."""
        late = self.pipeline.late_behind(result)
        found = () if late is None else late.m3_scores(self._asked_text(query), [result.chunk_id])
        return found[0] if found else None

    def _asked_text(self, query: str) -> str:
        return Asked.of(Query(query, query), self.index).understood.text

    def rank(self, queries: Sequence[Query], k: int, options: SearchOptions = STANDARD) -> list[Ranking]:
        """Return rankings of chunk ids without their texts: the core of `search`, for runs and evaluation.

        Raises:
            ValueError: If k < 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1 result to be asked for")
        if options.principals is not None and options.principals != self._principals:
            return self.seen_by(options.principals).rank(queries, k, replace(options, principals=None))
        allowed = self.index.chunks.matching(options.filters) if options.filters else None
        if allowed is not None and not allowed:
            reports = nothing_matches(options)
            return [Ranking(query, (), reports) for query in queries]
        return self.pipeline.retriever(options).retrieve(queries, k, allowed=allowed)

    def _answer(
        self,
        ranking: Ranking,
        results: tuple[Result, ...],
        asked: Asked,
        options: SearchOptions,
        milliseconds: float,
    ) -> Answer:
        facts = self.index.manifest.embedder
        return Answer(
            query=ranking.query,
            route=options.route,
            results=results,
            stages=ranking.stages,
            understood=asked.understood,
            notices=(
                *asked.notices,
                *ranking.notices,
                *by_meaning_alone(results, asked, self.index),
                *(notice for notice in (self.lazy_embedder.notice, self.behind) if notice),
            ),
            generation=self.index.generation,
            model=facts.to_spec().model if facts else "",
            milliseconds=milliseconds,
        )


def document_of(chunk_id: str) -> str:
    """Return the document id inside a chunk id."""
    return chunk_id.rpartition("#")[0]
