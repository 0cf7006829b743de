"""The stages of a search for one index, put together for the options of a query.

This is the one place in `retriever` where concrete parts meet: stores and terms from the index, the model it was built with, the
route, and the rerankers.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.storage.texts.conditions import condition_of
from quarry.indexer.stores.lake.view import address_of
from quarry.retriever.base import Retriever
from quarry.retriever.models.lazy import LazyEmbedder, LazyReranker
from quarry.retriever.options import STANDARD, SearchOptions
from quarry.retriever.questions.file_names import FileNames
from quarry.retriever.questions.phrases import Holders
from quarry.retriever.ranking import Query, Ranking, Stage, StageReport
from quarry.retriever.rerankers.depth import reranker_at
from quarry.retriever.rerankers.late_interaction import LateInteraction
from quarry.retriever.rerankers.token_map import TokenMap
from quarry.retriever.results import Result
from quarry.retriever.stages.balance import TOP_HITS, coverage_of
from quarry.retriever.stages.both_languages import BothLanguages
from quarry.retriever.stages.cascade import Cascade
from quarry.retriever.stages.exact import ExactKept
from quarry.retriever.stages.guard import THE_RERANKER, Guard
from quarry.retriever.stages.hybrid import HybridRetriever, WithFallback
from quarry.retriever.stages.languages import Languages
from quarry.retriever.stages.named import NamedKept
from quarry.retriever.stages.names import Names
from quarry.retriever.stages.operators import Obeying
from quarry.retriever.stages.query_shift import RecordedShift
from quarry.retriever.stages.rerank import RerankOptions, TwoStage
from quarry.retriever.stages.single import DenseRetriever, LexicalRetriever
from quarry.retriever.stages.standout import CANDIDATES


class Pipeline:
    """The stages of one generation of an index.

    Attributes:
        lexical: BM25 alone.
        late: Late interaction; None for an index without token states.
        languages: Those of an index of two; None for others.
        shift: What judgements taught about its questions; None where nothing was learned.
        names: Its titles and headings; None where there are none that tell.
    """

    def __init__(self, index: Index, embedder: LazyEmbedder, reranker: LazyReranker) -> None:
        self._index, self._embedder, self._reranker = index, embedder, reranker
        self.lexical = LexicalRetriever(index.lexical, index.analyzer)
        self.late = LateInteraction.of(index, embedder.get)
        self.shift = RecordedShift.of(index)
        self._guard = Guard(THE_RERANKER)
        self.languages = Languages.of(index)
        self.names = Names.of(index, self.coverage, self.languages)
        self._file_names: FileNames | None = None  # read at the first question

    def with_map(self, tuned: TokenMap | None) -> "Pipeline":
        """Return the stages with another map in the second stage, and with languages not told apart."""
        found = Pipeline(self._index, self._embedder, self._reranker)
        found.late = LateInteraction.of(self._index, self._embedder.get, tuned=tuned)
        found.languages, found.shift = None, self.shift
        found.names = Names.of(self._index, found.coverage, None)
        return found

    def with_shift(self, shift: RecordedShift | None) -> "Pipeline":
        """Return the stages with questions that move in another way, or not at all."""
        found = Pipeline(self._index, self._embedder, self._reranker)
        found.shift = shift
        return found

    def retriever(self, options: SearchOptions) -> Retriever:
        """Return all stages, in their order."""
        found = self._ranked(options)
        if options.route == "hybrid":
            found = ExactKept(found, self._index.lexical, self._index.analyzer, self._index.chunks)
        if options.route != "dense":
            found = NamedKept(found, self._files_by_name, self._index.chunks)
        return self._obeying(found)

    def hybrid(self, options: SearchOptions = STANDARD) -> HybridRetriever | None:
        """Return the first stage of the hybrid route; None where the index has no vectors, or their model cannot be loaded."""
        found = self._first_stage(options)
        return found if isinstance(found, HybridRetriever) and found.dense.primary is not None else None

    def late_behind(self, result: Result) -> LateInteraction | None:
        """Return the late interaction that scored a result, before a reranker or as the only second stage; None where it did not."""
        if result.evidence.late is not None:
            return self.late
        alone = result.evidence.rerank is not None and self._reranker.late and self._reranker.get()[0] is None
        return self.late if alone else None

    def _obeying(self, first: Retriever) -> Retriever:
        chunks = self._index.chunks
        return Obeying(first, Holders(self._index.lexical, self._index.analyzer, chunks), lambda: chunks.matching({}))

    def _files_by_name(self) -> FileNames:
        if self._file_names is None:
            self._file_names = FileNames(self._index.chunks.sources(), self._index.analyzer)
        return self._file_names

    def _ranked(self, options: SearchOptions) -> Retriever:
        first = self._first_stage(options)
        if not options.rerank:
            return _WithReport(first, StageReport("rerank", "off", Message.of("stages.not_asked", "not asked for")))
        reranker, report = self._reranker.get()
        if options.cutoff_layers is not None or options.compress is not None:
            reranker = reranker_at(reranker, options.cutoff_layers, options.compress)
        plan = RerankOptions(depth=options.rerank_depth, budget_ms=options.rerank_budget_ms)
        if self.late is not None and self._reranker.late and options.route == "hybrid":
            late = self._with_late(TwoStage(first, self.late, self._index.chunks, plan, self._guard), self.late)
            if reranker is not None:
                return Cascade(late, TwoStage(late, reranker, self._index.chunks, plan, self._reranker.guard))
            return _WithReport(late, report) if report.degrades else late
        if reranker is None:
            return _WithReport(first, self._why_not_reranked(report, options))
        return TwoStage(first, reranker, self._index.chunks, plan, self._reranker.guard)

    def _with_late(self, stage: TwoStage, late: LateInteraction) -> TwoStage | BothLanguages:
        probes = self._index.manifest.probes
        if self.languages is None or probes is None or probes.spread <= 0:
            return stage
        return BothLanguages(stage, late, self.languages, probes, self._index.lexical, self._index.analyzer)

    def _why_not_reranked(self, report: StageReport, options: SearchOptions) -> StageReport:
        """Return the reranker's report; where late interaction could have been, it names the command that adds it."""
        if report.degrades or not self._reranker.late or self.late is not None or options.route != "hybrid":
            return report
        if self._index.vectors is None:
            return report
        if address_of(self._index.root) is not None:
            reason = Message.of(
                "search.no_token_states_in_lake",
                "this lake holds no token states",
                do="Give a reranker with --rerank, or make a lake with `quarry lake init --rerank-vectors`",
            )
        else:
            reason = Message.of(
                "search.no_token_states",
                "this index holds no token states",
                do="Add them with `quarry index PATH --into {index} --rerank-vectors`",
                index=str(next(part.root for part in self._index.parts.values() if not part.manifest.token_states)),
            )
        return replace(report, reason=reason)

    def _first_stage(self, options: SearchOptions) -> Retriever:
        if options.route == "bm25":
            return _WithReport(
                self.lexical, StageReport("dense", "off", Message.of("stages.route_is_bm25", "the route is bm25"))
            )
        store = self._index.vectors
        reason = self._embedder.unavailable()
        primary = (
            DenseRetriever(
                self._embedder.get,
                store,
                self.languages,
                self.names,
                Names.missing(self._index),
                of_others=CANDIDATES if options.route == "hybrid" else 0,
                shift=self.shift,
            )
            if store is not None and not reason
            else None
        )
        dense = WithFallback(primary, self.lexical, reason, options.dense_budget_ms / 1000, self._embedder.guard)
        if options.route == "dense":
            return dense
        return HybridRetriever(
            dense,
            self.lexical,
            self._index.lexical,
            self._index.analyzer,
            self._index.manifest.probes,
            self.languages,
            self.shift,
        )

    def coverage(self, question: str) -> float:
        """Return the share, in [0, 1], of a question's idf mass that one of the best BM25 hits matched."""
        (ranking,) = self.lexical.retrieve([Query(question, question)], TOP_HITS)
        return coverage_of(self._index.analyzer.tokens(question), self._index.lexical, ranking.hits)


@dataclass(frozen=True, slots=True)
class _WithReport:
    """A Retriever whose rankings also say why a stage did not run."""

    first: Retriever
    report: StageReport

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        return [ranking.with_stages(self.report) for ranking in self.first.retrieve(queries, k, allowed=allowed)]


def nothing_matches(options: SearchOptions) -> tuple[StageReport, ...]:
    """Return why no stage had anything to do: no document has the metadata that was asked for."""
    filters = [str(condition_of(key, wanted)) for key, wanted in (options.filters or {}).items()]
    reason = Message.of("search.nothing_matches", "no document matches the filter {filters}", filters=filters)
    stages: tuple[Stage, ...] = ("dense", "bm25") if options.route == "hybrid" else (options.route,)
    return tuple(StageReport(stage, "off", reason) for stage in stages)
