"""RetroMAE (Xiao et al. 2022, arXiv 2205.12035), as C-Pack pre-trains with it: a text is rebuilt from its [CLS] state alone.

    encoder   reads the text with a share of its tokens masked; its own head guesses these tokens (MLM)
    decoder   one layer over [CLS] and the words' embeddings: each position asks with the [CLS] state and its place, and sees a context
              of its own, never itself ("enhanced decoding"); it guesses every token of the text

The decoder is so weak and sees so little that it must take the text out of [CLS]. It is thrown away afterwards.
Which tokens are masked or seen is drawn where batches are made (`MaskedTexts`), so that a resumed run draws the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from quarry.indexer.models.tokenizer import ModelTokenizer

IGNORED = -100  # label of a token that is not guessed


@dataclass(frozen=True, slots=True)
class MaskedTexts:
    """A batch, padded on the right; n texts of at most L tokens. Everything is int64 but `seen`.

    Attributes:
        ids: The whole texts, special tokens included, shape (n, L).
        mask: 1 for tokens, 0 for padding, shape (n, L).
        masked_ids: What the encoder reads, shape (n, L).
        masked_labels: What its head has to guess, else -100, shape (n, L).
        labels: What the decoder has to guess: every token but the special ones, else -100, shape (n, L).
        seen: Which positions each position of the decoder sees, bool, shape (n, L, L).
    """

    ids: Tensor
    mask: Tensor
    masked_ids: Tensor
    masked_labels: Tensor
    labels: Tensor
    seen: Tensor


@dataclass(frozen=True, slots=True)
class Masker:
    """Draws what is masked.

    Attributes:
        mask_id: The mask token.
        special: Numbers of the special tokens, which are never masked, hidden or guessed.
        encoder_share: Chance of a token to be masked for the encoder, above 0 and below 1; C-Pack: 0.3.
        decoder_share: Chance of a token to be hidden from a position of the decoder; C-Pack: 0.5.
        pad: The padding token.
    """

    mask_id: int
    special: frozenset[int]
    encoder_share: float
    decoder_share: float
    pad: int

    def __call__(self, texts: Sequence[Sequence[int]], seeds: Sequence[Sequence[int]]) -> MaskedTexts:
        """Mask texts given as tokens with their special ones; the draws of each follow from its own seed."""
        n, width = len(texts), max(map(len, texts))
        ids = np.full((n, width), self.pad, dtype=np.int64)
        mask = np.zeros((n, width), dtype=np.int64)
        chosen = np.zeros((n, width), dtype=bool)
        seen = np.zeros((n, width, width), dtype=bool)
        for line, (text, seed) in enumerate(zip(texts, seeds, strict=True)):
            rng, size = np.random.default_rng(list(seed)), len(text)
            ids[line, :size], mask[line, :size] = text, 1
            words = ~np.isin(text, list(self.special))
            chosen[line, :size] = words & (rng.random(size) < self.encoder_share)
            seen[line, :size, :size] = self._seen(words, rng)
        seen[:, :, 0] = True  # [CLS]; rows of padding see it too, so that no softmax is empty
        words = (mask == 1) & ~np.isin(ids, list(self.special))
        return MaskedTexts(
            ids=torch.from_numpy(ids),
            mask=torch.from_numpy(mask),
            masked_ids=torch.from_numpy(np.where(chosen, self.mask_id, ids)),
            masked_labels=torch.from_numpy(np.where(chosen, ids, IGNORED)),
            labels=torch.from_numpy(np.where(words, ids, IGNORED)),
            seen=torch.from_numpy(seen),
        )

    def _seen(self, words: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
        """Draw a context for every position: all special tokens, a share of the others, never itself."""
        size = len(words)
        found: NDArray[np.bool_] = ~words[None, :] | (rng.random((size, size)) >= self.decoder_share)
        np.fill_diagonal(found, val=False)
        return found


class DecoderLayer(nn.Module):
    """One transformer layer, normalized after each part like BERT's, whose queries are not its keys."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, asking: Tensor, context: Tensor, seen: Tensor) -> Tensor:
        """Return states, shape (n, L, width), of `asking` over `context`, both of that shape; `seen` is bool, (n, L, L)."""
        n, length, width = asking.shape

        def split(states: Tensor) -> Tensor:
            return states.view(n, length, self.heads, width // self.heads).transpose(1, 2)

        mixed = functional.scaled_dot_product_attention(
            split(self.query(asking)), split(self.key(context)), split(self.value(context)), attn_mask=seen[:, None]
        )
        states = self.first(asking + self.dropout(self.out(mixed.transpose(1, 2).reshape(n, length, width))))
        found: Tensor = self.second(states + self.dropout(self.down(functional.gelu(self.up(states)))))
        return found


class RetroMae(nn.Module):
    """A masked language model (BERT, RoBERTa or XLM-R) with the decoder on top."""

    def __init__(self, model: Any) -> None:
        """Take transformers' model for masked language modeling; its embeddings and head are the decoder's as well."""
        super().__init__()
        self.model = model
        config = model.config
        self.decoder = DecoderLayer(
            config.hidden_size, config.num_attention_heads, config.intermediate_size, config.hidden_dropout_prob
        )
        for module in self.decoder.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=config.initializer_range)
                nn.init.zeros_(module.bias)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        found: torch.device = next(self.parameters()).device
        return found

    @property
    def body(self) -> Any:
        """The encoder that is kept."""
        return self.model.base_model

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the encoder's last states, shape (n, L, width)."""
        states: Tensor = self.body(input_ids=ids, attention_mask=mask).last_hidden_state
        return states

    def decode(self, cls: Tensor, ids: Tensor, seen: Tensor) -> Tensor:
        """Return the decoder's states, shape (n, L, width), for texts `ids` out of [CLS] states, shape (n, width)."""
        embeddings = self.body.embeddings
        first = int(getattr(embeddings, "padding_idx", 0) or 0) + 1 if self._counts_from_padding() else 0
        places = torch.arange(first, first + ids.shape[1], device=ids.device).expand(ids.shape)
        repeated = cls[:, None].expand(-1, ids.shape[1], -1)
        asking = embeddings(inputs_embeds=repeated, position_ids=places)
        words = embeddings(input_ids=ids, position_ids=places)
        context = torch.cat([cls[:, None], words[:, 1:]], dim=1)
        found: Tensor = self.decoder(asking, context, seen)
        return found

    def _counts_from_padding(self) -> bool:
        """Whether positions begin after the padding token's number, as RoBERTa's do."""
        return str(self.model.config.model_type) in ("roberta", "xlm-roberta", "camembert")

    def logits(self, states: Tensor) -> Tensor:
        """Return the head's logits over the vocabulary."""
        head = self.model.cls if hasattr(self.model, "cls") else self.model.lm_head
        found: Tensor = head(states)
        return found

    def guess_loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross entropy over the tokens with a label; logits are computed for these only, and again on the way back."""
        wanted = labels != IGNORED
        if not bool(wanted.any()):
            return states.sum() * 0.0
        found: Tensor = checkpoint(self._loss_of, states[wanted], labels[wanted], use_reentrant=False)
        return found

    def _loss_of(self, states: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.logits(states).float(), labels)

    def forward(self, texts: MaskedTexts) -> Tensor:
        """Return the loss of a batch: the encoder's guesses and the decoder's, in equal parts."""
        states = self.encode(texts.masked_ids, texts.mask)
        decoded = self.decode(states[:, 0], texts.ids, texts.seen)
        return self.guess_loss(states, texts.masked_labels) + self.guess_loss(decoded, texts.labels)


def masker(tokenizer: "ModelTokenizer", encoder_share: float, decoder_share: float, mask_id: int) -> Masker:
    """Return what masks texts of a tokenizer."""
    special = frozenset(
        number for number, token in tokenizer.backend_tokenizer.get_added_tokens_decoder().items() if token.special
    )
    known = {tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id} - {None}
    always = frozenset(number for number in known if number is not None) | {mask_id}
    return Masker(mask_id, special | always, encoder_share, decoder_share, tokenizer.padding)
