"""Evaluated routes as a table, and as JSON."""

from typing import TYPE_CHECKING, Any

from quarry.app.cli.console import fields, note, out, table
from quarry.app.cli.headings import headings
from quarry.app.words import InterfaceLanguage, words

if TYPE_CHECKING:
    from quarry.retriever.data.datasets import Dataset
    from quarry.retriever.evaluation.compare import Comparison
    from quarry.retriever.evaluation.evaluate import Mean
    from quarry.retriever.evaluation.routes import RouteEvaluation
    from quarry.retriever.evaluation.slices import Slice


def evaluation_report(
    data: "Dataset",
    found: "dict[str, RouteEvaluation]",
    compared: "dict[str, Comparison]",
    sliced: "dict[str, dict[str, tuple[Slice, ...]]]",
) -> dict[str, Any]:
    """Return what `--json` prints."""
    return {
        "dataset": data.name,
        "split": data.split,
        "queries": len(data.queries),
        "routes": {
            name: {
                "means": {measure: fields(mean) for measure, mean in result.evaluation.means.items()},
                "ceiling": result.ceiling.value,
                "milliseconds": result.milliseconds,
                "degraded": [str(loss) for loss in result.degraded],
                "judged@10": result.evaluation.judged,
                "excluded": {query_id: str(reason) for query_id, reason in result.evaluation.excluded.items()},
                "unanswered": result.evaluation.unanswered,
                "slices": {by: [fields(part) for part in routes[name]] for by, routes in sliced.items()},
                "per_query": result.evaluation.per_query,
            }
            for name, result in found.items()
        },
        "comparisons": {name: {**fields(one), "verdict": one.verdict} for name, one in compared.items()},
    }


def print_evaluation(
    data: "Dataset",
    found: "dict[str, RouteEvaluation]",
    compared: "dict[str, Comparison]",
    baseline: str,
    lang: InterfaceLanguage,
) -> None:
    """Print a row per route, what each is against the first, and what was excluded or degraded."""
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
        out(f"{name} {headings(lang)['against']} {baseline}: {words(comparison.message(), lang)}")
    from quarry.retriever.evaluation.judged_runs import excluded_notes

    for message in excluded_notes(first.evaluation):
        note(f"note: {message}")
    for route, result in found.items():
        if result.evaluation.unanswered:
            ids = result.evaluation.unanswered
            note(f"note: {route}: {len(ids)} queries have no result and score 0 (first {ids[0]})")
        for reason in result.degraded:
            note(f"degraded ({route}): {reason}")


def print_slices(sliced: "dict[str, dict[str, tuple[Slice, ...]]]", measure: str) -> None:
    """Print a table per field: a row per value, a column per route."""
    for by, routes in sliced.items():
        out()
        out(f"{measure} (95 % interval) by {by}")
        parts = next(iter(routes.values()))
        rows = [
            (
                part.name,
                str(len(part.query_ids)),
                *(_with_interval(found[place].means[measure]) for found in routes.values()),
            )
            for place, part in enumerate(parts)
        ]
        table(rows, (by, "queries", *routes))


def _with_interval(mean: "Mean") -> str:
    """Return a mean with its 95 % interval, which too few queries have not."""
    if mean.low is None or mean.high is None:
        return f"{mean.value:.4f}"
    return f"{mean.value:.4f} ({mean.low:.4f}-{mean.high:.4f})"
