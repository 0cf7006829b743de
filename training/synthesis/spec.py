"""What `quarry synthesize` is asked for, and what comes of it."""

from dataclasses import dataclass, field
from pathlib import Path

from quarry.indexer.lexical.languages import LANGUAGES
from quarry.training.examples.reasons import Counts
from quarry.training.synthesis.tasks import KINDS, TaskKind


@dataclass(frozen=True, slots=True)
class SynthesisSpec:
    """What is asked for.

    Attributes:
        rows: How many rows, over all kinds and languages alike.
        kinds: Kinds of tasks.
        languages: Two letters each, of `quarry.indexer.lexical.languages.LANGUAGES`; in turn.
        personas: File of personas; None for the built-in ones.
        seed: Of the draws.
        parallel: Requests at a time.

    Raises:
        ValueError: If there is nothing to ask for.
    """

    rows: int
    kinds: tuple[TaskKind, ...] = KINDS
    languages: tuple[str, ...] = ("en", "zh")
    personas: Path | None = None
    seed: int = 0
    parallel: int = 4

    def __post_init__(self) -> None:
        if self.rows < 1 or not self.kinds or not self.languages or set(self.kinds) - set(KINDS):
            raise ValueError(
                f"rows {self.rows}, kinds {self.kinds}, languages {self.languages}; expected at least one of each, kinds among {KINDS}"
            )
        if unknown := set(self.languages) - set(LANGUAGES):
            raise ValueError(f"unknown languages {sorted(unknown)}; expected some of {', '.join(sorted(LANGUAGES))}")

    @property
    def without_personas(self) -> tuple[str, ...]:
        """The languages that have no built-in personas of their own: the English ones stand in."""
        return () if self.personas else tuple(each for each in self.languages if each not in ("en", "zh"))


@dataclass(frozen=True, slots=True)
class SynthesisReport:
    """What came of it.

    Attributes:
        file: The rows.
        digest: SHA-256 of the file.
        rows: Rows by kind.
        instructions: Different ones by kind.
        personas: How many were drawn, and how many lines of their file are none.
        asked: Requests that were sent; those kept from an earlier run are not.
        dropped: What could not be used, by reason.
    """

    file: Path
    digest: str
    rows: dict[str, int]
    instructions: dict[str, int]
    personas: tuple[int, int]
    asked: int
    dropped: Counts = field(default_factory=dict)
