"""What a build did, counted."""

from dataclasses import dataclass, field

from quarry.indexer.build.intake import Intake
from quarry.indexer.build.steps import Filled
from quarry.indexer.corpus.listing import Skipped
from quarry.indexer.messages import Message


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Attributes:
        generation: The one that was made, or the live one when nothing had changed.
        switched: Whether a new generation went live.
        documents: In the generation.
        chunks: Passages in the generation.
        added: New documents.
        changed: Documents with another content than before.
        removed: Documents that are gone.
        unchanged: Documents that stayed as they were.
        encoded: Passages that the model encoded; others had vectors already.
        taken: Vectors of passages and titles that came out of shards (`BuildOptions.vectors`).
        skipped: What was left out, and why.
        seconds: By phase: `reading`, `cutting`, `encoding`, `storing`, `titles`, `lexical`, `probing`.
        left_out: What was left out of the documents of the generation, by kind (`quarry.indexer.readers.left_out`), with how many.
        words: How words are cut, where a new index was given another analyzer than the usual one.
    """

    generation: str
    switched: bool
    documents: int
    chunks: int
    added: int
    changed: int
    removed: int
    unchanged: int
    encoded: int
    skipped: tuple[Skipped, ...]
    seconds: dict[str, float]
    left_out: dict[str, int] = field(default_factory=dict)
    taken: int = 0
    words: Message | None = None


def report_of(
    generation: str,
    intake: Intake,
    counts: tuple[int, int],
    filled: Filled,
    seconds: dict[str, float],
    *,
    switched: bool,
) -> BuildReport:
    """Put together what a build did.

    Args:
        generation: The one that was made, or the live one.
        intake: What was taken in.
        counts: Documents and passages of the generation.
        filled: Where its vectors came from.
        seconds: By phase.
        switched: Whether a new generation went live.
    """
    return BuildReport(
        generation=generation,
        switched=switched,
        documents=counts[0],
        chunks=counts[1],
        added=intake.added,
        changed=intake.changed,
        removed=intake.removed,
        unchanged=intake.unchanged,
        encoded=filled.encoded,
        taken=filled.taken,
        skipped=tuple(intake.skipped),
        left_out=intake.left_out,
        seconds=seconds,
    )
