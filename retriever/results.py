"""What a search returns: results with their texts, sources and explanations."""

from dataclasses import asdict, dataclass, field
from typing import Any

from quarry.indexer.messages import Message
from quarry.retriever.questions.understood import Understood
from quarry.retriever.ranking import Evidence, Query, Route, Stage, StageReport
from quarry.retriever.shown.copies import Copy
from quarry.retriever.shown.highlight import Span


@dataclass(frozen=True, slots=True)
class Context:
    """What stands around a passage, the passage included.

    Attributes:
        text: As it stands in the document.
        start: First character in the document's text.
        end: One past the last.
        highlights: Character ranges of `text` that match the query's terms.
        whole: Whether it is a whole section, or the whole document.
    """

    text: str
    start: int
    end: int
    highlights: tuple[Span, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """One passage of an answer.

    Attributes:
        rank: From 1.
        score: The score that `stage` gave; comparable only within this answer.
        stage: The last stage that ordered the answer.
        chunk_id: The passage.
        doc_id: Its document.
        title: The document's title; its id when it has none.
        heading: The headings above the passage, ` > ` between them.
        source: Where the document came from (file path relative to what was indexed, or its id).
        page: Page number from 1, None for formats without pages.
        start: First character of the passage in the document's text.
        end: One past the last.
        text: The passage as it stands in the document.
        highlights: Character ranges of `text` that match the query's terms.
        meta: The document's metadata.
        evidence: Ranks and scores of every stage that saw the passage.
        copies: Passages that say the same and are not results of their own.
        context: What stands around the passage, where that was asked for.
        within: Rank of the result whose context holds the passage, which then has none of its own.
        index: Which index it is from, where several were searched; else empty.
    """

    rank: int
    score: float
    stage: Stage
    chunk_id: str
    doc_id: str
    title: str
    heading: str
    source: str
    page: int | None
    start: int
    end: int
    text: str
    highlights: tuple[Span, ...]
    meta: dict[str, Any]
    evidence: Evidence
    copies: tuple[Copy, ...] = ()
    context: Context | None = None
    within: int | None = None
    index: str = ""

    @property
    def time(self) -> str:
        """When the passage is said, `H:MM:SS`, of subtitles; else empty."""
        times = self.meta.get("times")
        if not isinstance(times, str):
            return ""
        from quarry.indexer.readers.text.subtitles import (
            time_at,
        )  # for documents that have times only: it reads charsets

        return time_at(times, self.start)


@dataclass(frozen=True, slots=True)
class Answer:
    """The results for one query, with everything needed to judge them.

    Attributes:
        query: What was asked.
        route: The route that was asked for.
        results: Best first.
        stages: Every stage: whether it ran, why not, and how long it took.
        notices: What was done to the query, such as cutting it or obeying quotation marks; and that nothing has its words.
        understood: The query's exact phrases, and what it leaves out.
        generation: The index generation that answered.
        model: The embedder that the index was built with; empty for a lexical-only index.
        milliseconds: Wall time of the whole, shared among the queries of a batch.
    """

    query: Query
    route: Route
    results: tuple[Result, ...]
    stages: tuple[StageReport, ...]
    notices: tuple[Message, ...]
    generation: str
    model: str
    milliseconds: float
    understood: Understood = field(default_factory=lambda: Understood(""))

    @property
    def degraded(self) -> tuple[Message, ...]:
        """One sentence per stage that was asked for and did not fully run; empty for a full answer."""
        return tuple(report.loss() for report in self.stages if report.degrades)

    @property
    def has_no_known_word(self) -> bool:
        """Whether no passage of the index has a word of the query, so that scores of the fusion say nothing."""
        return any(notice.code in ("search.no_known_word", "search.other_language") for notice in self.notices)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary, with `degraded` in it; messages are English sentences."""
        return {
            **asdict(self),
            "stages": [{**asdict(report), "reason": str(report.reason or "")} for report in self.stages],
            "notices": [str(notice) for notice in self.notices],
            "degraded": [str(loss) for loss in self.degraded],
        }
