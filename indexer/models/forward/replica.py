"""An embedding model on one device: from token ids to unit vectors."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import EmbedderSpec, TermWeights, TokenVectors, Vectors
from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import read_json
from quarry.indexer.models.forward.pooling import pool
from quarry.indexer.models.forward.precision import Compute

if TYPE_CHECKING:
    from torch import Tensor

    from quarry.indexer.models.forward.m3 import M3Heads


class Network(Protocol):
    """Computes token states of several texts at once: `bert.Bert`, or `padded.Padded` around a model of transformers."""

    @property
    def hidden_size(self) -> int:
        """Length of a token's state."""
        ...

    @property
    def depth(self) -> int:
        """How many layers it has."""
        ...

    def __call__(self, ids: "Tensor", lengths: Sequence[int], layers: Sequence[int] = (-1,)) -> "list[Tensor]":
        """Return the states of all tokens after some layers, each of shape (n_tokens, hidden_size).

        Args:
            ids: Token ids of all texts, one after another, shape (n_tokens,).
            lengths: Tokens of each text, at least 1 each.
            layers: Counted as in transformers' `hidden_states`: 1 is what the first layer gives, -1 the last layer's.
        """
        ...


def token_layers(depth: int) -> tuple[int, ...]:
    """Return the layers whose states late interaction compares: at two thirds of the depth, and the last (-1).

    The last layer serves the pooled vector and has given up some of what a single token means; the one before keeps it, and agrees
    better across languages (docs/second_stage.md).

    Example:
        >>> token_layers(12), token_layers(1)
        ((8, -1), (-1,))
    """
    middle = round(depth * 2 / 3)
    return (middle, -1) if 0 < middle < depth else (-1,)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What one forward pass of n texts gives.

    Attributes:
        vectors: Unit rows, shape (n, dim).
        states: Of chosen tokens, one array of shape (n_chosen, token_width) per text; empty when none were wanted.
        terms: One per text; empty when none were wanted, or the model has no head for them.
    """

    vectors: Vectors
    states: list[TokenVectors] = field(default_factory=list)
    terms: list[TermWeights] = field(default_factory=list)


class Replica:
    """An embedding model on one device.

    Args:
        model: In the precision of `where`.
        dense: What comes after the pooling, from `dense_layer`.
        where: Device and precision; pooling and what follows are float32.
        heads: The model's own heads for single tokens, on the same device.
    """

    def __init__(self, model: Network, dense: list[Any], where: Compute, heads: "M3Heads | None" = None) -> None:
        self.model = model
        self.dense = dense
        self.where = where
        self.heads = heads
        self.lock = threading.Lock()

    @property
    def width(self) -> int:
        """Length of its vectors."""
        return int(self.dense[-1][0].out_features) if self.dense else self.model.hidden_size

    @property
    def token_layers(self) -> tuple[int, ...]:
        """The layers whose states `forward_with_states` gives, or its head is applied to."""
        return (-1,) if self.heads else token_layers(self.model.depth)

    @property
    def token_width(self) -> int:
        """Length of a token's states side by side, or of what the model's own head makes of the last one."""
        return self.heads.width if self.heads else self.model.hidden_size * len(self.token_layers)

    def forward_with_states(
        self, rows: Sequence[Sequence[int]], spec: EmbedderSpec, own: Sequence[NDArray[np.int64]] = ()
    ) -> Encoded:
        """Return unit rows of one batch, and the states of chosen tokens.

        Args:
            rows: Token ids of each text, at least one each.
            spec: How states become one vector.
            own: For each row the positions whose states are wanted; none for no states at all.

        Returns:
            Vectors, and one array of shape (len(own[row]), token_width) per row of `own`: the states of `token_layers` side by
            side, each of unit length, or what the model's own head makes of the last one. With a head, the terms as well.
        """
        import torch

        lengths = [len(row) for row in rows]
        ids = torch.tensor([token for row in rows for token in row], dtype=torch.long)
        with torch.inference_mode(), self.lock:
            with self.where.products():
                *middle, states = self.model(
                    ids.to(self.where.device), lengths, self.token_layers if len(own) else (-1,)
                )
            pooled = pool(states, lengths, spec.pooling)
            for layer in self.dense:
                pooled = layer(pooled)
            unit = torch.nn.functional.normalize(pooled[:, : spec.dim], dim=1)
            out: Vectors = unit.cpu().numpy()
            if not len(own):
                return Encoded(out)
            wanted = _places(lengths, own).to(states.device)
            terms: list[TermWeights] = []
            if self.heads is not None:
                chosen = self.heads.vectors(states[wanted])
                terms = self.heads.weights(states, rows)
            else:
                chosen = _side_by_side([layer[wanted] for layer in (*middle, states)])
            found: TokenVectors = chosen.cpu().numpy()  # a batch leaves the device in one copy
            return Encoded(out, np.split(found, np.cumsum([len(where) for where in own])[:-1]), terms)


def _places(lengths: Sequence[int], own: Sequence[NDArray[np.int64]]) -> "Tensor":
    """Return the places of chosen tokens among all tokens of a batch."""
    import torch

    firsts = np.cumsum([0, *lengths[:-1]])
    return torch.from_numpy(np.concatenate([first + where for first, where in zip(firsts, own, strict=True)]))


def _side_by_side(layers: "Sequence[Tensor]") -> "Tensor":
    """Return the states of several layers in one row per token, each of unit length."""
    import torch

    return torch.cat([torch.nn.functional.normalize(layer.float(), dim=1) for layer in layers], dim=1)


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
    weights = {key.removeprefix("linear."): value.float() for key, value in load_file(weights_file).items()}
    shape = [config.get("out_features"), config.get("in_features")]
    if "weight" not in weights or list(weights["weight"].shape) != shape:
        raise ModelError(
            "models.dense_shape",
            "{folder}: config.json asks for a layer of {wanted}, which model.safetensors does not hold",
            expected="weights of that shape",
            do="Copy or download the model again",
            folder=folder,
            wanted=str(shape)[:100],
        )
    linear = torch.nn.Linear(shape[1], shape[0], bias="bias" in weights)
    linear.load_state_dict(weights)
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
