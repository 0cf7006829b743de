"""`quarry compare`: is one run better than another, by how much, and on which queries?"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quarry.app.cli.console import cut, fields, note, out, out_json, table
from quarry.app.cli.exits import usage_errors
from quarry.app.cli.headings import headings
from quarry.app.cli.help import QuarryCommand
from quarry.app.cli.options import HtmlOption, LanguageOption
from quarry.app.cli.report.page import write_page
from quarry.app.words import InterfaceLanguage
from quarry.app.words import words as in_language

if TYPE_CHECKING:
    from quarry.indexer.records import Document
    from quarry.retriever.data.datasets import Dataset
    from quarry.retriever.evaluation.cases import Case, Cases, ShownDocument
    from quarry.retriever.evaluation.compare import Comparison
    from quarry.retriever.evaluation.judged_runs import JudgedQueries, JudgedRun

    SliceTable = dict[str, dict[str, Comparison]]

_DEPTH = 3  # documents of each side
_COLUMN = 58  # cells, so that two fit in a terminal of 120


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
        out_json(_report(str(wanted), sides, compared, sliced, examples, lang))
        return
    _print_runs(sides, str(wanted), lang)
    for name in others:
        _print(baseline, name, compared[name], sliced[name], examples[name], lang)


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


def _report(
    measure: str,
    sides: "dict[str, JudgedRun]",
    compared: "dict[str, Comparison]",
    sliced: "dict[str, SliceTable]",
    examples: "dict[str, Cases]",
    language: InterfaceLanguage,
) -> dict[str, Any]:
    return {
        "measure": measure,
        "baseline": next(iter(sides)),
        "runs": {
            name: {
                "mean": fields(side.evaluation.means[measure]),
                "judged@10": side.evaluation.judged,
                "meta": fields(side.meta) if side.meta else None,
                "notes": [str(one) for one in side.notes],
            }
            for name, side in sides.items()
        },
        "comparisons": {
            name: {
                **_plain(comparison, language),
                "slices": {
                    by: {value: _plain(part, language) for value, part in parts.items()}
                    for by, parts in sliced[name].items()
                },
                "examples": fields(examples[name]),
            }
            for name, comparison in compared.items()
        },
    }


def _plain(comparison: "Comparison", language: InterfaceLanguage) -> dict[str, Any]:
    return {**fields(comparison), "verdict": comparison.verdict, "words": in_language(comparison.message(), language)}


def _print_runs(sides: "dict[str, JudgedRun]", measure: str, language: InterfaceLanguage) -> None:
    words = headings(language)
    rows = []
    for name, side in sides.items():
        mean = side.evaluation.means[measure]
        interval = f"{mean.low:.4f}-{mean.high:.4f}" if mean.low is not None and mean.high is not None else "-"
        what = f"{side.meta.dataset} {side.meta.route} {side.meta.model}".strip() if side.meta else words["run file"]
        rows.append((name, f"{mean.value:.4f}", interval, str(mean.count), f"{side.evaluation.judged:.2f}", what))
    table(rows, (words["run"], measure, "95 %", words["queries"], "Judged@10", words["what"]))


def _print(
    baseline: str,
    name: str,
    comparison: "Comparison",
    sliced: "SliceTable",
    examples: "Cases",
    language: InterfaceLanguage,
) -> None:
    words = headings(language)
    out()
    out(f"{name} {words['against']} {baseline}")
    out(in_language(comparison.message(), language))
    for by, parts in sliced.items():
        out()
        table(
            [
                (
                    value,
                    str(part.count),
                    f"{part.before:.4f}",
                    f"{part.after:.4f}",
                    f"{part.difference:+.4f}",
                    f"{part.low:+.4f} .. {part.high:+.4f}",
                    f"{part.p_adjusted:.4f}",
                    words[part.verdict],
                )
                for value, part in parts.items()
            ],
            (by, words["queries"], words["before"], words["after"], words["difference"], "95 %", "p", words["verdict"]),
        )
    for title, found, total in (
        (words["wins"], examples.wins, comparison.wins),
        (words["losses"], examples.losses, comparison.losses),
    ):
        if found:
            out()
            out(f"{title} ({len(found)} / {len(total)}; {words['marks']})")
        for case in found:
            _print_case(case, baseline, name, words)


def _print_case(case: "Case", baseline: str, name: str, words: Mapping[str, str]) -> None:
    text = f"  {case.text}" if case.text != case.query_id else ""
    out(f"{case.delta:+.4f}  {case.before:.4f} -> {case.after:.4f}  {case.query_id}{text}")
    ranks = [f"#{rank}" if rank else words["none"] for rank in (case.rank_before, case.rank_after)]
    out(f"  {words['first relevant']}: {ranks[0]} -> {ranks[1]}")
    depth = max(len(case.documents_before), len(case.documents_after))
    rows = [(_cell(case.documents_before, place), _cell(case.documents_after, place)) for place in range(depth)]
    table(
        [(f"  {place}", *row) for place, row in enumerate(rows, 1)], ("  #", cut(baseline, _COLUMN), cut(name, _COLUMN))
    )


def _cell(documents: "Sequence[ShownDocument]", place: int) -> str:
    if place >= len(documents):
        return ""
    document = documents[place]
    mark = "?" if document.grade is None else "+" if document.grade > 0 else "-"
    name = document.title if document.title and document.title != document.doc_id else document.doc_id
    return cut(f"{mark} {name}" + (f": {document.text}" if document.text else ""), _COLUMN)
