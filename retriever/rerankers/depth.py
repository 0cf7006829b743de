"""A decoder that is read at some of its depths, and whose passages grow shorter on the way.

Layerwise reranking and token compression of bge-reranker-v2.5-gemma2-lightweight (arXiv 2409.15700, appendix D; `gemma_model.py` of
FlagEmbedding). Before a layer that compresses, each group of `ratio` neighboring tokens of the passage becomes their mean, the last group
that of what is left; query and prompt stay as they are, and positions count anew. So the layers after it compute on fewer tokens.

Any decoder of transformers with `layers`, `norm` and `rotary_emb` can be read so: Gemma 2, Llama, Mistral, Qwen, Granite.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

from quarry.indexer.errors import ModelError
from quarry.retriever.base import Reranker

if TYPE_CHECKING:
    from torch import Tensor

RATIOS = (1, 2, 4, 8)
COMPRESS_LAYERS = (8,)  # of FlagEmbedding


class DepthError(ModelError):
    """The reranker cannot be run at the depth that was asked for."""


@runtime_checkable
class Adjustable(Protocol):
    """A reranker, or what scores in it, that can run fewer of its layers, or on compressed passages, with the same weights."""

    def at(self, cutoff_layers: int | None, compress: int | None) -> Self:
        """Return it at another depth; None keeps its own.

        Raises:
            DepthError: If it has no such depth.
        """
        ...


def reranker_at(reranker: Reranker | None, cutoff_layers: int | None, compress: int | None) -> Reranker:
    """Return a reranker at a depth.

    Raises:
        DepthError: If there is none, it is always run whole, or has no such depth.
    """
    if reranker is None:
        raise DepthError(
            "rerankers.depth_of_none",
            "a number of layers or a compression was given, and there is no reranker",
            expected="a layerwise reranker",
            do="Name one with --rerank where the index is opened, or leave both out",
        )
    if not isinstance(reranker, Adjustable):
        raise always_whole(reranker.name)
    found: Reranker = reranker.at(cutoff_layers, compress)
    return found


def always_whole(model: str) -> DepthError:
    """Return the error of a depth asked of a reranker that has only one."""
    return DepthError(
        "rerankers.no_depth",
        "{model} is always run whole",
        expected="a layerwise decoder reranker",
        do="Leave out how many layers run and the compression",
        model=model,
    )


def no_compression(model: str) -> DepthError:
    """Return the error of a compression asked of a reranker that was not trained for one."""
    return DepthError(
        "rerankers.no_compression",
        "{model} was not trained to have its tokens compressed",
        expected="BAAI/bge-reranker-v2.5-gemma2-lightweight, or a layerwise reranker trained with compress",
        do="Leave the compression out",
        model=model,
    )


class Depth(NamedTuple):
    """How much of a decoder reranker is run: what a user asks for.

    Attributes:
        cutoff_layers: How many layers; None takes the model's own, or all.
        compress: Tokens of a passage that become one on the way: 1, 2, 4 or 8.
    """

    cutoff_layers: int | None = None
    compress: int = 1


class PairBatch(NamedTuple):
    """Pairs padded on the left, all ending at the last position.

    Attributes:
        ids: Token ids, int64, shape (rows, length).
        mask: 1 for real tokens, int64, the same shape.
        positions: Of each token, from 0, the same shape.
        heads: Tokens of each row before its passage: start, query and separator; shape (rows,).
        tails: Tokens of each row after its passage: separator and prompt; shape (rows,).
    """

    ids: "Tensor"
    mask: "Tensor"
    positions: "Tensor"
    heads: "Tensor"
    tails: "Tensor"


@dataclass(frozen=True, slots=True)
class Compression:
    """How passages are shortened.

    Attributes:
        ratio: Tokens that become one: 1 (none), 2, 4 or 8.
        layers: Before which layers, counted from 0.
    """

    ratio: int = 1
    layers: tuple[int, ...] = COMPRESS_LAYERS


def checked_compression(model: str, ratio: int, layers: Sequence[int], cutoff: int) -> Compression:
    """Return a compression that changes something.

    Raises:
        DepthError: If the ratio is not one of the four, or no layer below the cutoff compresses.
    """
    if ratio not in RATIOS:
        raise DepthError(
            "rerankers.compress_ratio",
            "the compression is {ratio}",
            expected="one of {ratios}",
            ratio=ratio,
            ratios=RATIOS,
        )
    found = tuple(layer for layer in layers if 0 < layer < cutoff)
    if ratio > 1 and not found:
        raise DepthError(
            "rerankers.compress_nothing",
            "{model} compresses before layer {layers}, and is cut off at layer {cutoff}",
            expected="a later cutoff",
            do="Leave the compression out, or run more layers",
            model=model,
            layers=list(layers),
            cutoff=cutoff,
        )
    return Compression(ratio, found)


def last_states(model: Any, batch: PairBatch, depths: Sequence[int], compression: Compression) -> "list[Tensor]":
    """Return the state at the last position after each of some depths, after the final norm, shape (rows, hidden) each.

    Args:
        model: A decoder without a head.
        batch: What it reads.
        depths: Numbers of layers, ascending, each at least 1.
        compression: How passages are shortened on the way.
    """
    states = _embedded(model, batch)
    mask, positions = batch.mask, batch.positions
    found = []
    kinds = getattr(model.config, "layer_types", None) or []
    for number, layer in enumerate(model.layers[: depths[-1]]):
        if compression.ratio > 1 and number in compression.layers:
            states, mask = shortened(states, mask, batch, compression.ratio)
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        sliding = number < len(kinds) and kinds[number] == "sliding_attention"
        window = getattr(model.config, "sliding_window", None) if sliding else None
        given = layer(
            states,
            attention_mask=_causal(mask, states, window),
            position_ids=positions,
            position_embeddings=model.rotary_emb(states, positions),
        )
        states = given[0] if isinstance(given, tuple) else given
        if number + 1 in depths:
            found.append(model.norm(states)[:, -1])
    return found


def last_state(model: Any, batch: PairBatch) -> "Tensor":
    """Return the state at the last position of a whole decoder, after its norm, shape (rows, hidden)."""
    read = model(input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False)
    found: Tensor = read.last_hidden_state[:, -1]
    return found


def shortened(states: "Tensor", mask: "Tensor", batch: PairBatch, ratio: int) -> "tuple[Tensor, Tensor]":
    """Return states and mask with each `ratio` tokens of the passages averaged into one, padded on the left again."""
    import torch

    rows = []
    counts = mask.sum(dim=1).tolist()
    for row, count, head, tail in zip(states, counts, batch.heads.tolist(), batch.tails.tolist(), strict=True):
        own = row[row.shape[0] - count :]
        end = count - tail
        rows.append(torch.cat([own[:head], _averaged(own[head:end], ratio), own[end:]]))
    width = max(row.shape[0] for row in rows)
    padded = torch.stack([torch.nn.functional.pad(row, (0, 0, width - row.shape[0], 0)) for row in rows])
    real = torch.tensor([[0] * (width - row.shape[0]) + [1] * row.shape[0] for row in rows], device=mask.device)
    return padded, real


def _averaged(passage: "Tensor", ratio: int) -> "Tensor":
    """Return the means of neighboring rows, shape (ceil(n / ratio), hidden), from (n, hidden)."""
    import torch

    missing = -passage.shape[0] % ratio
    whole = torch.nn.functional.pad(passage, (0, 0, 0, missing)).view(-1, ratio, passage.shape[1])
    counts = torch.full((whole.shape[0], 1), float(ratio), device=passage.device, dtype=passage.dtype)
    if missing:
        counts[-1] = ratio - missing
    return whole.sum(dim=1) / counts


def _causal(mask: "Tensor", states: "Tensor", window: int | None) -> "Tensor":
    """Return what is added to attention scores, shape (rows, 1, length, length): 0 where a token may look, else very small."""
    import torch

    length = mask.shape[1]
    places = torch.arange(length, device=mask.device)
    allowed = places[None, :] <= places[:, None]
    if window is not None:
        allowed = allowed & (places[None, :] > places[:, None] - window)
    seen = allowed[None, None] & mask.bool()[:, None, None, :]
    # with autocast the states stay float32, and the products that they are added to do not
    return torch.zeros(seen.shape, dtype=states.dtype, device=mask.device).masked_fill(
        ~seen, torch.finfo(torch.bfloat16 if states.dtype == torch.bfloat16 else torch.float32).min
    )


def _embedded(model: Any, batch: PairBatch) -> "Tensor":
    """Return the states that the first layer reads: some decoders scale their embeddings, each in its own way."""
    import torch

    bare = copy(model)  # the same weights; the model itself may be in use by another thread
    vars(bare)["_modules"] = {**vars(model)["_modules"], "layers": torch.nn.ModuleList(), "norm": torch.nn.Identity()}
    found: Tensor = bare(
        input_ids=batch.ids, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
    ).last_hidden_state
    return found
