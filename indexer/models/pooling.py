"""Attention masks and pooling: pure functions over torch tensors, for left and right padding alike."""

from typing import TYPE_CHECKING

from quarry.indexer.embedder import Pooling

if TYPE_CHECKING:
    from torch import Tensor, dtype


def pool(states: "Tensor", mask: "Tensor", pooling: Pooling) -> "Tensor":
    """Pool token states, in float32.

    Args:
        states: Last hidden states, shape (n, length, hidden).
        mask: 1 for real tokens, 0 for padding, shape (n, length); every row has at least one 1.
        pooling: `cls` takes the first real token, `last_token` the last real one, `mean` averages the real ones.

    Returns:
        One vector per row, shape (n, hidden), not normalized.

    Raises:
        ValueError: If the pooling is unknown.
    """
    import torch

    states = states.float()
    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)
    if pooling == "cls":
        position = mask.argmax(dim=1)
    elif pooling == "last_token":
        length = mask.shape[1]
        position = length - 1 - mask.flip(dims=[1]).argmax(dim=1)
    else:
        raise ValueError(f"unknown pooling {pooling!r}; expected cls, mean or last_token")
    return states[torch.arange(states.shape[0], device=states.device), position]


def full_attention(mask: "Tensor", kind: "dtype") -> "Tensor":
    """Return the mask with which every token of a decoder attends to all real tokens, later ones too.

    transformers uses a mask of four dimensions as it is; it would combine one of two with the causal mask.

    Args:
        mask: 1 for real tokens, 0 for padding, shape (n, length).
        kind: The model's dtype.

    Returns:
        Values to add to the attention scores, shape (n, 1, length, length).
    """
    import torch

    hidden = (1 - mask[:, None, None, :]).to(kind) * torch.finfo(kind).min
    return hidden.expand(-1, 1, mask.shape[1], -1)
