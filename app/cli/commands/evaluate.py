"""`quarry evaluate`: measure every route of an index on judged questions, with significance tests.

Optional output: a TREC run file per route (`--runs-to`), and results per query (`--save` or `--json`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quarry.app.cli.console import note, out_json
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import IndexCommand
from quarry.app.cli.options import (
    CompressOption,
    CutoffOption,
    DeviceOption,
    ExamplesOption,
    HtmlOption,
    LanguageOption,
)
from quarry.app.cli.printed.evaluation import evaluation_report, print_evaluation, print_slices
from quarry.app.cli.report.page import write_page
from quarry.app.wiring import embedder_asking, reranker_asking

if TYPE_CHECKING:
    from quarry.retriever.data.datasets import Dataset
    from quarry.retriever.evaluation.routes import RouteEvaluation
    from quarry.retriever.evaluation.slices import Slice
    from quarry.retriever.searcher import Searcher

DEFAULT_MEASURES = "nDCG@10,R@100,RR@10"
PRESETS = {"air-bench-qa": "nDCG@10,R@10", "air-bench-long-doc": "R@10,nDCG@10"}
"""Measures by benchmark, the main one first. AIR-Bench ranks by nDCG@10 for QA and by Recall@10 for Long-Doc, whose
documents are the chunks of one long text."""


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "evaluate",
        cls=IndexCommand,
        short_help="Measure an index on a judged dataset.",
        help="Measure the routes of an index on a judged dataset (BEIR, FlagEmbedding, TREC).",
    )(evaluate)


def evaluate(
    index: Annotated[Path, typer.Argument(help="The index folder.")],
    dataset: Annotated[Path | None, typer.Argument(help="Dataset folder: queries and judgments.")] = None,
    old_index: Annotated[Path | None, typer.Option("--index", hidden=True, help="The index, in the old order.")] = None,
    routes: Annotated[
        str,
        typer.Option(
            help="Comma-separated routes: bm25, dense, hybrid, each optionally with +rerank. The first is the baseline."
        ),
    ] = "bm25,dense,hybrid",
    measures: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated, in ir-measures notation; routes are compared by the first. Default: {DEFAULT_MEASURES}."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help=f"Use the measures of a benchmark: {' or '.join(PRESETS)}.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Which split of the judgments to use. Default: test, else dev.")
    ] = None,
    rerank: Annotated[
        str, typer.Option(help="Reranker for +rerank routes: auto, a repository id or a folder.")
    ] = "auto",
    rerank_depth: Annotated[int, typer.Option(help="Number of candidates to rerank.", min=1)] = 50,
    slices: Annotated[
        str | None,
        typer.Option(
            help="Break results down by these, comma-separated: language, language-pair (of question and document), length, "
            "or a metadata field of the queries."
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Save results per query, one subfolder per route, for `quarry compare`."),
    ] = None,
    runs_to: Annotated[
        Path | None, typer.Option("--runs-to", help="Write a TREC run file ROUTE.trec per route to this folder.")
    ] = None,
    html: HtmlOption = None,
    lang: LanguageOption = "en",
    cutoff_layers: CutoffOption = None,
    compress: CompressOption = 1,
    examples: ExamplesOption = None,
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate routes and compare them with the first one."""
    from quarry.retriever.data.datasets import load_dataset
    from quarry.retriever.evaluation.compare import compare_many
    from quarry.retriever.evaluation.language_pairs import with_language_pairs
    from quarry.retriever.evaluation.measures import parse_measures
    from quarry.retriever.evaluation.routes import RERANKED, evaluate_route, route_options
    from quarry.retriever.rerankers.depth import Depth
    from quarry.retriever.searcher import Searcher

    index, dataset = _in_order(index, dataset, old_index)
    names = list(dict.fromkeys(name.strip() for name in routes.split(",") if name.strip()))
    if not names:
        raise typer.BadParameter("--routes is empty; expected at least one route, such as hybrid")
    with usage_errors():
        wanted = parse_measures(name.strip() for name in _measures(measures, preset).split(","))
        for name in names:
            route_options(name, rerank_depth)
    data = load_dataset(dataset, split)
    wants_rerank = any(name.endswith(RERANKED) for name in names)
    embedder = embedder_asking(index, examples, device)
    asked = reranker_asking(index, rerank, device, Depth(cutoff_layers, compress)) if wants_rerank else "none"
    searcher = Searcher.open(index, embedder=embedder, rerank=asked, device=device)
    _check_fit(data, searcher)
    data = with_language_pairs(data, searcher.index.chunks)
    found = {}
    for name in names:
        note(f"running {len(data.queries)} queries on {name}")
        found[name] = evaluate_route(searcher, data, name, wanted, rerank_depth=rerank_depth)
    baseline, *others = names
    compared = (
        compare_many(found[baseline].evaluation, {name: found[name].evaluation for name in others}, str(wanted[0]))
        if others
        else {}
    )
    with usage_errors():
        sliced = _slices(data, found, slices)
    _keep(save, runs_to, searcher, data, found)
    if html is not None:
        from quarry.app.cli.report.evaluation import evaluation_page

        write_page(evaluation_page(data, found, compared, sliced, lang), html)
    if as_json:
        out_json(evaluation_report(data, found, dict(compared), sliced))
    else:
        print_evaluation(data, found, dict(compared), baseline, lang)
        print_slices(sliced, str(wanted[0]))


def _in_order(index: Path, dataset: Path | None, old_index: Path | None) -> tuple[Path, Path]:
    """Return index and dataset; the earlier order was `evaluate DATASET --index INDEX`.

    Raises:
        typer.BadParameter: If one of them is missing, or given twice.
    """
    if old_index is not None and dataset is not None:
        raise typer.BadParameter("the index is given twice; expected quarry evaluate INDEX DATASET")
    if old_index is not None:
        return old_index, index
    if dataset is None:
        raise typer.BadParameter("the dataset is missing; expected quarry evaluate INDEX DATASET")
    return index, dataset


def _measures(measures: str | None, preset: str | None) -> str:
    if measures is not None and preset is not None:
        raise typer.BadParameter("give either --measures or --preset")
    if preset is not None and preset not in PRESETS:
        raise typer.BadParameter(f"--preset is {preset!r}; expected {' or '.join(PRESETS)}")
    return PRESETS[preset] if preset is not None else measures or DEFAULT_MEASURES


def _check_fit(data: "Dataset", searcher: "Searcher") -> None:
    """Note mismatches between the dataset and the index.

    Raises:
        CorpusError: If the index has none of the judged documents.
    """
    from quarry.indexer.errors import CorpusError
    from quarry.retriever.data.datasets import unknown_documents

    for sentence in data.notes():
        note(f"note: {sentence}")
    unknown = unknown_documents(data.qrels, set(searcher.index.chunks.doc_ids()))
    if unknown.count and unknown.count == unknown.judged:
        raise CorpusError(
            "cli.foreign_dataset",
            "none of the {count:,} judged documents of {name} is in the index (first {first})",
            expected="the index of this dataset's documents",
            do="Index them, or give the dataset of this index",
            count=unknown.judged,
            name=data.name,
            first=list(unknown.first),
        )
    if unknown.count:
        note(
            f"note: {unknown.count} of {unknown.judged} judged documents are not in the index (first {', '.join(unknown.first)}); "
            "queries that need them cannot score"
        )


def _slices(
    data: "Dataset", found: "dict[str, RouteEvaluation]", by: str | None
) -> "dict[str, dict[str, tuple[Slice, ...]]]":
    """By field and route."""
    from quarry.retriever.evaluation.slices import slices

    fields = [field.strip() for field in (by or "").split(",") if field.strip()]
    return {
        field: {
            route: slices(result.evaluation, data.queries, field, metadata=data.metadata)
            for route, result in found.items()
        }
        for field in fields
    }


def _keep(
    save: Path | None,
    runs_to: Path | None,
    searcher: "Searcher",
    data: "Dataset",
    found: "dict[str, RouteEvaluation]",
) -> None:
    from quarry.indexer.errors import CorpusError
    from quarry.retriever.data.trec import write_run

    if runs_to is not None:
        try:
            runs_to.mkdir(parents=True, exist_ok=True)
            for name, result in found.items():
                write_run(runs_to / f"{name}.trec", result.run, tag=f"quarry-{name}")
        except OSError as err:
            raise CorpusError(
                "cli.cannot_write_runs",
                "{folder} cannot be written ({reason})",
                expected="a folder with free space",
                do="Choose another one",
                folder=runs_to,
                reason=str(err),
            ) from err
        note(f"wrote {', '.join(f'{name}.trec' for name in found)} in {runs_to}")
    if save is not None:
        _save(save, searcher, data, found)


def _save(folder: Path, searcher: "Searcher", data: "Dataset", found: "dict[str, RouteEvaluation]") -> None:
    from quarry.retriever.evaluation.saved import save_evaluation

    for name, result in found.items():
        path = folder / f"{data.name}-{data.split}-{name}-{searcher.index.generation}"
        with usage_errors():
            save_evaluation(path, result.saved(searcher, data))
        note(f"saved {path}")
