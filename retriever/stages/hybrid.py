"""The hybrid route: dense and BM25 candidates fused into one ranking; when dense cannot run, BM25 answers and says so."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeAlias

from quarry.indexer.language import language_of
from quarry.indexer.lexical.analyzer import Analyzer
from quarry.indexer.lexical.bm25 import LexicalIndex
from quarry.indexer.messages import Message
from quarry.indexer.storage.measured import Probes
from quarry.indexer.stores.base import among
from quarry.retriever.base import Retriever
from quarry.retriever.ranking import Hit, Query, Ranking, StageReport
from quarry.retriever.stages.balance import balance, coverage_of
from quarry.retriever.stages.fusion import fuse
from quarry.retriever.stages.guard import DENSE_SEARCH, Guard
from quarry.retriever.stages.languages import Languages
from quarry.retriever.stages.query_shift import RecordedShift
from quarry.retriever.stages.standout import BY_COVERAGE, Sides, fused_again, raise_other

FUSION_DEPTH = 100  # candidates taken from each side before fusing

Attempt: TypeAlias = tuple[
    list[Ranking] | None, StageReport
]  # the primary's rankings when it ran, and the report of the dense stage


@dataclass(frozen=True, slots=True)
class WithFallback:
    """A Retriever that asks `primary` within a time budget and otherwise `fallback`, leaving a report in the ranking.

    Attributes:
        primary: Dense retrieval; None when it cannot run at all.
        fallback: BM25.
        missing: Why there is no primary; used only when it is None.
        budget_s: Wall time for the primary, in seconds; None waits.
    """

    primary: Retriever | None
    fallback: Retriever
    missing: Message | None = None
    budget_s: float | None = None
    guard: Guard = field(default_factory=lambda: Guard(DENSE_SEARCH))

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the primary's rankings, or the fallback's with the reason."""
        rankings, report = self.attempt(queries, k, allowed)
        if rankings is not None:
            return rankings
        return [ranking.with_stages(report) for ranking in self.fallback.retrieve(queries, k, allowed=allowed)]

    def attempt(self, queries: Sequence[Query], k: int, allowed: Collection[str] | None) -> Attempt:
        """Return the primary's rankings, or None, with the report of the dense stage."""
        return self.begin(queries, k, allowed)()

    def begin(self, queries: Sequence[Query], k: int, allowed: Collection[str] | None) -> Callable[[], Attempt]:
        """Start asking the primary, and return what waits for what `attempt` returns."""
        primary = self.primary
        if primary is None:
            missing = StageReport("dense", "missing", self.missing)
            return lambda: (None, missing)
        waiting = self.guard.start(lambda: primary.retrieve(queries, k, allowed=allowed), self.budget_s)

        def attempt() -> Attempt:
            outcome = waiting()
            share = outcome.milliseconds / max(1, len(queries))
            if outcome.value is None:
                return None, StageReport("dense", "failed", outcome.reason and bm25_answered(outcome.reason), share)
            return outcome.value, StageReport("dense", "ran", milliseconds=share)

        return attempt


def bm25_answered(why: Message) -> Message:
    """Return what it means that dense search did not run, and why it did not."""
    return Message.of("stages.bm25_answered", "BM25 answered alone, because {why}", why=why)


@dataclass(frozen=True, slots=True)
class HybridRetriever:
    """A Retriever that fuses dense and BM25 candidates.

    See `quarry.retriever.stages.fusion` for the method and `quarry.retriever.stages.balance` for the weight of each side. `shift` is what
    judgements taught, of the weight, too.
    """

    dense: WithFallback
    bm25: Retriever
    index: LexicalIndex
    analyzer: Analyzer
    probes: Probes | None = None
    languages: Languages | None = None
    shift: RecordedShift | None = None

    def retrieve(self, queries: Sequence[Query], k: int, *, allowed: Collection[str] | None = None) -> list[Ranking]:
        """Return the k best passages of the fused ranking for each query."""
        learned = self.shift.fusion() if self.shift is not None else 0.0
        return self.retrieve_moved(queries, k, [learned], allowed=allowed)[0]

    def retrieve_moved(
        self, queries: Sequence[Query], k: int, moves: Sequence[float], *, allowed: Collection[str] | None = None
    ) -> list[list[Ranking]]:
        """Return the same for each of some moves of BM25's weight, in log-odds; candidates are looked for once."""
        depth = max(k, FUSION_DEPTH)
        waiting = self.dense.begin(queries, depth, allowed)
        lexical = self.bm25.retrieve(queries, depth, allowed=allowed)  # while the vectors are compared
        dense, report = waiting()
        if dense is None:
            alone = [Ranking.of(r.query, r.hits, k, (*r.stages, report)) for r in lexical]
            return [alone for _ in moves]
        pairs = list(zip(dense, lexical, strict=True))
        return [[self._fuse(one, other, k, learned) for one, other in pairs] for learned in moves]

    def _fuse(self, dense: Ranking, lexical: Ranking, k: int, learned: float) -> Ranking:
        started = perf_counter()
        query = dense.query
        coverage = coverage_of(self.analyzer.tokens(query.text), self.index, lexical.hits)
        chosen = balance(self.probes, coverage, dense.hits, language_of(query.text), learned)
        found = [hit.chunk_id for hit in (*dense.hits, *lexical.hits)]
        foreign = among(self.languages.foreign(query.text), found) if self.languages else frozenset()
        every = k if not foreign else len(dense.hits) + len(lexical.hits)
        hits = fuse(dense.hits, lexical.hits, k=every, weight=chosen.weight, foreign=foreign)
        by = 0.0
        if foreign and chosen.weight < 1:
            hits, by = self._raised(hits, foreign, coverage)
        elapsed = (perf_counter() - started) * 1000
        reason = _raised_message(chosen.reason, by) if by else chosen.reason
        report = StageReport("fusion", "ran", reason, elapsed, min(k, len(hits)))
        return Ranking.of(query, hits, k, (*dense.stages, *lexical.stages, report))

    def _raised(self, hits: list[Hit], foreign: Collection[str], coverage: float) -> tuple[list[Hit], float]:
        """Raise the other language's best passages by how far they stand out; see `quarry.retriever.stages.standout`."""
        sides = Sides.of(hits, foreign)
        if sides is None or self.probes is None or self.probes.spread <= 0:
            return hits, 0.0
        raised, by = raise_other(hits, sides, sides.lead() / self.probes.spread - BY_COVERAGE * coverage)
        return fused_again(raised) if by else hits, by


def _raised_message(how: Message, by: float) -> Message:
    return Message.of(
        "stages.stands_out",
        "{how}; the best passages in the other language stand out and were raised by {most:.2f}",
        how=how,
        most=by,
    )
