"""An embedding model on one device: from token ids to unit vectors."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import EmbedderSpec, TokenVectors, Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import read_json
from quarry.indexer.models.pooling import pool
from quarry.indexer.models.precision import Compute

if TYPE_CHECKING:
    from torch import Tensor


class Network(Protocol):
    """Computes token states of several texts at once: `bert.Bert`, or `padded.Padded` around a model of transformers."""

    @property
    def hidden_size(self) -> int:
        """Length of a token's state."""
        ...

    def __call__(self, ids: "Tensor", lengths: Sequence[int]) -> "list[Tensor]":
        """Return the last layer's states, shape (n_tokens, hidden_size).

        Args:
            ids: Token ids of all texts, one after another, shape (n_tokens,).
            lengths: Tokens of each text, at least 1 each.
        """
        ...


class Replica:
    """An embedding model on one device.

    Args:
        model: In the precision of `where`.
        dense: What comes after the pooling, from `dense_layer`.
        where: Device and precision; pooling and what follows are float32.
    """

    def __init__(self, model: Network, dense: list[Any], where: Compute) -> None:
        self.model = model
        self.dense = dense
        self.where = where
        self.lock = threading.Lock()

    @property
    def width(self) -> int:
        """Length of its vectors."""
        return int(self.dense[-1][0].out_features) if self.dense else self.model.hidden_size

    def forward_with_states(
        self, rows: Sequence[Sequence[int]], spec: EmbedderSpec, own: Sequence[NDArray[np.int64]] = ()
    ) -> tuple[Vectors, list[TokenVectors]]:
        """Return unit rows of one batch, and the last layer's states of chosen tokens.

        Args:
            rows: Token ids of each text, at least one each.
            spec: How states become one vector.
            own: For each row the positions whose states are wanted; none for no states at all.

        Returns:
            Vectors of shape (n, spec.dim), and one array of shape (len(own[row]), hidden) per row of `own`.
        """
        import torch

        lengths = [len(row) for row in rows]
        ids = torch.tensor([token for row in rows for token in row], dtype=torch.long)
        with torch.inference_mode(), self.lock:
            with self.where.products():
                (states,) = self.model(ids.to(self.where.device), lengths)
            pooled = pool(states, lengths, spec.pooling)
            for layer in self.dense:
                pooled = layer(pooled)
            unit = torch.nn.functional.normalize(pooled[:, : spec.dim], dim=1)
            firsts = np.cumsum([0, *lengths[:-1]])
            chosen = [
                states[torch.from_numpy(first + where)].float().cpu().numpy()
                for first, where in zip(firsts, own, strict=False)  # `own` may be empty
            ]
            out: Vectors = unit.cpu().numpy()
            return out, chosen


def dense_layer(folder: Path, device: str) -> Any:
    """Load a sentence-transformers Dense module: a linear layer and its activation.

    Raises:
        ModelError: If it has no weights, or an unknown activation.
    """
    import torch
    from safetensors.torch import load_file

    config = read_json(folder / "config.json")
    weights_file = folder / "model.safetensors"
    if not weights_file.is_file():
        raise ModelError(
            "models.no_dense_weights",
            "{folder} has no model.safetensors",
            expected="the weights of a Dense module",
            do="Copy or download the model again",
            folder=folder,
        )
    linear = torch.nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    linear.load_state_dict(
        {key.removeprefix("linear."): value.float() for key, value in load_file(weights_file).items()}
    )
    name = str(config.get("activation_function", "torch.nn.modules.linear.Identity")).rpartition(".")[2]
    activations = {"Tanh": torch.nn.Tanh, "Identity": torch.nn.Identity, "GELU": torch.nn.GELU, "ReLU": torch.nn.ReLU}
    if name not in activations:
        raise ModelError(
            "models.unknown_activation",
            "{folder} asks for the activation {name}",
            expected="one of {known}",
            do="Choose a model of `quarry models`",
            folder=folder,
            name=name,
            known=list(activations),
        )
    return torch.nn.Sequential(linear, activations[name]()).to(device).eval()
