"""Which models answered when: the steps of an index's history, with the promotion that each began with."""

from dataclasses import dataclass, replace
from pathlib import Path

from quarry.indexer.messages import Message
from quarry.indexer.storage.facts import Lineage, RerankerFacts
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Step:
    """One time that a model went live.

    Attributes:
        generation: Which generation it answered with first.
        at: UTC time, ISO 8601.
        reason: Why the switch was made.
        model: Its id; empty for a lexical-only index.
        revision: Commit or content digest.
        lineage: How it came to be, None for a model that was not tuned here or whose generation is gone.
        live: Whether it answers now.
        kept: Whether the generation is still on disk.
        reranker: The tuned reranker that it answered with, None without one.
        second_stage: The tuned second stage, None without one.
        query_shift: What it had learned about questions, None when nothing.
    """

    generation: str
    at: str
    reason: Message
    model: str
    revision: str
    lineage: Lineage | None
    live: bool
    kept: bool
    reranker: RerankerFacts | None = None
    second_stage: RerankerFacts | None = None
    query_shift: RerankerFacts | None = None

    @property
    def newest(self) -> Lineage | RerankerFacts | None:
        """The newest promotion that it has."""
        return newest_promotion(self.lineage, self.reranker, self.second_stage, self.query_shift)

    @property
    def run(self) -> str:
        """The run of the newest promotion that it has; empty without one."""
        return self.newest.run if self.newest else ""


def newest_promotion(lineage: Lineage | None, *others: RerankerFacts | None) -> Lineage | RerankerFacts | None:
    """Return which of them went live last; of the same second, the last argument."""
    found: Lineage | RerankerFacts | None = None
    for one in (lineage, *others):
        if one is not None and (found is None or one.promoted >= found.promoted):
            found = one
    return found


def of_one_run(one: Lineage | RerankerFacts | None, other: Lineage | RerankerFacts | None) -> bool:
    """Whether two parts went live together, so that they are taken back together."""
    return one is not None and other is not None and one.run == other.run


def history(index: Path) -> list[Step]:
    """Return each change of the model or the reranker, oldest first, out of the pointer's history (its last 50 switches)."""
    generations = Generations(index)
    pointer = generations.pointer()
    kept = set(generations.finished())
    steps: list[Step] = []
    seen: tuple[str, ...] = ()
    for switch in pointer.history:
        manifest = Manifest.read(generations.folder / switch.generation) if switch.generation in kept else None
        facts = manifest.embedder if manifest else None
        reranker = manifest.reranker if manifest else None
        second = manifest.second_stage if manifest else None
        shift = manifest.query_shift if manifest else None
        models = (
            facts.fingerprint if facts else "",
            reranker.digest if reranker else "",
            second.digest if second else "",
            shift.digest if shift else "",
        )
        if manifest is not None and models == seen and steps:
            continue  # other documents, same models
        seen = models
        spec = facts.to_spec() if facts else None
        steps.append(
            Step(
                generation=switch.generation,
                at=switch.at,
                reason=switch.reason,
                model=spec.model if spec else "",
                revision=spec.revision if spec else "",
                lineage=manifest.lineage if manifest else None,
                live=False,
                kept=manifest is not None,
                reranker=reranker,
                second_stage=second,
                query_shift=shift,
            )
        )
    return [*steps[:-1], replace(steps[-1], live=True)] if steps else []
