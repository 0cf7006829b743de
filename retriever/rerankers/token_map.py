"""What `quarry tune --what second-stage` learns: a small change of the query's token vectors, and how much it counts.

    q' = q + A q, to unit length
    score = (score of the plain second stage) + gain * z(MaxSim of q' with the passage)

A is square, of the stored vectors' size. Because q'p = q (I + A) p, a map of the query's side alone is as good as one between the two
sides: nothing that is stored changes, and nothing is encoded again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import ModelError
from quarry.indexer.storage.files.tensors import learned_tensors

NAME = "second_stage.safetensors"


@dataclass(frozen=True, slots=True)
class TokenMap:
    """The map, and the weight of its MaxSim.

    Attributes:
        change: A, shape (dim, dim), float32; zeros change nothing.
        gain: At least 0.
    """

    change: NDArray[np.float32]
    gain: float

    def __call__(self, asked: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the query's token vectors changed, unit rows, shape (n_tokens, dim).

        Example:
            >>> import numpy as np
            >>> swap = np.array([[-1, 1], [1, -1]], dtype=np.float32)
            >>> TokenMap(swap, 1.0)(np.array([[1.0, 0.0]], dtype=np.float32)).tolist()
            [[0.0, 1.0]]
        """
        rows = asked + asked @ self.change.T
        found: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        return found

    def save(self, folder: Path) -> Path:
        """Write it into a folder, which is made; returns the folder."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"change": np.ascontiguousarray(self.change), "gain": np.array([self.gain], dtype=np.float32)}
        save_file(tensors, folder / NAME)
        return folder

    @classmethod
    def load(cls, folder: Path, dim: int | None = None) -> Self:
        """Read it.

        Args:
            folder: Written by `save`.
            dim: Length of the stored vectors that it is for; None does not check.

        Raises:
            ModelError: If it is missing or damaged, or made for vectors of another length.
        """
        path = folder / NAME
        try:
            tensors = learned_tensors(path)
            change, gain = tensors["change"], float(tensors["gain"][0])
        except (OSError, ValueError, KeyError, IndexError) as err:
            raise _unreadable(path, str(err)) from err
        if change.ndim != 2 or len(change) != change.shape[1] or dim not in (None, len(change)):
            raise _unreadable(path, str(change.shape))
        return cls(change, gain)


def _unreadable(path: Path, error: str) -> ModelError:
    return ModelError(
        "rerankers.token_map",
        "{path} is no tuned second stage of this index ({error})",
        expected="the one that `quarry tune --what second-stage` wrote",
        do="Put it back, or take it back with `quarry models rollback INDEX`",
        path=path,
        error=error,
    )
