"""What a training run needs of the model that it trains: an embedder and a reranker differ only in this."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from quarry.training.fit.batches import Draw
from quarry.training.fit.dev_score import DevSet


class Subject(Protocol):
    """What is trained."""

    @property
    def what(self) -> str:
        """`embedder` or `reranker`."""
        ...

    @property
    def base(self) -> str:
        """Name of the model that it starts from."""
        ...

    @property
    def model(self) -> Any:
        """The sentence-transformers model whose weights change."""
        ...

    def trainer(self, arguments: Mapping[str, Any], callback: Any) -> Any:
        """Return a trainer with `quarry.training.fit.trainer.Planned` in it."""
        ...

    def collate(self, draws: Sequence[Draw]) -> dict[str, Any]:
        """Return what the model and the loss read, for one batch."""
        ...

    def score(self, dev: DevSet) -> float:
        """Return nDCG@10 of the model as it is, in [0, 1]."""
        ...

    def write(self, folder: Path, digest: str, record: Mapping[str, Any]) -> None:
        """Write the model as a plain folder."""
        ...
