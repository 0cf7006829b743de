"""Compared runs as tables with the cases that were won and lost, and as JSON."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quarry.app.cli.console import cut, fields, out, table
from quarry.app.cli.headings import headings
from quarry.app.words import InterfaceLanguage
from quarry.app.words import words as in_language

if TYPE_CHECKING:
    from quarry.retriever.evaluation.cases import Case, Cases, ShownDocument
    from quarry.retriever.evaluation.compare import Comparison
    from quarry.retriever.evaluation.judged_runs import JudgedRun

    SliceTable = dict[str, dict[str, Comparison]]

_COLUMN = 58  # cells, so that two fit in a terminal of 120


def comparison_report(
    measure: str,
    sides: "dict[str, JudgedRun]",
    compared: "dict[str, Comparison]",
    sliced: "dict[str, SliceTable]",
    examples: "dict[str, Cases]",
    language: InterfaceLanguage,
) -> dict[str, Any]:
    """Return what `--json` prints."""
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


def print_runs(sides: "dict[str, JudgedRun]", measure: str, language: InterfaceLanguage) -> None:
    """Print a row per run."""
    words = headings(language)
    rows = []
    for name, side in sides.items():
        mean = side.evaluation.means[measure]
        interval = f"{mean.low:.4f}-{mean.high:.4f}" if mean.low is not None and mean.high is not None else "-"
        what = f"{side.meta.dataset} {side.meta.route} {side.meta.model}".strip() if side.meta else words["run file"]
        rows.append((name, f"{mean.value:.4f}", interval, str(mean.count), f"{side.evaluation.judged:.2f}", what))
    table(rows, (words["run"], measure, "95 %", words["queries"], "Judged@10", words["what"]))


def print_comparison(
    baseline: str,
    name: str,
    comparison: "Comparison",
    sliced: "SliceTable",
    examples: "Cases",
    language: InterfaceLanguage,
) -> None:
    """Print the verdict on one run, slices, wins and losses."""
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
