"""Searching an index: open it once, ask it as often as you like.

    searcher = Searcher.open("my-index")
    for result in searcher.search("how do I renew a book?", k=5).results:
        print(result.rank, result.title, result.text)

This is the one place in `retriever` where concrete parts are put together: stores and terms from the index, the model it
was built with, the route, and the reranker.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Self

from quarry.indexer.embedder import Embedder
from quarry.indexer.errors import SearchError, cause_of
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.storage.conditions import condition_of
from quarry.indexer.storage.generations import Generations
from quarry.retriever.asking import MAX_QUERY_CHARS, can_be_asked, checked
from quarry.retriever.base import Reranker, Retriever
from quarry.retriever.collapse import by_document
from quarry.retriever.distinct import Distinct, distinct, every_one
from quarry.retriever.file_names import FileNames
from quarry.retriever.highlight import highlight
from quarry.retriever.phrases import Holders
from quarry.retriever.ranking import Query, Ranking, Route, Stage, StageReport
from quarry.retriever.rerankers.alignment import Meeting
from quarry.retriever.rerankers.late_interaction import LateInteraction
from quarry.retriever.rerankers.m3 import M3Score
from quarry.retriever.results import Answer, Result
from quarry.retriever.stages.balance import TOP_HITS, coverage_of
from quarry.retriever.stages.both_languages import BothLanguages
from quarry.retriever.stages.cascade import Cascade
from quarry.retriever.stages.exact import ExactKept
from quarry.retriever.stages.guard import THE_RERANKER, Guard
from quarry.retriever.stages.hybrid import HybridRetriever, WithFallback
from quarry.retriever.stages.languages import Languages
from quarry.retriever.stages.models import LATE, LazyEmbedder, LazyReranker
from quarry.retriever.stages.named import NamedKept
from quarry.retriever.stages.names import Names
from quarry.retriever.stages.operators import Obeying
from quarry.retriever.stages.rerank import RerankOptions, TwoStage
from quarry.retriever.stages.single import DenseRetriever, LexicalRetriever
from quarry.retriever.stages.standout import CANDIDATES
from quarry.retriever.understood import understand

_PASSAGES_PER_DOCUMENT = 3  # asked for per wanted document, so that long documents do not crowd out others
Filters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Attributes:
        route: `hybrid` (dense and BM25 fused), `dense` or `bm25`.
        rerank: Whether the reranker, when the searcher has one, reorders the best candidates.
        rerank_depth: How many candidates it is given at most.
        rerank_budget_ms: Wall time for it; what is not scored by then keeps its fused place, and the answer says so.
        dense_budget_ms: Wall time for embedding the query and searching the vectors; past it, BM25 answers.
        collapse: Whether copies of a passage are named with the best of them instead of being results of their own.
        filters: Metadata that documents must have, by key: a value or several (`*` is a wildcard), bounds such as `>=2024-04-01`,
            `!=` and a value (`quarry.indexer.storage.conditions`).
    """

    route: Route = "hybrid"
    rerank: bool = True
    rerank_depth: int = 50
    rerank_budget_ms: float = 8_000.0
    dense_budget_ms: float = 15_000.0
    collapse: bool = True
    filters: Filters | None = None


class Searcher:
    """Answers queries from one generation of an index. Safe to share between threads."""

    def __init__(self, index: Index, embedder: LazyEmbedder, reranker: LazyReranker) -> None:
        self.index = index
        self.lazy_embedder = embedder
        self.lazy_reranker = reranker
        self._lexical = LexicalRetriever(index.lexical, index.analyzer)
        self._late = LateInteraction.of(index, embedder.get)
        self._late_guard = Guard(THE_RERANKER)
        self._languages = Languages.of(index)
        self._names = Names.of(index, self._coverage, self._languages)
        self._file_names: FileNames | None = None  # read at the first question
        self._pinned = False  # a named generation was asked for
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
            root: The index folder.
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
        index = Index.open(Path(root), generation=generation)
        if embedder is not None:
            index.check_embedder(embedder.spec)
        searcher = cls(index, LazyEmbedder(index, embedder, device), LazyReranker(rerank, device, index))
        searcher._pinned = generation is not None
        return searcher

    def newest(self) -> Self:
        """Return a searcher of the generation that is live now, which keeps the loaded models.

        It is this one while nothing newer is live (checking reads one small file), when `open` was given a generation, and
        when the live one cannot be opened: then `behind` and the notices of answers say so. A searcher that is no longer
        used releases its generation. `LiveSearcher` follows in the background, for programs that run for long.
        """
        if self._pinned:
            return self
        try:
            if Generations(self.index.root).pointer().generation == self.index.generation:
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

    def search(self, query: str, k: int = 10, options: SearchOptions = SearchOptions()) -> Answer:
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

    def search_many(
        self,
        queries: Sequence[Query],
        k: int = 10,
        options: SearchOptions = SearchOptions(),
    ) -> list[Answer]:
        """Answer many questions, encoded in one batch. Raises as `search` does."""
        started = perf_counter()
        asked = [checked(query) for query in queries]
        found = self._found([query for query, _ in asked], k, options)
        results = [self._results(one) for one in found]
        share = (perf_counter() - started) * 1000 / max(1, len(queries))
        return [
            self._answer(one.ranking, shown, options, notices, share)
            for one, shown, (_, notices) in zip(found, results, asked, strict=True)
        ]

    def _found(self, queries: Sequence[Query], k: int, options: SearchOptions) -> list[Distinct]:
        if options.collapse and k >= 1:  # `rank` refuses other numbers
            return distinct(lambda asked, depth: self.rank(asked, depth, options), self.index.chunks, queries, k)
        return every_one(self.rank(queries, k, options))

    def meetings(self, query: str, result: Result) -> tuple[Meeting, ...]:
        """Return which word of the query met which word of a result; empty unless late interaction scored it."""
        if self._late is None or not self._scored_late(result):
            return ()
        return self._late.meetings(checked(Query(query, query))[0].text, result.chunk_id)

    def m3_score(self, query: str, result: Result) -> M3Score | None:
        """Return the three similarities of a result that late interaction scored by a model's own heads; None for others."""
        if self._late is None or not self._scored_late(result):
            return None
        found = self._late.m3_scores(checked(Query(query, query))[0].text, [result.chunk_id])
        return found[0] if found else None

    def _scored_late(self, result: Result) -> bool:
        alone = self.lazy_reranker.late and self.lazy_reranker.get()[0] is None
        return result.evidence.late is not None or (alone and result.evidence.rerank is not None)

    def rank(
        self,
        queries: Sequence[Query],
        k: int,
        options: SearchOptions = SearchOptions(),
    ) -> list[Ranking]:
        """Return rankings of chunk ids without their texts: the core of `search`, for runs and evaluation.

        Raises:
            ValueError: If k < 1.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1 result to be asked for")
        allowed = self.index.chunks.matching(options.filters) if options.filters else None
        if allowed is not None and not allowed:
            reports = _nothing_matches(options)
            return [Ranking(query, (), reports) for query in queries]
        retriever = self._retriever(options)
        if options.route == "hybrid":
            retriever = ExactKept(retriever, self.index.lexical, self.index.analyzer, self.index.chunks)
        if options.route != "dense":
            retriever = NamedKept(retriever, self._files_by_name, self.index.chunks)
        return self._obeying(retriever).retrieve(queries, k, allowed=allowed)

    def _obeying(self, first: Retriever) -> Retriever:
        chunks = self.index.chunks
        return Obeying(first, Holders(self.index.lexical, self.index.analyzer, chunks), lambda: chunks.matching({}))

    def _files_by_name(self) -> FileNames:
        if self._file_names is None:
            self._file_names = FileNames(self.index.chunks.sources(), self.index.analyzer)
        return self._file_names

    def _retriever(self, options: SearchOptions) -> Retriever:
        first = self._first_stage(options)
        if not options.rerank:
            return _WithReport(first, StageReport("rerank", "off", Message.of("stages.not_asked", "not asked for")))
        reranker, report = self.lazy_reranker.get()
        plan = RerankOptions(depth=options.rerank_depth, budget_ms=options.rerank_budget_ms)
        if self._late is not None and self.lazy_reranker.late and options.route == "hybrid":
            late = self._with_late(TwoStage(first, self._late, self.index.chunks, plan, self._late_guard), self._late)
            if reranker is not None:
                return Cascade(late, TwoStage(late, reranker, self.index.chunks, plan, self.lazy_reranker.guard))
            return _WithReport(late, report) if report.degrades else late
        if reranker is None:
            return _WithReport(first, self._why_not_reranked(report, options))
        return TwoStage(first, reranker, self.index.chunks, plan, self.lazy_reranker.guard)

    def _with_late(self, stage: TwoStage, late: LateInteraction) -> TwoStage | BothLanguages:
        probes = self.index.manifest.probes
        if self._languages is None or probes is None or probes.spread <= 0:
            return stage
        return BothLanguages(stage, late, self._languages, probes, self.index.lexical, self.index.analyzer)

    def _why_not_reranked(self, report: StageReport, options: SearchOptions) -> StageReport:
        """Return the reranker's report; where late interaction could have been, it names the command that adds it."""
        if report.degrades or not self.lazy_reranker.late or self._late is not None or options.route != "hybrid":
            return report
        if self.index.vectors is None:
            return report
        reason = Message.of(
            "search.no_token_states",
            "this index holds no token states",
            do="Add them with `quarry index PATH --into {index} --rerank-vectors`",
            index=str(self.index.root),
        )
        return replace(report, reason=reason)

    def _first_stage(self, options: SearchOptions) -> Retriever:
        if options.route == "bm25":
            return _WithReport(
                self._lexical, StageReport("dense", "off", Message.of("stages.route_is_bm25", "the route is bm25"))
            )
        store = self.index.vectors
        reason = self.lazy_embedder.unavailable()
        primary = (
            DenseRetriever(
                self.lazy_embedder.get,
                store,
                self._languages,
                self._names,
                Names.missing(self.index),
                of_others=CANDIDATES if options.route == "hybrid" else 0,
            )
            if store is not None and not reason
            else None
        )
        dense = WithFallback(primary, self._lexical, reason, options.dense_budget_ms / 1000, self.lazy_embedder.guard)
        if options.route == "dense":
            return dense
        return HybridRetriever(
            dense, self._lexical, self.index.lexical, self.index.analyzer, self.index.manifest.probes, self._languages
        )

    def _coverage(self, question: str) -> float:
        (ranking,) = self._lexical.retrieve([Query(question, question)], TOP_HITS)
        return coverage_of(self.index.analyzer.tokens(question), self.index.lexical, ranking.hits)

    def _answer(
        self,
        ranking: Ranking,
        results: tuple[Result, ...],
        options: SearchOptions,
        notices: Sequence[Message],
        milliseconds: float,
    ) -> Answer:
        facts = self.index.manifest.embedder
        return Answer(
            query=ranking.query,
            route=options.route,
            results=results,
            stages=ranking.stages,
            understood=understand(ranking.query.text),
            notices=(
                *notices,
                *ranking.notices,
                *self._nothing_known(ranking),
                *(notice for notice in (self.lazy_embedder.notice, self.behind) if notice),
            ),
            generation=self.index.generation,
            model=facts.to_spec().model if facts else "",
            milliseconds=milliseconds,
        )

    def _nothing_known(self, ranking: Ranking) -> tuple[Message, ...]:
        """Return a notice when no passage has a word of the query, so that meaning alone chose the results."""
        terms = self.index.analyzer.query_tokens(understand(ranking.query.text).text)
        named = any(hit.evidence.file for hit in ranking.hits)
        if not ranking.hits or named or any(self.index.lexical.idf(term) is not None for term in terms):
            return ()
        return (
            Message.of(
                "search.no_known_word",
                "no passage has a word of the query; the results are the nearest in meaning and may have nothing to do with it",
            ),
        )

    def _results(self, found: Distinct) -> tuple[Result, ...]:
        ranking = found.ranking
        chunks = self.index.chunks.chunks([hit.chunk_id for hit in ranking.hits])
        doc_ids = [chunk.doc_id for chunk in chunks]
        titles, metas = self.index.chunks.titles(doc_ids), self.index.chunks.meta(doc_ids)
        terms = self.index.analyzer.query_tokens(understand(ranking.query.text).text)
        return tuple(
            Result(
                rank=rank,
                score=hit.score,
                stage=hit.stage,
                chunk_id=chunk.chunk_id,
                doc_id=chunk.doc_id,
                title=titles[chunk.doc_id] or chunk.doc_id,
                heading=chunk.heading,
                source=str(metas[chunk.doc_id].get("source", chunk.doc_id)),
                page=self.index.chunks.page_at(chunk.doc_id, chunk.start),
                start=chunk.start,
                end=chunk.end,
                text=chunk.text,
                highlights=highlight(chunk.text, terms, self.index.analyzer),
                meta=metas[chunk.doc_id],
                evidence=hit.evidence,
                copies=copies,
            )
            for rank, (hit, chunk, copies) in enumerate(zip(ranking.hits, chunks, found.copies, strict=True), start=1)
        )


@dataclass(frozen=True, slots=True)
class _WithReport:
    """A Retriever whose rankings also say why a stage did not run."""

    first: Retriever
    report: StageReport

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        return [ranking.with_stages(self.report) for ranking in self.first.retrieve(queries, k, allowed=allowed)]


def _nothing_matches(options: SearchOptions) -> tuple[StageReport, ...]:
    """Return why no stage had anything to do: no document has the metadata that was asked for."""
    filters = [str(condition_of(key, wanted)) for key, wanted in (options.filters or {}).items()]
    reason = Message.of("search.nothing_matches", "no document matches the filter {filters}", filters=filters)
    stages: tuple[Stage, ...] = ("dense", "bm25") if options.route == "hybrid" else (options.route,)
    return tuple(StageReport(stage, "off", reason) for stage in stages)


def document_run(
    searcher: Searcher, queries: Sequence[Query], k: int, options: SearchOptions
) -> tuple[list[Ranking], dict[str, list[tuple[str, float]]]]:
    """Rank documents instead of passages: the best passage of a document stands for it (MaxP).

    Args:
        searcher: The opened index.
        queries: What to ask; empty ones get no documents.
        k: Documents per query.
        options: How to search.

    Returns:
        The rankings of passages, and per query id the (document id, score) pairs, best first.
    """
    asked = [checked(query)[0] for query in queries if can_be_asked(query.text)]
    rankings = searcher.rank(asked, k * _PASSAGES_PER_DOCUMENT, options)
    run: dict[str, list[tuple[str, float]]] = {query.query_id: [] for query in queries}
    for query, ranking in zip(asked, rankings, strict=True):
        run[query.query_id] = by_document(ranking, document_of, k)
    return rankings, run


def document_of(chunk_id: str) -> str:
    """Return the document id inside a chunk id."""
    return chunk_id.rpartition("#")[0]
