"""What `quarry tune --what queries` learns from judgements: one direction that the vector of every question moves in.

    q' = q + s, to unit length

and a number that is added to the log-odds of BM25's weight in the fusion (`quarry.retriever.stages.balance`).

Questions and passages lie in different parts of the space where they are written in different ways: a keyword and a page, a question in
Chinese and a text in English. `s` is what stood between the questions that were judged and the passages that answer them
(`quarry.training.tuning.query_shift.learning`). No passage is encoded again. Answers are weighed by the question's own vector, so that
refusals keep their promise (`quarry.retriever.answers.evidence`).
"""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.storage.facts import RerankerFacts
from quarry.indexer.storage.files.tensors import learned_tensors

NAME = "query_shift.safetensors"
_LEAST_LENGTH = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class QueryShift:
    """The direction, with its length, and how much more BM25 counts.

    Attributes:
        shift: Shape (dim,), float32; zeros change nothing.
        fusion: Added to the log-odds of BM25's weight; 0 changes nothing.
    """

    shift: Vectors
    fusion: float = 0.0

    def __call__(self, vectors: Vectors) -> Vectors:
        """Return the questions' vectors moved, unit rows, shape (n, dim).

        Example:
            >>> import numpy as np
            >>> moved = QueryShift(np.array([0.0, 1.0], dtype=np.float32))(np.array([[1.0, 0.0]], dtype=np.float32))
            >>> [round(float(value), 4) for value in moved[0]]
            [0.7071, 0.7071]
        """
        rows = vectors + self.shift
        found: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _LEAST_LENGTH)
        return found.astype(np.float32)

    def save(self, folder: Path) -> Path:
        """Write it into a folder, which is made; returns the folder."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        fusion = np.array([self.fusion], dtype=np.float32)
        save_file({"shift": np.ascontiguousarray(self.shift), "fusion": fusion}, folder / NAME)
        return folder

    @classmethod
    def load(cls, folder: Path, dim: int | None = None) -> Self:
        """Read it.

        Args:
            folder: Written by `save`.
            dim: Length of the index's vectors; None does not check.

        Raises:
            ModelError: If it is missing or damaged, or made for vectors of another length.
        """
        path = folder / NAME
        try:
            found = learned_tensors(path)
            shift = found["shift"]
        except (OSError, ValueError, KeyError) as err:
            raise _unreadable(path, str(err)) from err
        fusion = found.get("fusion", np.zeros(1, dtype=np.float32))  # older ones only have the direction
        if shift.ndim != 1 or dim not in (None, len(shift)) or fusion.shape != (1,):
            raise _unreadable(path, str(shift.shape))
        return cls(shift, float(fusion[0]))


class RecordedShift:
    """The shift that an index records, read at the first question. Safe to share between threads."""

    def __init__(self, folder: Path, dim: int, run: str) -> None:
        """Say where it is; `run` is the one that learned it."""
        self._folder, self._dim, self._run = folder, dim, run
        self._lock = Lock()
        self._found: QueryShift | ModelError | None = None

    @classmethod
    def of(cls, index: Index) -> Self | None:
        """Return the shift of an index; None when it records none."""
        recorded: RerankerFacts | None = index.manifest.query_shift
        if recorded is None or index.vectors is None:
            return None
        return cls(index.root / recorded.folder, index.vectors.dim, recorded.run)

    @classmethod
    def given(cls, shift: QueryShift, run: str) -> Self:
        """Return one that is in memory, for judging it."""
        found = cls(Path(), len(shift.shift), run)
        found._found = shift
        return found

    def get(self) -> QueryShift:
        """Return the shift.

        Raises:
            ModelError: If it cannot be read; remembered.
        """
        with self._lock:
            if self._found is None:
                try:
                    self._found = QueryShift.load(self._folder, self._dim)
                except ModelError as err:
                    self._found = err
            if isinstance(self._found, ModelError):
                raise self._found
            return self._found

    def fusion(self) -> float:
        """Return what is added to the log-odds of BM25's weight; 0 where the shift cannot be read, which the dense stage reports."""
        try:
            return self.get().fusion
        except ModelError:
            return 0.0

    def apply(self, vectors: Vectors) -> tuple[Vectors, Message | None, bool]:
        """Return the questions' vectors, moved where the shift can be read; what to say of it; and whether it could be read."""
        try:
            shift = self.get()
        except ModelError as err:
            return vectors, err.message, False
        if not shift.shift.any():  # only BM25's weight was learned
            return vectors, None, True
        moved = shift(vectors)
        told = Message.of("stages.questions_moved", "questions move as judgements taught (run {run})", run=self._run)
        return moved, told, True


def _unreadable(path: Path, error: str) -> ModelError:
    return ModelError(
        "stages.query_shift",
        "{path} is no query shift of this index ({error})",
        expected="the one that `quarry tune --what queries` wrote",
        do="Put it back, or take it back with `quarry models rollback INDEX`",
        path=path,
        error=error,
    )
