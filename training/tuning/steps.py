"""Which step of a run a stage begins, so that a person sees "step 3 of 7"."""

from typing import Literal

from quarry.indexer.messages import Message

What = Literal["embedder", "reranker", "second-stage", "queries", "search"]

NOTHING_ENCODED: tuple[What, ...] = ("second-stage", "queries", "search")  # learned from what is stored
JUDGED_TEACH: tuple[What, ...] = ("queries", "search")  # held-out questions teach after they have judged

_STEPS: dict[What, tuple[tuple[str, ...], ...]] = {
    "embedder": (
        ("tuning.begins",),
        ("tuning.mining",),
        ("tuning.training",),
        ("tuning.merging",),
        ("tuning.encoding",),
        ("tuning.asking_both",),
        ("tuning.general_both",),
    ),
    "reranker": (
        ("tuning.begins_reranker", "tuning.begins_head"),
        ("tuning.mining",),
        ("tuning.training",),
        ("tuning.asking_rerankers",),
        ("tuning.general_rerankers",),
    ),
    "second-stage": (
        ("tuning.begins_second_stage",),
        ("tuning.mining",),
        ("tuning.training",),
        ("tuning.asking_second_stages",),
        ("tuning.general_second_stages",),
    ),
    "queries": (
        ("tuning.begins_queries",),
        ("tuning.mining",),
        ("tuning.training",),
        ("tuning.asking_moved",),
        ("tuning.general_moved",),
    ),
    "search": (
        ("tuning.begins_search",),
        ("tuning.mining",),
        ("tuning.training",),
        ("tuning.asking_searches",),
        ("tuning.general_searches",),
    ),
}


def step_of(what: What, stage: Message) -> tuple[int, int] | None:
    """Return the number of the step that a stage begins, from 1, and how many steps there are; None for a notice within one.

    Example:
        >>> step_of("embedder", Message.of("tuning.mining", "mining negatives"))
        (2, 7)
    """
    steps = _STEPS[what]
    for number, codes in enumerate(steps, start=1):
        if stage.code in codes:
            return number, len(steps)
    return None
