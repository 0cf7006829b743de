"""The closed loop, from what users said to a better model that answers, or a refusal with its reasons.

    sources -> examples -> split by query -> mined negatives        data (a room of its own)
    -> fine-tuned in the run's folder, then inside the index        embedder, reranker, second_stage (`Subject`s: subject), candidates
    -> embedder: passages encoded beside the live ones              quarry.indexer.build.build_candidate
    -> held-out queries and the general set, live against tuned     trials; reranker.trials, reranker.base
    -> verdict                                                      gate
    -> one switch, or the candidate is removed                      promotion, when it is its turn (turn); quarry.indexer.lake.relabel

The door is `tune`, in `loop`: one loop for all three. It reads the `TuningPlan` (plan) and hands its parts on. A person sees
numbered steps (steps) and, for an embedder, how long they will take (embedder.estimate).
All that a run makes is in its folder (run), so an interrupted run resumes. Searches are answered by the live generation
throughout. Afterwards: which models answered (history), `roll_back` (promotion), and what changed for real users (drift).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarry.training.tuning.loop import TuningReport, tune
    from quarry.training.tuning.plan import TuningObserver, TuningPlan, TuningSources

_HOMES = {
    "TuningReport": "loop",
    "tune": "loop",
    "TuningObserver": "plan",
    "TuningPlan": "plan",
    "TuningSources": "plan",
}
__all__ = ["TuningObserver", "TuningPlan", "TuningReport", "TuningSources", "tune"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module at the first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
