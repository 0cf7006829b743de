"""A search's answer in a terminal: results, what explains them, what is below the cut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from quarry.app.cli.console import bold, note, out, out_line, raw, safe, table
from quarry.retriever.ranking import StageScore
from quarry.retriever.rerankers.m3 import SPARSE_WEIGHT
from quarry.retriever.results import Answer, Context, Result
from quarry.retriever.searcher import Searcher
from quarry.retriever.shown.highlight import pieces, snippet

if TYPE_CHECKING:
    from quarry.retriever.rerankers.alignment import Meeting
    from quarry.retriever.rerankers.m3 import M3Score

_COPIES_NAMED = 5
_SNIPPET_WIDTH = 240  # characters, about three lines of a terminal
_STAGES = {"dense": "dense", "bm25": "BM25", "fusion": "fused", "late": "late", "rerank": "rerank"}


def print_answer(answer: Answer, *, explain: bool, many: bool, searcher: Searcher | None = None) -> None:
    """Print the results of one query; notices and degradations go to stderr. With its searcher, tokens that met are explained."""
    if many:
        out(f"== {answer.query.query_id}: {answer.query.text}")
    for notice in answer.notices:
        note(f"note: {notice}")
    for reason in answer.degraded:
        note(f"degraded: {reason}")
    if not answer.results:
        out("no passage matches")
    took_part = _stages_of(answer.results)
    for result in answer.results:
        _print_result(result, took_part if explain else None, unknown=answer.has_no_known_word)
        if explain and searcher is not None:
            _print_meetings(searcher.meetings(answer.query.text, result))
            _print_m3(searcher.m3_score(answer.query.text, result))
        out()
    if explain:
        _print_stages(answer)


def print_near_misses(missed: Sequence[Result]) -> None:
    """Print what is ranked just below the cut, and how to learn why a document is not there at all."""
    if missed:
        out("below the cut:")
        for result in missed:
            stages = (f"{_STAGES[stage]} {_stage(getattr(result.evidence, stage))}" for stage in _stages_of([result]))
            where = f"{result.index}: {result.source}" if result.index else result.source
            out_line(f"  {result.rank}. {result.title} ({where}): {' | '.join(stages)}")
    out("for any other document: quarry why-not INDEX QUERY DOCUMENT")


def _stages_of(results: Sequence[Result]) -> tuple[str, ...]:
    """Return the stages that ranked any of the results: those that left the order as it was say so in the table below."""
    return tuple(stage for stage in _STAGES if any(getattr(result.evidence, stage) is not None for result in results))


def _print_result(result: Result, explained: Sequence[str] | None, *, unknown: bool = False) -> None:
    """Print one result; `explained` are the stages whose ranks are shown, None for no explanation."""
    place = f", page {result.page}" if result.page else f", {result.time}" if result.time else ""
    heading = f" > {result.heading}" if result.heading and result.heading != result.title else ""
    out_line(f"{result.rank}. {result.title}{heading}")
    where = f"{result.index}: {result.source}" if result.index else result.source
    out_line(f"   {where}{place}, characters {result.start}-{result.end}, {_score(result, unknown=unknown)}")
    if result.context is not None:
        _print_context(result.context)
    elif result.within is not None:
        out(f"   in the text of result {result.within}")
    else:
        _print_snippet(result)
    if result.copies:
        named = [copy.place for copy in result.copies[:_COPIES_NAMED]]
        out(f"   same in: {', '.join(named)}{' ...' if len(result.copies) > _COPIES_NAMED else ''}")
    if explained is not None:
        _print_evidence(result, explained)


def _print_context(context: Context) -> None:
    found = pieces(context.text.replace("\f", "\n"), context.highlights)
    shown = "".join(bold(piece) if marked else safe(piece) for piece, marked in found)
    raw("\n".join(f"   {line}" for line in shown.split("\n")))


def _print_snippet(result: Result) -> None:
    start, end = snippet(result.text, result.highlights, _SNIPPET_WIDTH)
    spans = [(max(a, start) - start, min(b, end) - start) for a, b in result.highlights if a < end and b > start]
    shown = "".join(
        bold(_one_line(piece)) if marked else safe(_one_line(piece))
        for piece, marked in pieces(result.text[start:end], spans)
    )
    raw("   " + ("... " if start else "") + shown.strip() + (" ..." if end < len(result.text) else ""))


def _print_evidence(result: Result, explained: Sequence[str]) -> None:
    evidence = result.evidence
    out("   " + " | ".join(f"{_STAGES[stage]} {_stage(getattr(evidence, stage))}" for stage in explained))
    if evidence.exact:
        out(f"   exact: {' | '.join(evidence.exact)}")
    if evidence.file:
        out(f"   file: {evidence.file}")
    if evidence.raised:
        out(f"   raised by {evidence.raised:.4f}: it is in another language than the query")
    if evidence.named:
        out(f"   raised by {evidence.named:.4f}: its title or heading is nearer to the query")
    if evidence.terms:
        out(f"   terms: {' '.join(evidence.terms)}")


def _score(result: Result, *, unknown: bool) -> str:
    """Return stage and score; of a query without a known word the similarity, because a fusion's best score is near 1 always."""
    if unknown and result.stage == "fusion" and result.evidence.dense is not None:
        return f"no word matches, similarity {result.evidence.dense.score:.4f}"
    return f"{result.stage} {result.score:.4f}"


def _print_meetings(meetings: "Sequence[Meeting]") -> None:
    """Print which word of the query met which word of the passage, for late interaction."""
    if meetings:
        out("   tokens: " + ", ".join(f"{one.query} ~ {one.passage} {one.cosine:.2f}" for one in meetings))


def _print_m3(score: "M3Score | None") -> None:
    """Print the three similarities of bge-m3, whose weighted sum late interaction added."""
    if score is not None:
        parts = f"dense {score.dense:.4f} + {SPARSE_WEIGHT} x sparse {score.sparse:.4f} + multi-vector {score.multi_vector:.4f}"
        out(f"   M3: {parts} = {score.total:.4f}")


def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\f", " ").replace("\t", " ")


def _stage(score: StageScore | None) -> str:
    return f"#{score.rank} {score.score:.4f}" if score else "-"


def _print_stages(answer: Answer) -> None:
    rows: list[tuple[Any, ...]] = [
        (report.stage, report.status, f"{report.milliseconds:.1f}", str(report.candidates), str(report.reason or ""))
        for report in answer.stages
    ]
    table(rows, ("stage", "status", "ms", "candidates", "reason"))
    out(f"total {answer.milliseconds:.1f} ms; generation {answer.generation}; model {answer.model or 'none'}")
