"""Queries, hits and rankings: what flows between the stages of a search, with its explanation. No model here."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Literal

from quarry.indexer.messages import Message

Stage = Literal["dense", "bm25", "fusion", "late", "rerank"]
"""`late` is late interaction when a cross-encoder comes after it; alone it is the `rerank` stage."""
Route = Literal["dense", "bm25", "hybrid"]
Status = Literal["ran", "partial", "failed", "missing", "off"]


@dataclass(frozen=True, slots=True)
class Query:
    """A question with its id; for a single question the id is the text's own."""

    query_id: str
    text: str


@dataclass(frozen=True, slots=True)
class StageScore:
    """Where one stage put a passage: rank from 1, and that stage's own score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a passage stands where it stands: rank and score of each stage that saw it.

    Scores are comparable only within one stage and one query: `dense` is a cosine in [-1, 1], `bm25` is >= 0 and
    unbounded, `fusion` in [0, 1], `rerank` a logit. `terms` are the query terms that BM25 matched, strongest first.
    `late` is where late interaction put it, when a cross-encoder came after it; alone, it is `rerank`.
    `raised` was added to the cosine of a passage in another language than the query; dense ranks are those after it.
    `named` was added to it because the title and headings above the passage are nearer to the query than the passage.
    `exact` are the identifiers, codes and quoted phrases of the query that the passage holds letter by letter.
    `file` is the passage's file when the query names it.
    """

    dense: StageScore | None = None
    bm25: StageScore | None = None
    fusion: StageScore | None = None
    rerank: StageScore | None = None
    late: StageScore | None = None
    terms: tuple[str, ...] = ()
    raised: float = 0.0
    named: float = 0.0
    exact: tuple[str, ...] = ()
    file: str = ""


@dataclass(frozen=True, slots=True)
class StageReport:
    """What happened to one stage of one search.

    Attributes:
        stage: Which one.
        status: `ran`; `partial` (cut by the time budget); `failed`; `missing` (asked for, not there); `off` (not asked for).
        reason: Why, when it is not `ran`: what was found, and what to do. For the fusion, how it weighed its sides. None when there
            is nothing to say.
        milliseconds: Wall time, shared equally among the queries of a batch.
        candidates: How many passages it returned or scored.
    """

    stage: Stage
    status: Status
    reason: Message | None = None
    milliseconds: float = 0.0
    candidates: int = 0

    @property
    def degrades(self) -> bool:
        """Whether the answer is less than what was asked for because of this stage."""
        return self.status in ("partial", "failed", "missing")

    def loss(self) -> Message:
        """Return one sentence: the stage, and why it did not fully run."""
        return Message.of("search.degraded", "{stage}: {reason}", stage=self.stage, reason=self.reason or self.status)


@dataclass(frozen=True, slots=True)
class Hit:
    """One passage of a ranking. `score` is comparable only with hits of the same stage and query."""

    chunk_id: str
    score: float
    stage: Stage
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Hits for one query, best first, no chunk twice. Build with `Ranking.of`.

    `notices` say what was done to the query, such as obeying its quotation marks.
    """

    query: Query
    hits: tuple[Hit, ...]
    stages: tuple[StageReport, ...] = ()
    notices: tuple[Message, ...] = ()

    @classmethod
    def of(cls, query: Query, hits: Iterable[Hit], k: int, stages: tuple[StageReport, ...] = ()) -> "Ranking":
        """Sort by score descending, then chunk id ascending; drop duplicates, keeping the best; cut at k.

        The one place where an order is made: the result does not depend on the order of `hits`.

        Raises:
            ValueError: If k < 1 or a score is not finite.
        """
        if k < 1:
            raise ValueError(f"k is {k}; expected at least 1")
        best: dict[str, Hit] = {}
        for hit in sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id)):
            if not isfinite(hit.score):
                raise ValueError(f"the {hit.stage} score of {hit.chunk_id!r} is {hit.score}; expected a finite number")
            best.setdefault(hit.chunk_id, hit)
        return cls(query, tuple(list(best.values())[:k]), stages)

    @property
    def degraded(self) -> tuple[Message, ...]:
        """One sentence per stage that was asked for and did not fully run; empty for a full answer."""
        return tuple(report.loss() for report in self.stages if report.degrades)

    def with_stages(self, *reports: StageReport) -> "Ranking":
        """Return the same hits with more stage reports."""
        return replace(self, stages=self.stages + reports)
