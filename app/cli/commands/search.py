"""`quarry search`: ranked passages for one query, or a TREC run for many."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from quarry.app.cli.console import note, out_json
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import (
    AsOption,
    CompressOption,
    CutoffOption,
    DeviceOption,
    ExamplesOption,
    ExpandName,
    ExpandOption,
    ExpandTokensOption,
    FilterOption,
    RerankOption,
    RouteName,
    parse_filters,
    principals_of,
)
from quarry.app.cli.printed.answer import print_answer, print_near_misses
from quarry.app.cli.starting import loading
from quarry.app.wiring import embedder_asking, reranker_asking
from quarry.retriever.ranking import Query
from quarry.retriever.rerankers.depth import Depth
from quarry.retriever.results import Result
from quarry.retriever.searcher import Searcher, SearchOptions

_NEAR_MISSES = 3


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
    answers = searcher.search_many(asked, k + _below(explain=explain), options)
    for answer in answers:
        shown, missed = replace(answer, results=answer.results[:k]), answer.results[k:]
        if as_json:
            out_json(shown.to_dict() | _near_misses(missed, explain=explain))
        else:
            print_answer(shown, explain=explain, many=len(answers) > 1, searcher=searcher)
            if explain:
                print_near_misses(missed)


def _below(*, explain: bool) -> int:
    """Return how many results below the cut are looked at."""
    return _NEAR_MISSES if explain else 0


def _near_misses(missed: Sequence[Result], *, explain: bool) -> dict[str, Any]:
    return {"below_the_cut": list(map(asdict, missed))} if explain else {}


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

    several = Several.open(roots, rerank=models.rerank, device=models.device)
    answer, fit = several.search(query, k + _below(explain=explain), options)
    shown, missed = replace(answer, results=answer.results[:k]), answer.results[k:]
    if as_json:
        strengths = [asdict(strength) for strength in fit.hits[:k]]
        out_json(shown.to_dict() | {"strengths": strengths} | _near_misses(missed, explain=explain))
        return
    if doubt := fit.message():
        note(f"note: {doubt}")
    print_answer(shown, explain=explain, many=False)
    if explain:
        print_near_misses(missed)


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
    from quarry.retriever.runs import document_run

    rankings, ranked = document_run(searcher, asked, k, options)
    write_run(path, ranked, tag=f"quarry-{options.route}")
    without = sum(1 for hits in ranked.values() if not hits)
    note(
        f"{path}: {len(ranked)} queries, {sum(len(hits) for hits in ranked.values())} documents, {without} queries without a result"
    )
    for reason in sorted({str(reason) for ranking in rankings for reason in ranking.degraded}):
        note(f"degraded: {reason}")
