"""What `quarry benchmark` prints: scores, averages and comparisons, as tables and pictures."""

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quarry.app.cli.console import fields, note, out, out_json, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quarry.retriever.benchmark.results.averages import Averages
    from quarry.retriever.benchmark.results.compare import TaskComparison
    from quarry.retriever.benchmark.results.stored import StoredResult
    from quarry.retriever.benchmark.run import BenchmarkResult
    from quarry.retriever.benchmark.tasks.prepared import Choice


def show_table(folders: "Sequence[Path]", picture: Path | None, *, as_json: bool) -> None:
    """Print the averages of one or several models as Markdown, and draw them."""
    from quarry.retriever.benchmark.results.stored import model_name, read_results
    from quarry.retriever.benchmark.results.tables import markdown_table

    found = {model_name(folder): _averages(read_results(folder)) for folder in folders}
    _draw(picture, found)
    if as_json:
        out_json({name: fields(each) for name, each in found.items()})
    else:
        out(markdown_table(found))


def show_comparison(before: Path, after: Path, picture: Path | None, *, as_json: bool) -> None:
    """Print the second model against the first, task by task, with significance, and the averages on their common tasks."""
    from quarry.retriever.benchmark.results.compare import compare_results
    from quarry.retriever.benchmark.results.stored import model_name, read_results

    results = {folder: read_results(folder) for folder in (before, after)}
    names = [model_name(before), model_name(after)]
    found = compare_results(results[before], results[after])
    shared = {each.task for each in found}
    averages = (
        [_averages([r for r in results[folder] if r.task in shared]) for folder in (before, after)] if found else []
    )
    if names[0] == names[1]:
        names = [f"{names[0]} ({before})", f"{names[1]} ({after})"]
    if averages:
        _draw(picture, dict(zip(names, averages, strict=True)))
    if as_json:
        rows = [{**fields(each), "difference": each.difference, "verdict": each.verdict} for each in found]
        out_json(
            {"before": names[0], "after": names[1], "tasks": rows, "averages": [fields(each) for each in averages]}
        )
        return
    out(f"before: {names[0]}\nafter:  {names[1]}\n")
    table(
        [_row(each) for each in found],
        ("task", "before", "after", "difference", "95 % interval", "p", "items", "verdict"),
    )
    for kind in averages[0].kinds if averages else ():
        first, second = (each.kinds[kind] for each in averages)
        out(f"{kind}: {first:.2f} -> {second:.2f} ({second - first:+.2f}), {averages[0].counts[kind]} tasks")
    if averages:
        first, second = (each.overall for each in averages)
        out(f"Average over tasks: {first:.2f} -> {second:.2f} ({second - first:+.2f}), {len(shared)} common tasks")
    left_out = sorted({r.task for each in results.values() for r in each} - shared)
    if left_out:
        note(f"only one of the two has {', '.join(left_out)}: left out")


def _averages(results: "Sequence[StoredResult]") -> "Averages":
    from quarry.retriever.benchmark.results.averages import averages

    return averages(score for result in results for score in result.task_scores())


def _draw(picture: Path | None, found: "dict[str, Averages]") -> None:
    if picture is None:
        return
    from quarry.retriever.benchmark.results.tables import draw_radar

    draw_radar(picture, found)
    note(f"picture: {picture}")


def _row(each: "TaskComparison") -> tuple[str, ...]:
    interval = "-" if isnan(each.low) else f"{each.low:+.2f} to {each.high:+.2f}"
    p = "-" if isnan(each.p) else f"{each.p:.4f}"
    return (
        each.task, f"{each.before:.2f}", f"{each.after:.2f}", f"{each.difference:+.2f}", interval, p, str(each.count), each.verdict,
    )  # fmt: skip  # one row of a table


def show_released(data: Path, into: Path | None, device: str, *, as_json: bool) -> None:
    """Print published averages of released models, and ours beside them where the weights are on this machine.

    With `into`, models that are here are scored first, on the tasks whose data is in `data`.
    """
    from quarry.indexer.models.source import find_cached
    from quarry.retriever.benchmark.results.published import published, published_table

    here = [model for model in dict.fromkeys(row.model for row in published()) if find_cached(model)[0] is not None]
    ours: dict[tuple[str, str], Averages] = {}
    for row in published() if into is not None else ():
        if row.model in here and into is not None:
            found = _scored(row.model, row.benchmark, data, into, device)
            if found is not None:
                ours[row.model, row.benchmark] = found
    if as_json:
        rows = [
            {
                **fields(row),
                "here": row.model in here,
                "ours": fields(found) if (found := ours.get((row.model, row.benchmark))) else None,
            }
            for row in published()
        ]
        out_json(rows)
    else:
        out(published_table(published(), ours, here))
        note(f"{len(here)} of {len({row.model for row in published()})} models are on this machine")


def _scored(model: str, benchmark: str, data: Path, into: Path, device: str) -> "Averages | None":
    """Score a model that is here on the tasks of a benchmark whose data is here; None when there is none."""
    from quarry.app.wiring import choose_model
    from quarry.indexer.errors import CorpusError
    from quarry.retriever.benchmark.results.averages import TaskScore, averages
    from quarry.retriever.benchmark.run import run_benchmark
    from quarry.retriever.benchmark.tasks.choices import chosen

    try:
        choices = chosen(benchmark, data).choices
    except CorpusError as err:
        note(f"{model}, {benchmark}: {err}")
        return None
    embedder = choose_model(model, device=device).embedder
    if embedder is None:
        return None
    results = run_benchmark(embedder, choices, into, progress=lambda message: note(f"{model}: {message}"))
    return averages([TaskScore(each.task, each.kind, 100 * each.score) for each in results])


def print_results(results: "list[BenchmarkResult]", into: Path, facts: dict[str, Any], *, as_json: bool) -> None:
    """Print a row per task."""
    if as_json:
        out_json({**facts, "tasks": [fields(r) for r in results]})
        return
    table(
        [
            (r.task, r.kind, r.measure, f"{r.score:.4f}", r.size, " ".join(r.languages), f"{r.seconds:.0f}")
            for r in results
        ],
        ("task", "kind", "measure", "score", "scored", "languages", "seconds"),
    )
    out(f"mteb's results: {into / 'results'}")


def print_choices(choices: "list[Choice]", *, as_json: bool) -> None:
    """Print what could be scored, with its task types."""
    from quarry.retriever.benchmark.tasks.task_data import TaskChoice, kinds_of

    rows = [
        (choice.folder.name, list(kinds_of(choice.folder)))
        if isinstance(choice, TaskChoice)
        else (choice.name, [choice.kind])
        for choice in choices
    ]
    if as_json:
        out_json([{"name": name, "kinds": kinds} for name, kinds in rows])
    else:
        table([(name, ", ".join(kinds)) for name, kinds in rows], ("dataset", "task types"))
