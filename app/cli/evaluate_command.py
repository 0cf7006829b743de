"""`quarry evaluate`: what every route of an index is worth on judged questions, and whether the difference is real."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.console import note, out, out_json, table

if TYPE_CHECKING:
    from retriever.compare import Comparison
    from retriever.datasets import Dataset
    from retriever.route_evaluation import RouteEvaluation
    from retriever.searcher import Searcher


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "evaluate", help="Measure the routes of an index on a data set with judgements (BEIR, FlagEmbedding, TREC)."
    )(evaluate)


def evaluate(
    dataset: Annotated[Path, typer.Argument(help="Folder of a data set: queries and judgements.")],
    index: Annotated[Path, typer.Option("--index", help="The index that answers.")],
    routes: Annotated[
        str,
        typer.Option(
            help="bm25, dense, hybrid, each with or without +rerank, comma-separated; the first is the baseline."
        ),
    ] = "bm25,dense,hybrid",
    measures: Annotated[str, typer.Option(help="Comma-separated, as in ir-measures.")] = "nDCG@10,R@100,RR@10",
    split: Annotated[str | None, typer.Option(help="Which split of the judgements; default test, else dev.")] = None,
    rerank: Annotated[
        str, typer.Option(help="Reranker for +rerank routes: auto, a repository id or a folder.")
    ] = "auto",
    rerank_depth: Annotated[int, typer.Option(help="How many candidates are reranked.", min=1)] = 50,
    save: Annotated[Path | None, typer.Option(help="Write a saved evaluation per route below this folder.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Evaluate routes and compare them with the first one."""
    from retriever.compare import compare_many
    from retriever.datasets import load_dataset, unknown_documents
    from retriever.measures import parse_measures
    from retriever.route_evaluation import RERANKED, evaluate_route, route_options
    from retriever.searcher import Searcher

    names = [name.strip() for name in routes.split(",") if name.strip()]
    wanted = parse_measures(name.strip() for name in measures.split(","))
    for name in names:
        route_options(name, rerank_depth)
    data = load_dataset(dataset, split)
    wants_rerank = any(name.endswith(RERANKED) for name in names)
    searcher = Searcher.open(index, rerank=rerank if wants_rerank else "none", device=device)
    for sentence in data.notes():
        note(f"note: {sentence}")
    unknown = unknown_documents(data.qrels, {document.doc_id for document in searcher.index.chunks.documents()})
    if unknown.count:
        note(
            f"note: {unknown.count} of {unknown.judged} judged documents are not in the index (first {', '.join(unknown.first)}); "
            "queries whose answers are among them cannot win"
        )
    found = {}
    for name in names:
        note(f"asking {len(data.queries)} queries by {name}")
        found[name] = evaluate_route(searcher, data, name, wanted, rerank_depth=rerank_depth)
    baseline, *others = names
    compared = (
        compare_many(found[baseline].evaluation, {name: found[name].evaluation for name in others}, str(wanted[0]))
        if others
        else {}
    )
    if save is not None:
        _save(save, searcher, data, found)
    if as_json:
        out_json(_report(data, found, dict(compared)))
    else:
        _print(data, found, dict(compared), baseline)


def _save(folder: Path, searcher: "Searcher", data: "Dataset", found: "dict[str, RouteEvaluation]") -> None:
    from retriever.saved_evaluation import save_evaluation

    for name, result in found.items():
        path = folder / f"{data.name}-{data.split}-{name}-{searcher.index.generation}"
        save_evaluation(path, result.saved(searcher, data))
        note(f"saved {path}")


def _report(data: "Dataset", found: "dict[str, RouteEvaluation]", compared: "dict[str, Comparison]") -> dict[str, Any]:
    return {
        "dataset": data.name,
        "split": data.split,
        "queries": len(data.queries),
        "routes": {
            name: {
                "means": {measure: asdict(mean) for measure, mean in result.evaluation.means.items()},
                "ceiling": result.ceiling.value,
                "milliseconds": result.milliseconds,
                "degraded": result.degraded,
                "per_query": result.evaluation.per_query,
            }
            for name, result in found.items()
        },
        "comparisons": {name: {**asdict(one), "verdict": one.verdict} for name, one in compared.items()},
    }


def _print(
    data: "Dataset", found: "dict[str, RouteEvaluation]", compared: "dict[str, Comparison]", baseline: str
) -> None:
    first = next(iter(found.values()))
    names = list(first.evaluation.measures)
    out(f"{data.name}, split {data.split}: {first.evaluation.means[names[0]].count} judged queries")
    rows = []
    for route, result in found.items():
        means = result.evaluation.means
        cells = [f"{means[name].value:.4f}" for name in names]
        low, high = means[names[0]].low, means[names[0]].high
        interval = f"{low:.4f}-{high:.4f}" if low is not None and high is not None else "-"
        times = " ".join(f"{stage} {value:.1f}" for stage, value in result.milliseconds.items())
        rows.append((route, *cells, interval, f"{result.ceiling.value:.4f}", times))
    table(rows, ("route", *names, f"{names[0]} 95 %", f"ceiling@{first.ceiling.depth}", "ms per query"))
    for name, comparison in compared.items():
        out(f"{name} against {baseline}: {comparison.words('en')}")
    for route, result in found.items():
        for reason in result.degraded:
            note(f"degraded ({route}): {reason}")
