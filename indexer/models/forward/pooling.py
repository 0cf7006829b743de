"""Attention masks and pooling: pure functions over torch tensors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quarry.indexer.embedder import Pooling

if TYPE_CHECKING:
    from torch import Tensor, dtype


def pool(states: "Tensor", lengths: Sequence[int], pooling: Pooling) -> "Tensor":
    """Pool token states, in float32.

    Args:
        states: Last hidden states of several texts, one after another, shape (n_tokens, hidden).
        lengths: Tokens of each text, at least 1 each; their sum is n_tokens.
        pooling: `cls` takes a text's first token, `last_token` its last one, `mean` averages them.

    Returns:
        One vector per text, shape (len(lengths), hidden), not normalized.

    Raises:
        ValueError: If the pooling is unknown.
    """
    import torch

    each = torch.tensor(lengths, device=states.device)
    ends = torch.cumsum(each, 0)
    if pooling == "mean":
        return torch.segment_reduce(states.float(), "mean", lengths=each)
    if pooling == "cls":
        return states[ends - each].float()
    if pooling == "last_token":
        return states[ends - 1].float()
    raise ValueError(f"unknown pooling {pooling!r}; expected cls, mean or last_token")


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
