"""The page of `quarry diagnose --html`."""

from typing import TYPE_CHECKING

from quarry.app.cli.report.charts import Axes, histogram, lines
from quarry.app.cli.report.page import Page
from quarry.app.words import InterfaceLanguage
from quarry.indexer.messages import Message

if TYPE_CHECKING:
    from quarry.retriever.diagnosis.index import Diagnosis


def diagnosis_page(found: "Diagnosis", language: InterfaceLanguage) -> Page:
    """Return the page of a diagnosis."""
    page = Page(f"{found.model}: {found.dataset} ({found.split})", language)
    page.paragraph(
        page.say(
            Message.of(
                "cli.report_diagnosed",
                "{queries:query|queries}, {pairs:relevant pair|relevant pairs}, {passages:passage|passages}, {dim} dimensions",
                queries=found.queries,
                pairs=found.relevant_pairs,
                passages=found.passages,
                dim=found.dim,
            )
        )
    )
    _similarities(page, found)
    _lengths(page, found)
    _depths(page, found)
    for note in found.notes:
        page.paragraph(page.say(note))
    return page


def _similarities(page: Page, found: "Diagnosis") -> None:
    title = page.say(Message.of("cli.report_similarities", "Similarity of relevant and random pairs"))
    relevant = page.say(Message.of("cli.report_relevant", "relevant pairs"))
    random = page.say(Message.of("cli.report_random", "random pairs"))
    share = page.say(Message.of("cli.report_share", "share of pairs"))
    shown = found.histograms
    counts = {relevant: shown.positives, random: shown.random}
    shares = {name: [value / max(sum(values), 1) for value in values] for name, values in counts.items()}
    page.heading(title)
    page.picture(
        histogram(title, Axes(page.say(Message.of("cli.report_cosine", "cosine")), share), list(shown.edges), shares)
    )
    page.paragraph(
        page.say(
            Message.of(
                "cli.report_threshold",
                "threshold on the dense score: {threshold:.4f} (rejects {rejects:.1%} of relevant pairs, accepts {accepts:.1%} of random "
                "ones); for this model only",
                threshold=found.band.threshold,
                rejects=found.band.false_rejects,
                accepts=found.band.false_accepts,
            )
        )
    )


def _lengths(page: Page, found: "Diagnosis") -> None:
    title = page.say(Message.of("cli.report_lengths", "Shorter vectors"))
    page.heading(title)
    dimensions = page.say(Message.of("cli.report_dimensions", "dimensions"))
    points = [(float(one.dim), one.ndcg) for one in found.dimensions]
    page.picture(lines(title, Axes(dimensions, "nDCG@10"), {"nDCG@10": points}))
    page.table((dimensions, "nDCG@10"), [(str(one.dim), f"{one.ndcg:.4f}") for one in found.dimensions])


def _depths(page: Page, found: "Diagnosis") -> None:
    title = page.say(Message.of("cli.report_depths", "Quality of the first k documents"))
    recall = page.say(Message.of("cli.report_recall", "recall"))
    page.heading(title)
    for label, series in (
        ("nDCG", {route: [(float(p.k), p.ndcg) for p in points] for route, points in found.depths.items()}),
        (recall, {route: [(float(p.k), p.recall) for p in points] for route, points in found.depths.items()}),
    ):
        page.picture(lines(f"{title}: {label}", Axes("k", label), series))
    page.table(
        ("", "k", "nDCG", recall),
        [
            (route, str(p.k), f"{p.ndcg:.4f}", f"{p.recall:.4f}")
            for route, points in found.depths.items()
            for p in points
        ],
    )
