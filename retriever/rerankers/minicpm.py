"""bge-reranker-v2-minicpm-layerwise without its own code: a decoder with one scoring head per layer.

The released folder brings code that no longer imports with today's transformers, and code from a model folder is not run
here anyway. MiniCPM is Llama with three constants, which transformers knows as Granite: embeddings times `scale_emb`, every
residual branch times `scale_depth / sqrt(layers)`, attention divided by sqrt(head size). The reference
(`inference/reranker/decoder_only/models/modeling_minicpm_reranker.py` of FlagEmbedding) puts the states after layer N through
the final norm and through head `N - start_layer`; layers above the cutoff are not even loaded.
"""

from copy import copy
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import read_json
from quarry.indexer.models.forward.precision import Compute
from quarry.indexer.models.loading import load_weights
from quarry.retriever.rerankers.depth import Compression, DepthError, PairBatch, last_state, last_states, no_compression

if TYPE_CHECKING:
    from torch import Tensor

ARCHITECTURE = "LayerWiseMiniCPMForCausalLM"
_EXPECTED = {"head_type": "simple", "rope_scaling": None, "attention_bias": False}  # what the released model has


def check_settings(config: dict[str, Any], layers: int) -> None:
    """Check that a layer-wise reranker is of the released kind.

    Raises:
        DepthError: If the cutoff has no head.
        ModelError: If a setting is not the released model's.
    """
    _check_cutoff(layers, int(config["start_layer"]), int(config["num_hidden_layers"]))
    odd = {key: config[key] for key, value in _EXPECTED.items() if config.get(key, value) != value}
    if odd:
        raise ModelError(
            "rerankers.other_settings",
            "this layer-wise reranker has {odd}",
            expected="{wanted}, as the released one has",
            do="Choose another reranker",
            odd=str(odd),
            wanted=str(_EXPECTED),
        )


def _check_cutoff(layers: int, first: int, count: int) -> None:
    if not first <= layers <= count:
        raise DepthError(
            "rerankers.cutoff_heads",
            "the layer cutoff is {layers}",
            expected="{first} to {count}, the layers with a head",
            layers=layers,
            first=first,
            count=count,
        )


class LayerwiseMiniCPM:
    """The first layers of a layer-wise MiniCPM reranker, and the head that belongs to them.

    Args:
        folder: The model folder.
        config: Its `config.json`.
        layers: How many layers are run, from the first one with a head to the last.
        where: Device and precision.

    Raises:
        ModelError: If a weight is missing.
    """

    def __init__(self, folder: Path, config: dict[str, Any], layers: int, where: Compute) -> None:
        from transformers import GraniteModel

        self._folder, self._config, self._where = folder, config, where
        self._layers = self._loaded = layers
        self._model = load_weights(
            GraniteModel, folder, device=where.device, precision=where.precision, config=_as_granite(config, layers)
        )
        self._head = self._head_of(layers)

    def at(self, cutoff_layers: int | None, compress: int | None) -> Self:
        """See `quarry.retriever.rerankers.depth.Adjustable`; at most the layers that were loaded."""
        if compress not in (None, 1):
            raise no_compression(str(self._folder))
        found, layers = copy(self), cutoff_layers or self._layers
        _check_cutoff(layers, int(self._config["start_layer"]), self._loaded)
        found._layers, found._head = layers, self._head_of(layers)
        return found

    def _head_of(self, layers: int) -> "Tensor":
        number = f".{layers - int(self._config['start_layer'])}" if self._config.get("head_multi") else ""
        return head_weight(self._folder, f"lm_head{number}.linear_head.weight").float().to(self._where.device)

    def __call__(self, batch: PairBatch) -> "Tensor":
        """Return the logit at the last position, shape (rows,), float32."""
        with self._where.products():
            if self._layers < self._loaded:
                (last,) = last_states(self._model, batch, [self._layers], Compression())
            else:
                last = last_state(self._model, batch)
        logits: Tensor = last.float() @ self._head[0]
        return logits


def _as_granite(config: dict[str, Any], layers: int) -> Any:
    from transformers import GraniteConfig

    heads = int(config["num_attention_heads"])
    same = ("vocab_size", "hidden_size", "intermediate_size", "hidden_act", "rms_norm_eps", "max_position_embeddings")
    return GraniteConfig(
        **{key: config[key] for key in same},
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=int(config.get("num_key_value_heads") or heads),
        embedding_multiplier=float(config["scale_emb"]),
        residual_multiplier=float(config["scale_depth"]) / sqrt(int(config["num_hidden_layers"])),
        attention_multiplier=1 / sqrt(int(config["hidden_size"]) // heads),
        rope_parameters={"rope_type": "default", "rope_theta": float(config.get("rope_theta", 10_000.0))},
        pad_token_id=None,
    )


def head_weight(folder: Path, name: str) -> "Tensor":
    """Return one tensor of a model folder. Raises ModelError when it is not there."""
    from safetensors import safe_open

    index = read_json(folder / "model.safetensors.index.json").get("weight_map", {})
    path = folder / index.get(name, "model.safetensors")
    if path.parent != folder or not path.is_file():
        raise ModelError(
            "rerankers.no_weights", "{folder} has no {name}", do="Copy the model again", folder=folder, name=path.name
        )
    with safe_open(path, framework="pt") as weights:
        if name not in weights.keys():  # noqa: SIM118 (safe_open is not a mapping)
            raise ModelError(
                "rerankers.no_head",
                "{path} has no {name}, the scoring head of this cutoff",
                do="Copy the model again",
                path=path,
                name=name,
            )
        found: Tensor = weights.get_tensor(name)
    return found
