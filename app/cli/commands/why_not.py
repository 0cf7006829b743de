"""`quarry why-not`: the stage at which a document was lost, and the smallest change that brings it back."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import note, out, out_json
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import (
    AsOption,
    DeviceOption,
    FilterOption,
    RerankOption,
    RouteName,
    parse_filters,
    principals_of,
)
from quarry.indexer.storage.texts.conditions import expression_of
from quarry.indexer.stores.lake.view import place_of

if TYPE_CHECKING:
    from quarry.retriever.why_not.places import Places
    from quarry.retriever.why_not.report import WhyNot
    from quarry.retriever.why_not.search import Search


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "why-not",
        cls=IndexCommand,
        short_help="Say why a document is not found, and what to change.",
        help="Say which stage of a search lost a document, and the smallest change that brings it back. The change was tried.",
    )(why_not)


def why_not(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    query: Annotated[str, typer.Argument(help="The question, as it was asked.")],
    document: Annotated[str, typer.Argument(help="An id, a file, a title, or a part of one of them.")],
    k: Annotated[int, typer.Option("-k", "--top-k", help="Number of passages that were shown.", min=1)] = 10,
    route: Annotated[RouteName, typer.Option(help="First-stage retrieval.")] = RouteName.hybrid,
    rerank: RerankOption = "auto",
    rerank_depth: Annotated[int, typer.Option(help="Number of candidates to rerank.", min=1)] = 50,
    filters: FilterOption = None,
    all_copies: Annotated[
        bool, typer.Option("--all-copies", help="Copies of a passage were shown as results of their own.")
    ] = False,
    seen_as: AsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Explain a document that a search does not show."""
    from quarry.app.documents.why_not import explain_missing
    from quarry.retriever.searcher import Searcher, SearchOptions
    from quarry.retriever.why_not.search import Search

    options = SearchOptions(
        route=route.value,
        rerank=rerank != "none",
        rerank_depth=rerank_depth,
        collapse=not all_copies,
        filters=parse_filters(filters or []),
        principals=principals_of(seen_as),
    )
    searcher = Searcher.open(index, rerank=rerank, device=device)
    with usage_errors():
        found = explain_missing(searcher, Search(query, k, options), document)
    if as_json:
        out_json(found.to_dict())
    else:
        _print(found, index, rerank)


def _print(found: "WhyNot", index: Path, rerank: str) -> None:
    loss = found.loss
    out(f"{found.document.title}: {loss.reason}")
    if loss.stage == "shown":
        return
    out(f"  lost at: {loss.stage}")
    if loss.places is not None:
        out(f"  ranks: {_ranks(loss.places)}")
    for remark in found.remarks:
        out(f"  {remark}")
    if found.change is not None:
        for step in found.change.steps:
            out(f"  change: {step}")
        out(f"  tried: it is then result {found.change.rank}")
        out(f"    {command(index, found.change.search, rerank)}")
    elif found.document.doc_ids:
        note("no single change that was tried brings it back")


def _ranks(places: "Places") -> str:
    pairs = (("dense", places.dense), ("BM25", places.bm25), ("fused", places.fusion), ("final", places.last))
    return ", ".join(f"{name} {'-' if rank is None else rank}" for name, rank in pairs)


def command(index: Path, search: "Search", rerank: str = "auto") -> str:
    """Return the `quarry search` command of a search with a reranker, to be pasted into a shell."""
    options = search.options
    words = ["quarry", "search", place_of(index), search.question]
    if search.question.startswith("-"):
        words[-1:] = ["--", search.question]
    flags = ["-k", str(search.k)]
    if options.route != "hybrid":
        flags += ["--route", options.route]
    reranker = rerank if options.rerank else "none"
    if reranker != "auto":
        flags += ["--rerank", reranker]
    if options.rerank_depth != type(options)().rerank_depth:
        flags += ["--rerank-depth", str(options.rerank_depth)]
    if not options.collapse:
        flags += ["--all-copies"]
    if options.principals is not None:
        flags += ["--as", ",".join(options.principals.names)]
    for key, values in (options.filters or {}).items():
        for value in values if isinstance(values, list | tuple) else (values,):
            flags += ["--filter", expression_of(key, str(value))]
    return shlex.join([*words[:3], *flags, *words[3:]])
