"""bge-reranker-v2.5-gemma2-lightweight without its own code, with its token compression (`quarry.retriever.rerankers.depth`).

It is Gemma 2 with one scoring head per layer. As in the reference (`inference/reranker/decoder_only/models/gemma_model.py` of
FlagEmbedding), the states after layer N go through the final norm, a head and the soft cap. The reference takes its heads
in the order of the list of cutoffs, so that a single cutoff is scored by the first head whatever its layer is; this module
does the same, so that its scores are those of the reference. Layers above the cutoff are not even loaded.
"""

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from quarry.indexer.models.forward.precision import Compute
from quarry.indexer.models.loading import load_weights
from quarry.retriever.rerankers.depth import (
    COMPRESS_LAYERS,
    DepthError,
    PairBatch,
    checked_compression,
    last_state,
    last_states,
)
from quarry.retriever.rerankers.minicpm import head_weight

if TYPE_CHECKING:
    from torch import Tensor

ARCHITECTURE = "CostWiseGemmaForCausalLM"
_SAME = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_activation",
    "max_position_embeddings",
    "rms_norm_eps",
    "query_pre_attn_scalar",
    "sliding_window",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "attention_bias",
    "rope_theta",
    "rope_parameters",
)


class LightweightGemma:
    """The first layers of a lightweight reranker and the head that the reference scores with.

    Args:
        folder: The model folder.
        config: Its `config.json`.
        layers: How many layers are run; None runs all.
        where: Device and precision.
        ratio: Tokens of a passage that become one: 1, 2, 4 or 8.

    Raises:
        DepthError: If the cutoff has no head, or the ratio changes nothing.
        ModelError: If a weight is missing.
    """

    def __init__(
        self, folder: Path, config: dict[str, Any], layers: int | None, where: Compute, ratio: int = 1
    ) -> None:
        from transformers import Gemma2Config, Gemma2Model

        count = int(config["num_hidden_layers"])
        wanted = count if layers is None else layers
        self._folder, self._config = folder, config
        self._set(wanted, ratio, count)
        self._loaded = wanted
        shape = Gemma2Config(**{key: config[key] for key in _SAME if key in config}, num_hidden_layers=wanted)
        self._where = where
        self._model = load_weights(Gemma2Model, folder, device=where.device, precision=where.precision, config=shape)
        self._head = head_weight(folder, "lm_head.0.linear_head.weight").float().to(where.device)
        self._cap = config.get("final_logit_softcapping")

    def at(self, cutoff_layers: int | None, compress: int | None) -> Self:
        """See `quarry.retriever.rerankers.depth.Adjustable`; at most the layers that were loaded."""
        found = copy(self)
        found._set(cutoff_layers or self._layers, compress or self._compression.ratio, self._loaded)
        return found

    def _set(self, layers: int, ratio: int, count: int) -> None:
        first, step = int(self._config["start_layer"]), int(self._config.get("layer_sep", 1))
        if layers not in range(first, count + 1, step):
            raise DepthError(
                "rerankers.cutoff_steps",
                "the layer cutoff is {layers}",
                expected="{first} to {count} in steps of {step}, the layers with a head",
                layers=layers,
                first=first,
                count=count,
                step=step,
            )
        compressing = self._config.get("compress_layers") or COMPRESS_LAYERS
        self._layers = layers
        self._compression = checked_compression(str(self._folder), ratio, compressing, layers)

    def __call__(self, batch: PairBatch) -> "Tensor":
        """Return the logit at the last position, shape (rows,), float32."""
        with self._where.products():
            if self._compression.ratio > 1 or self._layers < self._loaded:
                (last,) = last_states(self._model, batch, [self._layers], self._compression)
            else:
                last = last_state(self._model, batch)
        logits: Tensor = last.float() @ self._head[0]
        return logits if self._cap is None else (logits / self._cap).tanh() * self._cap
