"""The one door to the loop: `tune` for an embedder, `tune_reranker` for a reranker, by what the plan says."""

from pathlib import Path

from quarry.training.tuning.embedder_loop import TuningReport, tune
from quarry.training.tuning.plan import TuningObserver, TuningPlan
from quarry.training.tuning.reranker_loop import tune_reranker


def run_loop(
    index: Path, plan: TuningPlan, *, run: str | None = None, observer: TuningObserver | None = None
) -> TuningReport:
    """Tune what the plan says. Arguments and errors are those of `quarry.training.tuning.embedder_loop.tune` and `tune_reranker`."""
    loop = tune_reranker if plan.what == "reranker" else tune
    return loop(index, plan, run=run, observer=observer)
