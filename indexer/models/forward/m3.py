"""The two heads that bge-m3 has beside its vector: one vector per token, and one weight per token.

M3-Embedding (Chen et al. 2024, arXiv 2402.03216, section 3.2), as FlagEmbedding computes them: with h the last state of a token,

    multi-vector   W_mul h + b, to unit length, of every token but the first
    sparse         relu(w_lex h + b), the largest of each token id; start, end, padding and unknown tokens have none

Both are read from `colbert_linear.safetensors` and `sparse_linear.safetensors`, or from the `.pt` files that BAAI released.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quarry.indexer.embedder import TermWeights
from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import MULTI_VECTOR_HEAD, SPARSE_HEAD
from quarry.indexer.models.weight_archive import read_linear

if TYPE_CHECKING:
    from torch import Tensor


class M3Heads:
    """Both heads on one device, in float32."""

    def __init__(self, tokens: "dict[str, Tensor]", terms: "dict[str, Tensor]", unused: Sequence[int]) -> None:
        """Take the weights.

        Args:
            tokens: `weight`, shape (dim, hidden), and `bias`, shape (dim,), of the multi-vector head.
            terms: `weight`, shape (1, hidden), and `bias`, shape (1,), of the sparse head.
            unused: Token ids that get no weight.
        """
        self._tokens, self._terms, self.unused = tokens, terms, tuple(unused)

    @property
    def width(self) -> int:
        """Length of a token's vector."""
        return int(self._tokens["weight"].shape[0])

    @property
    def digest(self) -> str:
        """Digest of the weights (16 hex digits)."""
        found = sha256()
        for part in (self._tokens, self._terms):
            for name in ("weight", "bias"):
                found.update(part[name].cpu().numpy().tobytes())
        return found.hexdigest()[:16]

    def to(self, device: str) -> "M3Heads":
        """Return the heads on a device."""
        moved = [{name: one.to(device) for name, one in part.items()} for part in (self._tokens, self._terms)]
        return M3Heads(moved[0], moved[1], self.unused)

    def vectors(self, states: "Tensor") -> "Tensor":
        """Return the vectors of tokens, shape (n, width), from their last states, shape (n, hidden)."""
        from torch.nn.functional import linear, normalize

        return normalize(linear(states.float(), self._tokens["weight"], self._tokens["bias"]), dim=1)

    def weights(self, states: "Tensor", rows: Sequence[Sequence[int]]) -> list[TermWeights]:
        """Return the weights of the terms of several texts.

        Args:
            states: Last states of all tokens, one text after another, shape (n_tokens, hidden).
            rows: Token ids of each text.
        """
        from torch.nn.functional import linear

        found = linear(states.float(), self._terms["weight"], self._terms["bias"]).relu().squeeze(1).cpu().numpy()
        parts = np.split(found, np.cumsum([len(row) for row in rows])[:-1])
        return [TermWeights.of(row, part, self.unused) for row, part in zip(rows, parts, strict=True)]


def load_heads(folder: Path, hidden: int, unused: Sequence[int]) -> M3Heads | None:
    """Read the heads of a model folder; None when it does not have both.

    Args:
        folder: The model folder.
        hidden: Length of a token's state.
        unused: Token ids that get no weight.

    Raises:
        ModelError: If one is damaged, or does not fit the model.
    """
    if not all(
        any((folder / f"{name}{end}").is_file() for end in _ENDINGS) for name in (MULTI_VECTOR_HEAD, SPARSE_HEAD)
    ):
        return None
    return M3Heads(_linear(folder, MULTI_VECTOR_HEAD, None, hidden), _linear(folder, SPARSE_HEAD, 1, hidden), unused)


_ENDINGS = (".safetensors", ".pt")


def _linear(folder: Path, name: str, outputs: int | None, inputs: int) -> "dict[str, Tensor]":
    """Read a head. Without `outputs` it may have any number of them; in a `.pt` file then as many as inputs, as released."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / f"{name}.safetensors"
    if not path.is_file():
        return read_linear(folder / f"{name}.pt", outputs or inputs, inputs)
    try:
        found = {key: value.float() for key, value in load_file(path).items()}
    except (OSError, SafetensorError) as err:
        raise _misfit(path, inputs, str(err)) from err
    shapes = {key: tuple(value.shape) for key, value in found.items()}
    rows = outputs or shapes.get("bias", (0,))[0]
    if shapes != {"weight": (rows, inputs), "bias": (rows,)} or rows < 1:
        raise _misfit(path, inputs, str(shapes))
    return found


def _misfit(path: Path, inputs: int, error: str) -> ModelError:
    return ModelError(
        "models.head_misfit",
        "{path} is no head of this model ({error})",
        expected="`weight` with {inputs} columns, and `bias`",
        do="Copy or download the model again, or remove the file",
        path=path,
        error=error,
        inputs=inputs,
    )
