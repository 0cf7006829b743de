"""Rerankers that are language models: the logit of `Yes` after query, passage and question. bge-reranker-v2-gemma and kin.

The input is built as FlagEmbedding's reference does (`inference/reranker/decoder_only/base.py`):

    <bos> A: {query} \\n B: {passage} \\n {prompt}

The query is cut to three quarters of the length, then the passage to what is left; separator and prompt come on top.
A layer cut-off runs the first N layers, then the final norm and the head.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexer.batches import by_length, token_batches
from indexer.errors import ModelError
from indexer.loading import is_out_of_memory, load_tokenizer, load_weights
from indexer.profiles import RerankerProfile

_BUDGET_CPU, _BUDGET_GPU = 2048, 32_768  # padded tokens per forward
_QUERY_SHARE = 0.75


def load_decoder_reranker(
    folder: Path,
    config: dict[str, Any],
    profile: RerankerProfile,
    *,
    device: str,
    cutoff_layers: int | None,
    trust_remote_code: bool,
) -> "DecoderReranker":
    """Load a decoder reranker.

    Raises:
        ModelError: If the folder needs code of its own that is not allowed or not supported, or the cut-off is out of range.
    """
    if profile.kind == "lightweight" and "auto_map" in config:
        raise ModelError(
            f"{profile.model} compresses tokens between its layers with code of its own, which is not supported; expected a "
            "standard architecture. Choose BAAI/bge-reranker-v2-m3 or BAAI/bge-reranker-v2-gemma"
        )
    if "auto_map" in config and not trust_remote_code:
        raise ModelError(
            f"{profile.model} needs code from its own folder, which runs only when you allow it; expected trust_remote_code=True. "
            "Read that code first, or choose BAAI/bge-reranker-v2-m3"
        )
    return DecoderReranker(folder, config, profile, device, cutoff_layers or profile.cutoff_layers)


class DecoderReranker:
    """Scores by the `Yes` logit at the last position, in float32."""

    def __init__(
        self, folder: Path, config: dict[str, Any], profile: RerankerProfile, device: str, cutoff_layers: int | None
    ) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM

        remote = "auto_map" in config
        tokenizer = load_tokenizer(folder, config, trust_remote_code=remote)
        self._model = load_weights(AutoModelForCausalLM, folder, device=device, trust_remote_code=remote)
        self._layers = None if cutoff_layers is None else self._checked_cutoff(cutoff_layers, config, remote=remote)
        self._profile = profile
        self._device = device
        self._budget = _BUDGET_GPU if device.startswith("cuda") else _BUDGET_CPU
        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._bos = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        self._separator = self._ids("\n")
        self._prompt = self._ids(profile.prompt)
        self._yes = self._ids("Yes")[0]
        self._pad = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0)
        self.forwards = 0

    def _checked_cutoff(self, layers: int, config: dict[str, Any], *, remote: bool) -> int | None:
        """Cut a standard decoder to its first layers; a layer-wise one of its own code is told at each call."""
        count = int(config["num_hidden_layers"])
        if not 1 <= layers <= count:
            raise ModelError(f"the layer cut-off is {layers}; expected 1 to {count}, the layers of this reranker")
        if remote:
            return layers
        self._model.model.layers = self._model.model.layers[:layers]
        return None

    @property
    def name(self) -> str:
        """The model."""
        return self._profile.model

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def inputs(self, query: str, passages: Sequence[str]) -> list[list[int]]:
        """Return the token ids of every pair, as the model reads them."""
        longest = self._profile.max_tokens
        clean = [text.encode("utf-8", "replace").decode("utf-8")[: longest * 64] for text in (query, *passages)]
        head = [*self._bos, *self._ids(f"A: {clean[0]}")[: int(longest * _QUERY_SHARE)]]
        tail = [*self._separator, *self._prompt]
        room = longest + len(tail) - len(head) - len(self._separator)
        encoded = self._tokenizer.encode_batch([f"B: {text}" for text in clean[1:]], add_special_tokens=False)
        return [[*head, *self._separator, *passage.ids[: max(0, min(longest, room))], *tail] for passage in encoded]

    def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Return one logit per passage, shape (len(passages),).

        Raises:
            ModelError: If memory runs out for one pair, or a logit is not finite.
        """
        out = np.empty(len(passages), dtype=np.float32)
        if not passages:
            return out
        pairs = self.inputs(query, passages)
        lengths = [len(ids) for ids in pairs]
        for batch in token_batches(lengths, by_length(lengths), self._budget):
            self._score_batch([pairs[row] for row in batch], batch, out)
        if not np.isfinite(out).all():
            raise ModelError(f"{self.name} gave a score that is not a finite number; its weights or precision are broken")
        return out

    def _score_batch(self, pairs: list[list[int]], rows: list[int], out: NDArray[np.float32]) -> None:
        """Score one batch, padded on the left so that all end at the last position; halve it when memory runs out."""
        import torch

        longest = max(len(ids) for ids in pairs)
        padded = torch.full((len(pairs), longest), self._pad, dtype=torch.long)
        mask = torch.zeros((len(pairs), longest), dtype=torch.long)
        for line, ids in enumerate(pairs):
            padded[line, longest - len(ids) :] = torch.tensor(ids)
            mask[line, longest - len(ids) :] = 1
        try:
            self.forwards += 1
            with torch.inference_mode():
                logits = self._last_logits(padded.to(self._device), mask.to(self._device))
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            if len(pairs) == 1:
                raise ModelError(f"memory ran out for one pair of {longest} tokens on {self._device}; use --rerank none") from err
            self._budget = max(1, longest * len(pairs) // 2)
            middle = len(pairs) // 2
            self._score_batch(pairs[:middle], rows[:middle], out)
            self._score_batch(pairs[middle:], rows[middle:], out)
            return
        out[rows] = logits.float().cpu().numpy()

    def _last_logits(self, ids: Any, mask: Any) -> Any:
        if self._layers is not None:  # a layer-wise model of its own code gives one logit per layer asked for
            return self._model(input_ids=ids, attention_mask=mask, cutoff_layers=[self._layers]).logits[0][:, -1].view(-1)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        found = self._model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=1)
        return found.logits[:, -1, self._yes]
