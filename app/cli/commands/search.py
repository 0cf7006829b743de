"""`quarry search`: ranked passages for one query, or a TREC run for many."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import (
    AsOption,
    CompressOption,
    CutoffOption,
    DeviceOption,
    ExamplesOption,
    FilterOption,
    RerankOption,
    bold,
    note,
    out,
    out_json,
    out_line,
    principals_of,
    raw,
    safe,
    table,
)
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.starting import loading
from quarry.app.wiring import embedder_asking, reranker_asking
from quarry.indexer.errors import BadFilter
from quarry.indexer.storage.texts.conditions import parse_expression
from quarry.retriever.ranking import Query, StageScore
from quarry.retriever.rerankers.depth import Depth
from quarry.retriever.rerankers.m3 import SPARSE_WEIGHT
from quarry.retriever.results import Answer, Context, Result
from quarry.retriever.searcher import Searcher, SearchOptions
from quarry.retriever.shown.highlight import pieces, snippet

if TYPE_CHECKING:
    from quarry.retriever.rerankers.alignment import Meeting
    from quarry.retriever.rerankers.m3 import M3Score

_COPIES_NAMED = 5
_NEAR_MISSES = 3
_SNIPPET_WIDTH = 240  # characters, about three lines of a terminal
_STAGES = {"dense": "dense", "bm25": "BM25", "fusion": "fused", "late": "late", "rerank": "rerank"}


class ExpandName(StrEnum):
    """What comes with a passage."""

    none = "none"
    section = "section"
    neighbors = "neighbors"


ExpandOption = Annotated[ExpandName, typer.Option(help="Show each passage with its section, or with its neighbors.")]
ExpandTokensOption = Annotated[
    int, typer.Option(help="Estimated tokens of a passage with what stands around it.", min=1, max=100_000)
]


class RouteName(StrEnum):
    """The routes of the first stage."""

    hybrid = "hybrid"
    dense = "dense"
    bm25 = "bm25"


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "search",
        cls=IndexCommand,
        short_help="Search an index.",
        help="Search an index with one query, or many with --queries.",
    )(search)


def search(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    query: Annotated[str | None, typer.Argument(help="The question or keywords, in Chinese or English.")] = None,
    k: Annotated[int, typer.Option("-k", "--top-k", help="Number of passages (documents with --run).", min=1)] = 10,
    route: Annotated[RouteName, typer.Option(help="First-stage retrieval.")] = RouteName.hybrid,
    rerank: RerankOption = "auto",
    rerank_depth: Annotated[int, typer.Option(help="Number of candidates to rerank.", min=1)] = 50,
    filters: FilterOption = None,
    seen_as: AsOption = None,
    queries: Annotated[
        str | None, typer.Option(help="Query file: BEIR queries.jsonl, or one query per line; - reads stdin.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="Write a TREC run of documents to this file.")] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            "--also", metavar="INDEX", help="Search this index, too, and merge the results. Repeat it for several."
        ),
    ] = None,
    expand: ExpandOption = ExpandName.none,
    expand_tokens: ExpandTokensOption = 512,
    all_copies: Annotated[
        bool, typer.Option("--all-copies", help="Show copies of a passage as results of their own.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show ranks and scores of every stage, matched terms and timings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per query.")] = False,
    cutoff_layers: CutoffOption = None,
    compress: CompressOption = 1,
    examples: ExamplesOption = None,
    device: DeviceOption = "auto",
    generation: Annotated[str | None, typer.Option(help="Search this generation instead of the live one.")] = None,
    server: Annotated[
        bool,
        typer.Option(
            "--server/--no-server",
            help="Ask a running `quarry serve` on this index instead of loading the model; not with --explain, --queries or --generation.",
        ),
    ] = True,
) -> None:
    """Search an index."""
    if (query is None) == (queries is None):
        raise typer.BadParameter("give either a QUERY or --queries FILE")
    asked = [Query(query, query)] if query is not None else read_queries(str(queries))
    options = SearchOptions(
        route=route.value,
        rerank=rerank != "none",
        rerank_depth=rerank_depth,
        collapse=not all_copies,
        filters=parse_filters(filters or []),
        expand=expand.value,
        expand_tokens=expand_tokens,
        principals=principals_of(seen_as),
    )
    if also:
        _check_alone(query, run, generation, examples)
        _search_several(
            [index, *also], str(query), k, options, _Models(rerank, device), explain=explain, as_json=as_json
        )
        return
    embedder = embedder_asking(index, examples, device)
    asked_reranker = reranker_asking(index, rerank, device, Depth(cutoff_layers, compress))
    plain = embedder is None and isinstance(asked_reranker, str) and generation is None
    if server and query is not None and run is None and plain and not explain:
        from quarry.app.server.local.asking import Wanted, ask_server

        served = ask_server(index, Wanted(query, k, options, rerank, device))
        if served is not None:
            note(f"asked the server at {served.url}; --no-server searches here")
            out_json(served.answer.to_dict()) if as_json else print_answer(served.answer, explain=False, many=False)
            return
    with loading():
        searcher = Searcher.open(index, embedder=embedder, rerank=asked_reranker, device=device, generation=generation)
        searcher = searcher.seen_by(options.principals)
        if options.route != "bm25":
            searcher.warm(words=False)  # keeps model loading out of the timings
    if run is not None:
        _write_run(searcher, asked, k, options, run)
        return
    below = _NEAR_MISSES if explain and not as_json else 0
    answers = searcher.search_many(asked, k + below, options)
    for answer in answers:
        if as_json:
            out_json(answer.to_dict())
        else:
            shown = replace(answer, results=answer.results[:k])
            print_answer(shown, explain=explain, many=len(answers) > 1, searcher=searcher)
            if explain:
                _print_near_misses(answer.results[k:])


def _check_alone(query: str | None, *others: object) -> None:
    """Check that several indexes are asked one question, as they are.

    Raises:
        typer.BadParameter: If not.
    """
    if query is None or any(other is not None for other in others):
        raise typer.BadParameter("--also takes one QUERY, and no --run, --generation or --examples")


@dataclass(frozen=True, slots=True)
class _Models:
    """Which reranker, and where models run."""

    rerank: str
    device: str


def _search_several(
    roots: Sequence[Path], query: str, k: int, options: SearchOptions, models: _Models, *, explain: bool, as_json: bool
) -> None:
    """Print the merged results of several indexes."""
    from quarry.retriever.several import Several

    answer, fit = Several.open(roots, rerank=models.rerank, device=models.device).search(query, k, options)
    if as_json:
        strengths = [asdict(strength) for strength in fit.hits]
        out_json({**answer.to_dict(), "strengths": strengths})
        return
    if doubt := fit.message():
        note(f"note: {doubt}")
    print_answer(answer, explain=explain, many=False)


def parse_filters(expressions: list[str]) -> dict[str, list[str]] | None:
    """Parse KEY=VALUE, KEY!=VALUE and bounds such as KEY>=VALUE into filters.

    Raises:
        typer.BadParameter: If one has no key or no operator.
    """
    filters: dict[str, list[str]] = {}
    for expression in expressions:
        try:
            key, value = parse_expression(expression)
        except BadFilter as err:
            raise typer.BadParameter(str(err)) from err
        filters.setdefault(key, []).append(value)
    return filters or None


def read_queries(source: str) -> list[Query]:
    """Read queries from a file or stdin (`-`): BEIR JSON lines, or one query per line, numbered from 1.

    Raises:
        CorpusError: If a line is malformed; the message names it.
    """
    from quarry.retriever.data.datasets import parse_queries

    if source == "-":
        return list(parse_queries(sys.stdin.buffer.read(), "standard input"))
    from quarry.indexer.errors import CorpusError

    try:
        return list(parse_queries(Path(source).read_bytes(), source))
    except OSError as err:
        raise CorpusError(
            "cli.queries_unreadable",
            "the queries file {path} cannot be read ({reason})",
            expected="a readable file, or - for stdin",
            path=source,
            reason=str(err),
        ) from err


def _write_run(searcher: Searcher, asked: list[Query], k: int, options: SearchOptions, path: Path) -> None:
    from quarry.retriever.data.trec import write_run
    from quarry.retriever.searcher import document_run

    rankings, ranked = document_run(searcher, asked, k, options)
    write_run(path, ranked, tag=f"quarry-{options.route}")
    without = sum(1 for hits in ranked.values() if not hits)
    note(
        f"{path}: {len(ranked)} queries, {sum(len(hits) for hits in ranked.values())} documents, {without} queries without a result"
    )
    for reason in sorted({str(reason) for ranking in rankings for reason in ranking.degraded}):
        note(f"degraded: {reason}")


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


def _print_near_misses(missed: Sequence[Result]) -> None:
    """Print what is ranked just below the cut, and how to learn why a document is not there at all."""
    if missed:
        out("below the cut:")
        for result in missed:
            stages = (f"{_STAGES[stage]} {_stage(getattr(result.evidence, stage))}" for stage in _stages_of([result]))
            out_line(f"  {result.rank}. {result.title} ({result.source}): {' | '.join(stages)}")
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
        named = [copy.source for copy in result.copies[:_COPIES_NAMED]]
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
