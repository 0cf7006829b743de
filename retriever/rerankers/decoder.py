r"""Rerankers that are language models: the logit of `Yes` after query, passage and question. bge-reranker-v2-gemma and others.

The input is built as FlagEmbedding's reference does (`inference/reranker/decoder_only/base.py`):

    <bos> A: {query} \n B: {passage} \n {prompt}

The query is cut to three quarters of the length, then the passage to what is left; separator and prompt come on top.
A layer cutoff runs the first N layers, then the final norm and the head. Only the last position goes through the head,
only for `Yes`, and in float32: the order of near-equal passages would be lost in half precision.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import ModelError
from quarry.indexer.models.batching import TokenBudget
from quarry.indexer.models.forward.precision import Compute, compute_exactly
from quarry.indexer.models.loading import load_tokenizer, load_weights
from quarry.indexer.models.profiles import RerankerProfile
from quarry.indexer.models.token_spans import CHARS_PER_TOKEN, encodable
from quarry.indexer.models.tokenizer import ModelTokenizer
from quarry.retriever.rerankers.batched import PairScorer, pair_too_long
from quarry.retriever.rerankers.depth import Adjustable, Depth, PairBatch, always_whole, no_compression
from quarry.retriever.rerankers.gemma import ARCHITECTURE as LIGHTWEIGHT
from quarry.retriever.rerankers.gemma import LightweightGemma
from quarry.retriever.rerankers.layerwise import LayerwiseDecoder, OwnReranker
from quarry.retriever.rerankers.minicpm import ARCHITECTURE as LAYERWISE
from quarry.retriever.rerankers.minicpm import LayerwiseMiniCPM, check_settings

if TYPE_CHECKING:
    from torch import Tensor

_BUDGET_CPU, _BUDGET_GPU = 2048, 32_768  # padded tokens per forward
_QUERY_SHARE = 0.75
LastLogits: TypeAlias = Callable[[PairBatch], "Tensor"]
"""Pairs to float32 logits, shape (rows,)."""


class PairTokens(NamedTuple):
    """One pair: its token ids, and how many of them stand before and after the passage."""

    ids: list[int]
    head: int
    tail: int


def load_decoder_reranker(
    folder: Path,
    config: dict[str, Any],
    profile: RerankerProfile,
    *,
    where: Compute,
    depth: Depth,
    trust_remote_code: bool,
) -> "DecoderReranker":
    """Load a decoder reranker.

    Raises:
        ModelError: If the folder needs code of its own that is not allowed or not supported, or the cutoff is out of range.
    """
    architectures = config.get("architectures") or []
    layers = depth.cutoff_layers or profile.cutoff_layers
    own = OwnReranker.of(folder)
    if own is not None and own.kind == "layerwise":
        whole = LayerwiseDecoder(folder, own, depth.cutoff_layers, where, depth.compress)
        return DecoderReranker(load_tokenizer(folder, config), profile, where.device, whole)
    if LIGHTWEIGHT in architectures:
        scorer: LastLogits = LightweightGemma(folder, config, layers, where, depth.compress)
        return DecoderReranker(load_tokenizer(folder, config), profile, where.device, scorer)
    if depth.compress != 1:
        raise no_compression(profile.model)
    if LAYERWISE in architectures:
        cut = layers or int(config["num_hidden_layers"])
        check_settings(config, cut)
        tokenizer = load_tokenizer(folder, config)
        return DecoderReranker(tokenizer, profile, where.device, LayerwiseMiniCPM(folder, config, cut, where))
    remote = "auto_map" in config
    if remote and not trust_remote_code:
        raise ModelError(
            "rerankers.own_code",
            "{model} needs code from its own folder, which runs only when you allow it",
            expected="trust_remote_code=True",
            do="Read that code first, or choose BAAI/bge-reranker-v2-m3",
            model=profile.model,
        )
    tokenizer = load_tokenizer(folder, config, trust_remote_code=remote)
    _check_cutoff(layers, config)
    scorer = _yes_logits(folder, tokenizer, where, layers, remote=remote)
    return DecoderReranker(tokenizer, profile, where.device, scorer)


def _check_cutoff(layers: int | None, config: dict[str, Any]) -> None:
    count = int(config["num_hidden_layers"])
    if layers is not None and not 1 <= layers <= count:
        raise ModelError(
            "rerankers.cutoff",
            "the layer cutoff is {layers}",
            expected="1 to {count}, the layers of this reranker",
            layers=layers,
            count=count,
        )


def _yes_logits(
    folder: Path, tokenizer: ModelTokenizer, where: Compute, layers: int | None, *, remote: bool
) -> LastLogits:
    """Return what scores with a causal language model whose head is reduced to the row of `Yes`, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    yes = tokenizer.ids("Yes")
    if len(yes) != 1 or yes[0] == tokenizer.unk_token_id:
        raise ModelError(
            "rerankers.no_yes",
            "the tokenizer in {folder} does not know the word Yes",
            expected="the reranker's own",
            do="Copy it again",
            folder=folder,
        )
    model = load_weights(
        AutoModelForCausalLM, folder, device=where.device, precision=where.precision, trust_remote_code=remote
    )
    if layers is not None:
        model.model.layers = model.model.layers[:layers]
    whole = model.get_output_embeddings()
    head = torch.nn.Linear(whole.in_features, 1, bias=whole.bias is not None, device=where.device)
    with torch.no_grad():
        head.weight.copy_(whole.weight[yes[0]].float())
        if whole.bias is not None:
            head.bias.copy_(whole.bias[yes[0]].float())
    compute_exactly(head)
    model.set_output_embeddings(head)

    def last_logits(batch: PairBatch) -> "Tensor":
        with where.products():
            found = model(
                input_ids=batch.ids,
                attention_mask=batch.mask,
                position_ids=batch.positions,
                logits_to_keep=1,
                use_cache=False,
            )
        logits: Tensor = found.logits[:, -1, 0]
        return logits

    return last_logits


@dataclass(frozen=True, slots=True)
class PairLayout:
    """How a pair is written for a decoder; training and serving share it.

    Attributes:
        tokenizer: The model's own, which neither cuts nor pads.
        start: Tokens before the query.
        separator: Tokens between the parts.
        prompt: Tokens of the question at the end.
        max_tokens: Of query and passage together.
    """

    tokenizer: Any
    start: list[int]
    separator: list[int]
    prompt: list[int]
    max_tokens: int

    @classmethod
    def of(cls, tokenizer: ModelTokenizer, profile: RerankerProfile) -> Self:
        """Return the layout of a model."""
        bos = tokenizer.bos_token_id
        start = [] if bos is None or (bos == tokenizer.pad_token_id and profile.kind == "decoder") else [bos]
        ids = tokenizer.ids
        return cls(tokenizer.backend_tokenizer, start, ids("\n"), ids(profile.prompt), profile.max_tokens)

    def asking(self, tokenizer: ModelTokenizer, prompt: str) -> Self:
        """Return the layout with another question at the end."""
        return replace(self, prompt=tokenizer.ids(prompt))

    @property
    def tail(self) -> list[int]:
        """Tokens after the passage."""
        return [*self.separator, *self.prompt]


def decoder_pairs(layout: PairLayout, query: str, passages: Sequence[str]) -> list[PairTokens]:
    """Return the tokens of a query with each passage."""
    longest, encode = layout.max_tokens, layout.tokenizer.encode_batch
    clean = [encodable(text)[: longest * CHARS_PER_TOKEN] for text in (query, *passages)]
    asked = encode([f"A: {clean[0]}"], add_special_tokens=False)[0].ids
    head = [*layout.start, *asked[: int(longest * _QUERY_SHARE)]]
    room = longest + len(layout.prompt) - len(head)
    before = [*head, *layout.separator]
    return [
        PairTokens([*before, *passage.ids[: max(0, min(longest, room))], *layout.tail], len(before), len(layout.tail))
        for passage in encode([f"B: {text}" for text in clean[1:]], add_special_tokens=False)
    ]


def padded_left(pairs: Sequence[PairTokens], pad: int, device: str) -> PairBatch:
    """Return pairs padded on the left."""
    import torch

    longest = max(len(pair.ids) for pair in pairs)
    padded = torch.full((len(pairs), longest), pad, dtype=torch.long)
    mask = torch.zeros((len(pairs), longest), dtype=torch.long)
    for line, pair in enumerate(pairs):
        padded[line, longest - len(pair.ids) :] = torch.tensor(pair.ids)
        mask[line, longest - len(pair.ids) :] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    heads, tails = torch.tensor([pair.head for pair in pairs]), torch.tensor([pair.tail for pair in pairs])
    return PairBatch(padded.to(device), mask.to(device), positions.to(device), heads, tails)


class DecoderReranker:
    """Scores by one logit at the last position, in float32.

    Args:
        tokenizer: The model's own.
        profile: Prompt and length.
        device: Where the scorer runs.
        scorer: From padded token ids to logits.
    """

    def __init__(self, tokenizer: ModelTokenizer, profile: RerankerProfile, device: str, scorer: LastLogits) -> None:
        self._tokenizer, self._scorer = tokenizer, scorer
        self._profile = profile
        self._device = device
        tokens = _BUDGET_GPU if device.startswith("cuda") else _BUDGET_CPU
        budget = TokenBudget(tokens, pair_too_long)
        self._pairs = PairScorer(profile.model, self._inputs, lambda pair: len(pair.ids), self._forward, budget)
        self._layout = PairLayout.of(tokenizer, profile)
        self._pad = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0)
        self.forwards = 0

    @property
    def name(self) -> str:
        """The model."""
        return self._profile.model

    def at(self, cutoff_layers: int | None, compress: int | None) -> Self:
        """See `quarry.retriever.rerankers.depth.Adjustable`."""
        if not isinstance(self._scorer, Adjustable):
            raise always_whole(self.name)
        scorer: Any = self._scorer.at(cutoff_layers, compress)
        return type(self)(self._tokenizer, self._profile, self._device, scorer)

    def inputs(self, query: str, passages: Sequence[str]) -> list[list[int]]:
        """Return the token ids of every pair, as the model reads them."""
        return [pair.ids for pair in self._inputs(query, passages)]

    def _inputs(self, query: str, passages: Sequence[str]) -> list[PairTokens]:
        return decoder_pairs(self._layout, query, passages)

    def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Return one logit per passage, shape (len(passages),).

        Raises:
            ModelError: If memory runs out for one pair, or a logit is not finite.
        """
        return self.score_many([(query, passages)])[0]

    def score_many(self, asked: Sequence[tuple[str, Sequence[str]]]) -> list[NDArray[np.float32]]:
        """Score many queries at once. Pairs are batched by length across queries.

        Raises:
            ModelError: If memory runs out for one pair, or a logit is not finite.
        """
        return self._pairs.score_many(asked)

    def _forward(self, pairs: Sequence[PairTokens]) -> NDArray[np.float32]:
        """Score some pairs at once, padded on the left so that all end at the last position; shape (len(pairs),)."""
        import torch

        self.forwards += 1
        batch = padded_left(pairs, self._pad, self._device)
        with torch.inference_mode():
            logits: NDArray[np.float32] = self._scorer(batch).float().cpu().numpy()
        return logits
