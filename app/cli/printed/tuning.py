"""What `quarry tune` prints at its end."""

from pathlib import Path

from quarry.app.cli.console import out
from quarry.indexer.stores.lake.view import place_of
from quarry.training.tuning.candidates import loading_lines
from quarry.training.tuning.loop import TuningReport
from quarry.training.tuning.plan import TuningPlan
from quarry.training.tuning.search.parts import SearchParts


def print_report(index: Path, report: TuningReport, plan: TuningPlan) -> None:
    """Print what a run did, what it was compared with, and what is live now."""
    counts = ", ".join(f"{count} {name}" for name, count in report.examples.items())
    out(f"run {report.run}: {counts}")
    before, after = report.dev
    if before is not None and after is not None:
        kept = "" if report.against else f", {report.share:.0%} of the tuned weights kept"
        out(f"  dev nDCG@10 {before:.4f} -> {after:.4f}{kept}")
    if compared := _compared(report, plan):
        out(f"  {compared}")
    out(f"  route {plan.route}")
    for figures in report.verdict.figures():
        out(f"  {figures}")
    for refusal in report.verdict.refusals:
        out(f"  refused: {refusal}")
    if report.promoted:
        against = ", against the verdict" if report.forced else ""
        out(
            f"generation {report.generation} is live with the tuned {_noun(plan)}{against}; undo: quarry models rollback {place_of(index)}"
        )
    elif report.verdict.promote:
        out(f"eligible for promotion, but --no-promote was given; generation {report.generation} stays live")
    else:
        out(f"generation {report.generation} stays live")
    out(f"the tuned {_noun(plan)} is in {report.model}")
    for line in loading_lines(plan.what, report.model):
        out(f"  {line}")


def _noun(plan: TuningPlan) -> str:
    return {"reranker": "reranker", "second-stage": "second stage", "queries": "query shift", "search": "search"}.get(
        plan.what, "model"
    )


def _compared(report: TuningReport, plan: TuningPlan) -> str:
    """Return what the tuned one was compared with; empty for the embedder."""
    if plan.what == "second-stage":
        return f"compared with the second stage that answers now, each ordering the top {plan.rerank_depth}; gain {report.share:g}"
    if plan.what == "queries":
        return "compared with questions as they are answered now"
    if plan.what == "search":
        learned = ", ".join(map(str, SearchParts.load(report.model).named())) or "no part, as none gains alone"
        return f"compared with the search as it is now; learned: {learned}"
    return f"compared with {report.against}, each reranking the top {plan.rerank_depth}" if report.against else ""
