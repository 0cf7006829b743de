"""The forward pass of BERT, RoBERTa and XLM-R in plain torch, on packed sequences: inference only.

Devlin et al. 2019 (arXiv 1810.04805), Liu et al. 2019 (arXiv 1907.11692), Conneau et al. 2020 (arXiv 1911.02116). The three differ in
how they number positions, nothing else. The tokens of several texts stand one after another without padding; only attention looks
at one text at a time. transformers gives the same states, to 1e-5 in float32 (tests/indexer/models/test_bert.py), after importing
four seconds of code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn import functional

_TANH = partial(functional.gelu, approximate="tanh")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_python": functional.gelu,
    "gelu_new": _TANH,
    "gelu_fast": _TANH,
    "gelu_pytorch_tanh": _TANH,
    "gelu_python_tanh": _TANH,
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
}
"""What may stand in a configuration's `hidden_act`."""


@dataclass(frozen=True, slots=True)
class BertShape:
    """The sizes of an encoder.

    Attributes:
        vocabulary: Number of tokens.
        positions: Rows of the position table.
        width: Length of a token's state.
        inner: Width inside the feed-forward network.
        layers: How many.
        heads: Of attention; a divisor of the width.
        epsilon: Of layer normalization.
        activation: A key of `ACTIVATIONS`.
        offset: None where positions count from 0 (BERT). Else the number of the padding token: positions count from the one after
            it, and padding tokens are not counted (RoBERTa).
    """

    vocabulary: int
    positions: int
    width: int
    inner: int
    layers: int
    heads: int
    epsilon: float
    activation: str
    offset: int | None


class Bert(nn.Module):
    """An encoder. `bert_folder.load_bert` fills in its weights."""

    tokens: Tensor
    places: Tensor

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.shape = shape
        # in the precision of the file, which stays where it is: only the rows that are looked up are read and converted
        self.register_buffer("tokens", torch.empty(shape.vocabulary, shape.width))
        # position vectors, with that of token type 0 added
        self.register_buffer("places", torch.empty(shape.positions, shape.width))
        self.norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))

    @property
    def hidden_size(self) -> int:
        """Length of a token's state."""
        return self.shape.width

    @property
    def depth(self) -> int:
        """How many layers it has."""
        return len(self.layers)

    def forward(self, ids: Tensor, lengths: Sequence[int], layers: Sequence[int] = (-1,)) -> list[Tensor]:
        """Return the states of all tokens after some layers.

        Args:
            ids: Token ids of all texts, one after another, shape (n_tokens,), on the device of the weights.
            lengths: Tokens of each text, at least 1 each; their sum is n_tokens.
            layers: Which states to return: 0 the input of the first layer, 1 what the first layer gives, -1 the last layer's, as in
                transformers' `hidden_states`.

        Returns:
            One tensor of shape (n_tokens, width) per entry of `layers`.

        Raises:
            IndexError: If a text is longer than the position table.
        """
        wanted = [number % (len(self.layers) + 1) for number in layers]
        found: dict[int, Tensor] = {}
        blocks = _Blocks.of(lengths, ids.device)
        states: Tensor = self.norm(self._embedded(ids, lengths))
        for number, layer in enumerate((None, *self.layers)):
            states = states if layer is None else layer(states, blocks)
            if number in wanted:
                found[number] = states
            if number == max(wanted):
                break
        return [found[number] for number in wanted]

    def _embedded(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        kind = self.places.dtype
        places = torch.cat([torch.arange(length, device=ids.device) for length in lengths])
        if self.shape.offset is not None:
            real = ids != self.shape.offset
            ends = torch.cumsum(torch.tensor(lengths, device=ids.device), 0)
            counted = torch.cumsum(real, 0)
            before = (counted - real.long())[ends - torch.tensor(lengths, device=ids.device)]
            within = counted - torch.repeat_interleave(before, torch.tensor(lengths, device=ids.device))
            places = within * real + self.shape.offset
        return functional.embedding(ids, self.tokens).to(kind) + functional.embedding(places, self.places)


class _Layer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and normalized."""

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.activation = ACTIVATIONS[shape.activation]
        self.asked = nn.Linear(shape.width, 3 * shape.width)  # query, key and value in one product
        self.attended = nn.Linear(shape.width, shape.width)
        self.attended_norm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.widened = nn.Linear(shape.width, shape.inner)
        self.narrowed = nn.Linear(shape.inner, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=shape.epsilon)

    def forward(self, states: Tensor, blocks: "_Blocks") -> Tensor:
        attended = blocks.attend(self.asked(states), self.heads)
        states = self.attended_norm(states + self.attended(attended))
        found: Tensor = self.norm(states + self.narrowed(self.activation(self.widened(states))))
        return found


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Which tokens attend to each other.

    Attributes:
        runs: (first token, texts, tokens of each) of neighbors of equal length: one attention without any padding.
        padded: On GPUs, where many small attentions cost more than padding: for each place of a padded batch (n, longest) the
            token that stands there, and whether one does; None on CPUs.
    """

    runs: tuple[tuple[int, int, int], ...]
    padded: tuple[Tensor, Tensor] | None

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> "_Blocks":
        runs, first = [], 0
        for length, same in groupby(lengths):
            texts = len(list(same))
            runs.append((first, texts, length))
            first += texts * length
        if device.type == "cpu" or len(runs) == 1:
            return cls(tuple(runs), None)
        return cls.padded_to_longest(lengths, device)

    @classmethod
    def padded_to_longest(cls, lengths: Sequence[int], device: torch.device) -> "_Blocks":
        """Return blocks for one attention over a padded batch."""
        each = torch.tensor(lengths, device=device)
        place = torch.arange(int(max(lengths)), device=device)
        real = place < each[:, None]
        token = (torch.cumsum(each, 0) - each)[:, None] + torch.minimum(place, each[:, None] - 1)
        return cls((), (token, real))

    def attend(self, asked: Tensor, heads: int) -> Tensor:
        """Attend.

        Args:
            asked: Queries, keys and values, shape (n_tokens, 3 * width).
            heads: How many the width is divided into.

        Returns:
            Shape (n_tokens, width).
        """
        if self.padded is not None:
            token, real = self.padded
            query, key, value = asked[token].view(*token.shape, 3, heads, -1).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None, :])
            return mixed.transpose(1, 2).flatten(2)[real]
        parts = []
        for first, texts, length in self.runs:
            part = asked[first : first + texts * length].view(texts, length, 3, heads, -1)
            query, key, value = part.permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(query, key, value)
            parts.append(mixed.transpose(1, 2).reshape(texts * length, -1))
        return parts[0] if len(parts) == 1 else torch.cat(parts)
