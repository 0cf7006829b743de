"""A model of transformers behind the interface of packed sequences: padded before it, unpadded after it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from quarry.indexer.models.forward.pooling import full_attention

if TYPE_CHECKING:
    from torch import Tensor


class Padded:
    """Computes what `bert.Bert` does not: decoders, other architectures, adapters, code of a folder.

    Args:
        model: From `load_weights`.
        pad: Token id to pad with.
        bidirectional: Whether every token of a decoder attends to all others.
    """

    def __init__(self, model: Any, pad: int, *, bidirectional: bool) -> None:
        self.model = model
        self.pad = pad
        self.bidirectional = bidirectional

    @property
    def hidden_size(self) -> int:
        """Length of a token's state."""
        return int(self.model.config.hidden_size)

    @property
    def depth(self) -> int:
        """How many layers it has."""
        return int(self.model.config.num_hidden_layers)

    def __call__(self, ids: "Tensor", lengths: Sequence[int], layers: Sequence[int] = (-1,)) -> "list[Tensor]":
        """Return the states of some layers, each of shape (n_tokens, hidden_size); see `replica.Network`."""
        import torch

        each = torch.tensor(lengths, device=ids.device)
        real = torch.arange(max(lengths), device=ids.device) < each[:, None]
        padded = torch.full(real.shape, self.pad, dtype=torch.long, device=ids.device)
        padded[real] = ids
        mask = real.long()
        seen = full_attention(mask, self.model.dtype) if self.bidirectional else mask
        if tuple(layers) == (-1,):
            return [self.model(input_ids=padded, attention_mask=seen).last_hidden_state[real]]
        found = self.model(input_ids=padded, attention_mask=seen, output_hidden_states=True).hidden_states
        return [found[number][real] for number in layers]
