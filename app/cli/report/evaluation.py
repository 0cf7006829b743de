"""The page of `quarry evaluate --html`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from quarry.app.cli.headings import headings
from quarry.app.cli.report.charts import Bar, bars
from quarry.app.cli.report.page import Page
from quarry.app.words import InterfaceLanguage
from quarry.indexer.messages import Message

if TYPE_CHECKING:
    from quarry.retriever.data.datasets import Dataset
    from quarry.retriever.evaluation.compare import Comparison
    from quarry.retriever.evaluation.evaluate import Mean
    from quarry.retriever.evaluation.routes import RouteEvaluation
    from quarry.retriever.evaluation.slices import Slice

    Sliced = Mapping[str, Mapping[str, tuple[Slice, ...]]]


def evaluation_page(
    data: "Dataset",
    found: "Mapping[str, RouteEvaluation]",
    compared: "Mapping[str, Comparison]",
    sliced: "Sliced",
    language: InterfaceLanguage,
) -> Page:
    """Return the page of an evaluation; the first route is the baseline."""
    page = Page(f"{data.name} ({data.split})", language)
    head, measures = headings(language), list(next(iter(found.values())).evaluation.measures)
    first = measures[0]
    count = next(iter(found.values())).evaluation.means[first].count
    page.paragraph(
        page.say(
            Message.of(
                "cli.report_queries", "{count:judged query|judged queries}; bars show 95 % intervals", count=count
            )
        )
    )
    page.heading(page.say(Message.of("cli.report_methods", "Search methods")))
    page.picture(bars(first, [_bar(name, one.evaluation.means[first]) for name, one in found.items()]))
    stages = page.say(Message.of("cli.report_milliseconds", "ms per query"))
    page.table(
        (page.say(Message.of("cli.report_method", "method")), *measures, stages),
        [
            (
                name,
                *(f"{one.evaluation.means[measure].value:.4f}" for measure in measures),
                ", ".join(f"{stage} {value:.1f}" for stage, value in one.milliseconds.items()),
            )
            for name, one in found.items()
        ],
    )
    baseline = next(iter(found))
    for name, one in compared.items():
        page.paragraph(f"{name} {head['against']} {baseline}: {page.say(one.message())}")
    for name, result in found.items():
        for loss in result.degraded:
            page.paragraph(f"{name}: {page.say(loss)}")
    for by, routes in sliced.items():
        page.heading(by)
        for route, parts in routes.items():
            rows = [_bar(f"{part.name} ({len(part.query_ids)})", part.means[first]) for part in parts]
            page.heading(f"{route}, {first}", level=3)
            page.picture(bars(f"{route}, {first}, {by}", rows))
    return page


def _bar(label: str, mean: "Mean") -> Bar:
    return Bar(label, mean.value, mean.low, mean.high)
