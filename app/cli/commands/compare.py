"""`quarry compare`: is one run better than another, by how much, and on which queries?"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import note, out_json
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import HtmlOption, LanguageOption
from quarry.app.cli.printed.comparison import comparison_report, print_comparison, print_runs
from quarry.app.cli.report.page import write_page

if TYPE_CHECKING:
    from quarry.app.cli.printed.comparison import SliceTable
    from quarry.indexer.records import Document
    from quarry.retriever.data.datasets import Dataset
    from quarry.retriever.evaluation.cases import Cases
    from quarry.retriever.evaluation.compare import Comparison
    from quarry.retriever.evaluation.judged_runs import JudgedQueries, JudgedRun

_DEPTH = 3  # documents of each side


def register(cli: typer.Typer) -> None:
    """Add the command."""
    cli.command(
        "compare",
        cls=QuarryCommand,
        short_help="Compare saved evaluations or TREC runs.",
        help="Compare saved evaluations or TREC runs: verdicts, wins and losses with their texts, slices.",
    )(compare)


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Saved evaluation folders or TREC run files; the first is the baseline.")
    ],
    measure: Annotated[str, typer.Option(help="Measure to compare by, in ir-measures notation.")] = "nDCG@10",
    qrels: Annotated[Path | None, typer.Option(help="Judgments for run files: TREC, BEIR or FlagEmbedding.")] = None,
    queries: Annotated[Path | None, typer.Option(help="With --qrels: file with the query texts.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Dataset folder, instead of --qrels and --queries; its corpus provides the document texts."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="With --data: which split of the judgments to use.")] = None,
    index: Annotated[
        Path | None, typer.Option(help="The index that was searched; provides the document texts.")
    ] = None,
    slices: Annotated[
        str | None,
        typer.Option(
            help="Break results down by these, comma-separated: language, length, or a metadata field of the queries."
        ),
    ] = None,
    show: Annotated[int, typer.Option(help="Number of wins and losses to list.", min=0)] = 5,
    html: HtmlOption = None,
    lang: LanguageOption = "en",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, including the difference for every query.")
    ] = False,
) -> None:
    """Compare runs with the first one."""
    from quarry.retriever.evaluation.compare import compare_many
    from quarry.retriever.evaluation.judged_runs import judged_run
    from quarry.retriever.evaluation.measures import parse_measures

    _check_usage(runs, qrels, queries, data)
    with usage_errors():
        (wanted,) = _one_measure(parse_measures([measure]))
    dataset, judged = _judgements(qrels, queries, data, split)
    for sentence in judged.notes if judged else ():
        note(f"note: {sentence}")
    sides = dict(zip(_names(runs), (judged_run(path, wanted, judged) for path in runs), strict=True))
    baseline, *others = sides
    compared = compare_many(sides[baseline].evaluation, {name: sides[name].evaluation for name in others}, str(wanted))
    with usage_errors():
        sliced = {name: _slices(sides[baseline], sides[name], str(wanted), slices, judged) for name in others}
    examples = _examples(sides, compared, _corpus(index, dataset), show)
    for name, side in sides.items():
        for sentence in side.notes:
            note(f"{name}: {sentence}")
    if html is not None:
        from quarry.app.cli.report.comparison import comparison_page

        write_page(comparison_page(sides, compared, sliced, examples, lang), html)
    if as_json:
        out_json(comparison_report(str(wanted), sides, compared, sliced, examples, lang))
        return
    print_runs(sides, str(wanted), lang)
    for name in others:
        print_comparison(baseline, name, compared[name], sliced[name], examples[name], lang)


def _check_usage(runs: Sequence[Path], qrels: Path | None, queries: Path | None, data: Path | None) -> None:
    if len(runs) < 2:
        raise typer.BadParameter(f"{len(runs)} run given; expected two or more to compare")
    if data is not None and (qrels is not None or queries is not None):
        raise typer.BadParameter("give either --data, or --qrels with or without --queries")
    if queries is not None and qrels is None:
        raise typer.BadParameter("--queries goes with --qrels")


def _one_measure(found: "Sequence[Any]") -> "Sequence[Any]":
    if len(found) != 1:
        raise typer.BadParameter(f"{len(found)} measures given; expected one to compare by")
    return found


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the shortest path suffixes that are unique."""
    whole = [path.resolve().parts for path in runs]
    longest = max(len(parts) for parts in whole)
    for depth in range(1, longest):
        short = ["/".join(parts[-depth:]) for parts in whole]
        if len(set(short)) == len(short):
            return short
    raise typer.BadParameter("a run is given twice; expected different runs")


def _judgements(
    qrels: Path | None, queries: Path | None, data: Path | None, split: str | None
) -> "tuple[Dataset | None, JudgedQueries | None]":
    from quarry.retriever.data.datasets import load_dataset
    from quarry.retriever.evaluation.judged_runs import judged_dataset, judged_files

    if data is not None:
        dataset = load_dataset(data, split)
        return dataset, judged_dataset(dataset)
    return None, judged_files(qrels, queries) if qrels is not None else None


def _corpus(index: Path | None, dataset: "Dataset | None") -> "Iterable[Document] | None":
    """Return the documents of the index, else of the dataset, else None."""
    if index is not None:
        from quarry.indexer.opened import Index

        return Index.open(index).chunks.documents()
    if dataset is not None and dataset.corpus_path is not None:
        from quarry.retriever.data.datasets import documents

        return documents(dataset)
    return None


def _slices(
    before: "JudgedRun", after: "JudgedRun", measure: str, by: str | None, judged: "JudgedQueries | None"
) -> "SliceTable":
    from quarry.retriever.evaluation.slices import compare_slices

    fields = [field.strip() for field in (by or "").split(",") if field.strip()]
    if not fields:
        return {}
    questions = before.questions or after.questions
    if questions is None or (judged is not None and not judged.has_texts):
        raise typer.BadParameter(
            "slices need the queries' texts and there are none; expected --queries FILE with --qrels, or --data FOLDER"
        )
    return {
        field: compare_slices(
            before.evaluation, after.evaluation, measure, field, questions.queries, questions.metadata
        )
        for field in fields
    }


def _examples(
    sides: "dict[str, JudgedRun]",
    compared: "dict[str, Comparison]",
    corpus: "Iterable[Document] | None",
    count: int,
) -> "dict[str, Cases]":
    from quarry.retriever.evaluation.cases import cases, documents_to_show, known_and_wanted
    from quarry.retriever.evaluation.judged_runs import foreign_documents, foreign_judgements

    before = next(iter(sides.values()))
    pairs = {name: (before, sides[name]) for name in compared}
    found: dict[str, Document] = {}
    if corpus is not None:
        wanted = [documents_to_show(compared[name], pair, count=count, depth=_DEPTH) for name, pair in pairs.items()]
        known, found = known_and_wanted(corpus, set().union(*wanted))
        foreign = {name: foreign_documents(side, known) for name, side in sides.items()}
        judged = foreign_judgements(before.questions, known) if before.questions is not None else ""
        for sentence in [*(f"{name}: {text}" for name, text in foreign.items() if text), *([judged] if judged else [])]:
            note(f"note: {sentence}")
    return {name: cases(compared[name], pair, found, count=count, depth=_DEPTH) for name, pair in pairs.items()}
