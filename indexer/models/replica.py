"""An embedding model on one device: from padded token ids to unit vectors."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import EmbedderSpec, TokenVectors, Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.models.loading import read_json
from quarry.indexer.models.pooling import full_attention, pool
from quarry.indexer.models.precision import Compute


class Replica:
    """An embedding model on one device.

    Args:
        model: From `load_weights`, in the precision of `where`.
        dense: What comes after the pooling, from `dense_layer`.
        where: Device and precision; pooling and what follows are float32.
        bidirectional: Whether every token of a decoder attends to all others.
    """

    def __init__(self, model: Any, dense: list[Any], where: Compute, *, bidirectional: bool) -> None:
        self.model = model
        self.dense = dense
        self.where = where
        self.bidirectional = bidirectional
        self.lock = threading.Lock()

    def width(self, hidden: int) -> int:
        """Return the length of the vectors of a model whose states are `hidden` wide."""
        return int(self.dense[-1][0].out_features) if self.dense else hidden

    def forward(self, ids: Any, mask: Any, spec: EmbedderSpec) -> Vectors:
        """Return unit rows of one padded batch, shape (n, spec.dim)."""
        return self.forward_with_states(ids, mask, spec)[0]

    def forward_with_states(
        self, ids: Any, mask: Any, spec: EmbedderSpec, own: Sequence[NDArray[np.int64]] = ()
    ) -> tuple[Vectors, list[TokenVectors]]:
        """Return unit rows of one padded batch, and the last layer's states of chosen tokens.

        Args:
            ids: Token ids, shape (n, length).
            mask: 1 for real tokens, shape (n, length).
            spec: How states become one vector.
            own: For each row the positions whose states are wanted; none for no states at all.

        Returns:
            Vectors of shape (n, spec.dim), and one array of shape (len(own[row]), hidden) per row of `own`.
        """
        import torch

        with torch.inference_mode(), self.lock:
            ids, mask = ids.to(self.where.device), mask.to(self.where.device)
            seen = full_attention(mask, self.model.dtype) if self.bidirectional else mask
            with self.where.products():
                states = self.model(input_ids=ids, attention_mask=seen).last_hidden_state
            pooled = pool(states, mask, spec.pooling)
            for layer in self.dense:
                pooled = layer(pooled)
            unit = torch.nn.functional.normalize(pooled[:, : spec.dim], dim=1)
            chosen = [states[row, torch.from_numpy(where)].float().cpu().numpy() for row, where in enumerate(own)]
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
