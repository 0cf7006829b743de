"""From a token's state to a few bytes: centered, projected to its main directions, one signed byte a dimension.

A token's state is that of two layers side by side (`quarry.indexer.models.forward.replica.token_layers`). A passage of 200 tokens costs
25 KB at 128 dimensions. Cosines of such vectors order passages as those of the full states do (docs/second_stage.md). The
directions are the principal components of token states of a fixed bilingual text, so that every index of one model has the same
ones, whatever it holds.
"""

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import TokenVectors

TOKEN_DIM = 128

TokenBytes: TypeAlias = NDArray[np.int8]
"""Compressed token states, shape (n_tokens, dim). Only the direction of a row means something."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What turns token states into short vectors.

    Attributes:
        mean: The mean state, shape (width,), float32.
        basis: Orthonormal columns, shape (width, dim), float32.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]

    @classmethod
    def fitted(cls, states: TokenVectors, dim: int = TOKEN_DIM, *, centered: bool = True) -> Self:
        """Take the principal components of token states.

        Args:
            states: Unit rows, shape (n, width); n should be several times the width.
            dim: How many components, at most the width.
            centered: Whether the mean is taken off first. It is most of a layer's state and says little. What a model's own head
                makes was trained to be compared as it is.

        Raises:
            ValueError: If there are no states.
        """
        if not len(states):
            raise ValueError("no token states; expected some to fit a projection on")
        mean = states.mean(axis=0, dtype=np.float64) if centered else np.zeros(states.shape[1])
        moved = states - mean
        _, vectors = np.linalg.eigh(moved.T @ moved)
        basis = vectors[:, ::-1][:, : min(dim, states.shape[1])]
        # an eigenvector's sign is arbitrary: fix it, so that every machine gets the same bytes
        basis = basis * np.where(basis[np.abs(basis).argmax(axis=0), np.arange(basis.shape[1])] < 0, -1.0, 1.0)
        return cls(mean.astype(np.float32), np.ascontiguousarray(basis, dtype=np.float32))

    def as_bytes(self) -> bytes:
        """Return it as a safetensors file."""
        from safetensors.numpy import save

        return save({"mean": self.mean, "basis": np.ascontiguousarray(self.basis)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a safetensors file that `as_bytes` made, in any precision.

        Raises:
            KeyError: If a tensor is missing; SafetensorError if it is no such file.
        """
        from safetensors.numpy import load

        tensors = load(content)
        return cls(tensors["mean"].astype(np.float32), tensors["basis"].astype(np.float32))

    @property
    def dim(self) -> int:
        """Length of the short vectors."""
        return int(self.basis.shape[1])

    def project(self, states: TokenVectors) -> NDArray[np.float32]:
        """Return unit rows, shape (n, dim); a state equal to the mean becomes zeros."""
        centered = _unit(states) - self.mean
        return _unit(centered @ self.basis)

    def compress(self, states: TokenVectors) -> TokenBytes:
        """Return the projected rows as signed bytes, each row scaled to use their whole range."""
        rows = self.project(states)
        scale = 127.0 / np.maximum(np.abs(rows).max(axis=1, keepdims=True, initial=0.0), 1e-12)
        found: TokenBytes = np.rint(rows * scale).astype(np.int8)
        return found


def states_of(content: bytes, dim: int) -> TokenBytes:
    """Return stored bytes as token states, shape (n_tokens, dim). Raises ValueError if they are not whole rows."""
    return np.frombuffer(content, dtype=np.int8).reshape(-1, dim)


def unit_rows(stored: TokenBytes) -> NDArray[np.float32]:
    """Return what `Projection.compress` stored as unit rows, shape (n, dim)."""
    return _unit(stored.astype(np.float32))


def _unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    found: NDArray[np.float32] = (rows / np.maximum(length, 1e-12)).astype(np.float32, copy=False)
    return found
