"""What users said in, a better model out. The public names; heavy libraries load when they are used.

    feedback    what users did, kept in a log, and the judgements that follow from it      FeedbackLog
    examples    query, positives and negatives: from the log, files, documents, a language model; split by query
    negatives   hard negatives mined from the index and the files                          mine_negatives
    pairs       training rows out of documents and structured files, at any size           make_pairs
    synthesis   training rows that a language model writes                                 synthesize
    fit         examples in, a trained model folder out                                    finetune, finetune_reranker
    merging     the best mixture of a tuned embedder and its base                          keep_share
    tuning      all of it as one loop that ends in a promotion or a refusal                tune
    recipes     how the small models that ship with Quarry were made

Example:
    >>> from pathlib import Path
    >>> from quarry.training import FeedbackEvent, FeedbackLog
    >>> with FeedbackLog.open(Path("feedback.db")) as log:
    ...     log.append(FeedbackEvent("how do plants make sugar", "answer", "anna", "000001", "a.md#0-80", "a.md"))
    1
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quarry.training.examples.rows import TrainingRow, read_training_rows, write_training_rows
    from quarry.training.feedback.events import FeedbackEvent
    from quarry.training.feedback.log import FeedbackLog
    from quarry.training.fit.embedder import finetune
    from quarry.training.fit.reranker import finetune_reranker
    from quarry.training.fit.spec import RerankerSpec, TrainSpec
    from quarry.training.negatives.mine import mine_negatives
    from quarry.training.negatives.spec import NegativeSpec
    from quarry.training.tuning.history import history
    from quarry.training.tuning.loop import TuningReport, tune
    from quarry.training.tuning.plan import TuningObserver, TuningPlan, TuningSources
    from quarry.training.tuning.promotion import roll_back

_HOMES = {
    "FeedbackEvent": "feedback.events",
    "FeedbackLog": "feedback.log",
    "NegativeSpec": "negatives.spec",
    "RerankerSpec": "fit.spec",
    "TrainSpec": "fit.spec",
    "TrainingRow": "examples.rows",
    "TuningObserver": "tuning.plan",
    "TuningPlan": "tuning.plan",
    "TuningReport": "tuning.loop",
    "TuningSources": "tuning.plan",
    "finetune": "fit.embedder",
    "finetune_reranker": "fit.reranker",
    "history": "tuning.history",
    "mine_negatives": "negatives.mine",
    "read_training_rows": "examples.rows",
    "roll_back": "tuning.promotion",
    "tune": "tuning.loop",
    "write_training_rows": "examples.rows",
}
__all__ = [
    "FeedbackEvent",
    "FeedbackLog",
    "NegativeSpec",
    "RerankerSpec",
    "TrainSpec",
    "TrainingRow",
    "TuningObserver",
    "TuningPlan",
    "TuningReport",
    "TuningSources",
    "finetune",
    "finetune_reranker",
    "history",
    "mine_negatives",
    "read_training_rows",
    "roll_back",
    "tune",
    "write_training_rows",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module at the first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'quarry.training' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(f"quarry.training.{_HOMES[name]}"), name)
