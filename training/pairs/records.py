"""What a run is told and what it reports."""

from dataclasses import dataclass, field
from pathlib import Path

from quarry.indexer.messages import Message
from quarry.indexer.readers.base import ReadOptions
from quarry.training.examples.reasons import Counts
from quarry.training.pairs.filters.cleaning import CleaningOptions
from quarry.training.pairs.filters.scoring import FilterRule


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How pairs are made.

    Attributes:
        rule: Which scored pairs stay.
        cleaning: What a pair must be.
        reading: Limits of reading.
        seed: For the random pairs.
        dropped: File for the pairs that were left out, with reasons; None writes none.
    """

    rule: FilterRule = FilterRule()
    cleaning: CleaningOptions = CleaningOptions()
    reading: ReadOptions = ReadOptions()
    seed: int = 0
    dropped: Path | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `given` pairs went in, `kept` came out, and `dropped` says for which reasons the others did not."""

    name: str
    given: int
    kept: int
    dropped: Counts


@dataclass(frozen=True, slots=True)
class PairReport:
    """What became of the pairs; each step is given what the one before kept.

    Attributes:
        file: The rows.
        digest: SHA-256 of the file.
        files: Files that were read.
        found: Pairs by kind.
        lost: Lines and files that gave no pair, by reason.
        problems: The first of them.
        steps: Cleaning, duplicates, unspecific, semantic.
        kept: Rows by kind.
        thresholds: Of the semantic filter.
        scorer: Model and revision; empty without one.
        notes: What the user should know.
    """

    file: Path
    digest: str
    files: int
    found: dict[str, int]
    lost: Counts
    problems: tuple[Message, ...]
    steps: tuple[Step, ...]
    kept: dict[str, int]
    thresholds: tuple[float, ...]
    scorer: str
    notes: tuple[Message, ...] = field(default=())
