"""The page of `quarry compare --html`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from quarry.app.cli.headings import headings
from quarry.app.cli.report.charts import Bar, bars, differences
from quarry.app.cli.report.page import Page
from quarry.app.words import InterfaceLanguage
from quarry.indexer.messages import Message

if TYPE_CHECKING:
    from quarry.retriever.evaluation.cases import Case, Cases
    from quarry.retriever.evaluation.compare import Comparison
    from quarry.retriever.evaluation.judged_runs import JudgedRun

    Sliced = Mapping[str, Mapping[str, Mapping[str, Comparison]]]


def comparison_page(
    sides: "Mapping[str, JudgedRun]",
    compared: "Mapping[str, Comparison]",
    sliced: "Sliced",
    examples: "Mapping[str, Cases]",
    language: InterfaceLanguage,
) -> Page:
    """Return the page of a comparison; the first run is the baseline."""
    measure = next(iter(compared.values())).measure
    page = Page(page_title(sides), language)
    page.heading(measure)
    means = {name: side.evaluation.means[measure] for name, side in sides.items()}
    page.picture(bars(measure, [Bar(name, mean.value, mean.low, mean.high) for name, mean in means.items()]))
    for name, one in compared.items():
        _section(page, f"{name} {headings(language)['against']} {next(iter(sides))}", one, sliced[name])
        for heading, cases in (("wins", examples[name].wins), ("losses", examples[name].losses)):
            _cases(page, headings(language), heading, cases)
    return page


def page_title(sides: "Mapping[str, JudgedRun]") -> str:
    """Return the runs' names."""
    return " / ".join(sides)


def _section(page: Page, title: str, one: "Comparison", sliced: "Mapping[str, Mapping[str, Comparison]]") -> None:
    head = headings(page.language)
    page.heading(title)
    page.paragraph(page.say(one.message()))
    label = page.say(Message.of("cli.report_by_query", "queries, largest gain of {measure} first", measure=one.measure))
    page.picture(differences(f"{title}: {label}", label, list(one.deltas.values())))
    for by, parts in sliced.items():
        rows = [
            (
                value,
                str(part.count),
                f"{part.before:.4f}",
                f"{part.after:.4f}",
                f"{part.difference:+.4f}",
                f"{part.low:+.4f} … {part.high:+.4f}",
                head[part.verdict],
            )
            for value, part in parts.items()
        ]
        page.table(
            (by, head["queries"], head["before"], head["after"], head["difference"], "95 %", head["verdict"]), rows
        )


def _cases(page: Page, head: Mapping[str, str], heading: str, cases: "Sequence[Case]") -> None:
    if not cases:
        return
    page.heading(head[heading], level=3)
    rows = [
        (
            case.query_id if case.text == case.query_id else f"{case.query_id}: {case.text}",
            f"{case.before:.4f}",
            f"{case.after:.4f}",
            f"{case.delta:+.4f}",
            " → ".join(f"#{rank}" if rank else head["none"] for rank in (case.rank_before, case.rank_after)),
        )
        for case in cases
    ]
    page.table((head["queries"], head["before"], head["after"], head["difference"], head["first relevant"]), rows)
