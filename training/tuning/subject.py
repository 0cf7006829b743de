"""What the loop needs of the model that it tunes: an embedder, a reranker and a second stage differ only in this."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from quarry.indexer.embedder import Embedder
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.storage.manifest import Manifest
from quarry.retriever.data.datasets import Dataset
from quarry.retriever.diagnosis.vectors import ScoreBand
from quarry.training.tuning.data import TuningData
from quarry.training.tuning.gate import GateVerdict
from quarry.training.tuning.plan import TuningObserver
from quarry.training.tuning.run import TuningRun


@dataclass(frozen=True, slots=True)
class Fitted:
    """What training made, still in the run's folder.

    Attributes:
        folder: The model's folder.
        share: Share of the tuned weights in it; 1 when it was not merged with the base. Of a second stage, its gain.
        dev_before: nDCG@10 of the base model on the dev queries, in [0, 1]; None where unknown.
        dev_after: nDCG@10 of this model.
    """

    folder: Path
    share: float
    dev_before: float | None
    dev_after: float | None


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict, against the hardest rival.

    Attributes:
        verdict: The gate's verdict.
        against: The rival's name; empty for an embedder, whose only rival is the live one.
        band: Range for a threshold on the model's cosines; None for a reranker.
    """

    verdict: GateVerdict
    against: str = ""
    band: ScoreBand | None = None


class LiveStage(Protocol):
    """What answers now, and mines and filters the data of a run."""

    @property
    def index(self) -> Index:
        """The live generation."""
        ...

    @property
    def embedder(self) -> Embedder:
        """The generation's model."""
        ...


L = TypeVar("L", bound=LiveStage)
C = TypeVar("C")


class Subject(Protocol[L, C]):
    """What is tuned. `L` is what answers now, `C` the tuned model as a contender."""

    @property
    def root(self) -> Path:
        """The index folder."""
        ...

    def check(self) -> Manifest:
        """Return the live manifest, if there is something to tune; loads no model.

        Raises:
            IndexFormatError: If this is not an index, or it has no vectors.
            ModelError: If there is no model to begin with.
        """
        ...

    def open_live(self) -> L:
        """Open what answers now.

        Raises:
            ModelError: If a model cannot be loaded.
        """
        ...

    def announced(self, live: L, run: str) -> Message:
        """Return the run's first notice: what is tuned."""
        ...

    def train(self, live: L, data: TuningData, run: TuningRun, watch: TuningObserver) -> Fitted:
        """Train in the run's folder, or resume.

        Raises:
            TrainingError: If training fails; what was reached is kept.
        """
        ...

    def contender(self, model: Path, watch: TuningObserver) -> C:
        """Make the tuned model ready to be asked beside the live one; `model` is its folder inside the index."""
        ...

    def judge(self, live: L, tuned: C, held_out: Dataset, run: TuningRun, watch: TuningObserver) -> Judged:
        """Compare both on the held-out queries and on the general set."""
        ...

    def promote(self, live: L, tuned: C, judged: Judged, run: str) -> str:
        """Let the tuned model answer; returns the generation that is live then.

        Raises:
            IndexMismatchError: If the live one does not answer any more.
            IndexBusyError: If another process is writing.
        """
        ...
