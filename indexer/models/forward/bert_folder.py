"""Which model folders `bert.Bert` computes, and their weights: mapped from safetensors, nothing converted that need not be."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quarry.indexer.messages import Message
from quarry.indexer.models.folder import read_json
from quarry.indexer.models.forward.precision import Compute, lighten

if TYPE_CHECKING:
    from torch import Tensor

    from quarry.indexer.models.forward.bert import Bert, BertShape

_COUNTED_FROM_PADDING = ("roberta", "xlm-roberta", "camembert")
_MODEL_TYPES = ("bert", *_COUNTED_FROM_PADDING)
_PREFIXES = ("", "bert.", "roberta.", "model.")
_TOKENS = "embeddings.word_embeddings.weight"
# of a layer: our name -> transformers'
_OF_LAYER = {
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "widened": "intermediate.dense",
    "narrowed": "output.dense",
    "norm": "output.LayerNorm",
}


def why_not_bert(folder: Path, config: dict[str, Any]) -> Message | None:
    """Return why a folder needs transformers, None when `load_bert` may read it."""
    kind = config.get("model_type")
    if kind not in _MODEL_TYPES:
        return Message.of("models.other_architecture", "its architecture is {kind}", kind=str(kind))
    if not (folder / "tokenizer.json").is_file():
        return Message.of("models.no_fast_tokenizer", "it has no tokenizer.json")
    if (folder / "adapter_config.json").is_file():
        return Message.of("models.has_adapter", "it has an adapter")
    unusual = [
        f"{key}={config[key]}"
        for key, usual in (
            ("position_embedding_type", "absolute"),
            ("is_decoder", False),
            ("add_cross_attention", False),
            ("quantization_config", None),
            ("embedding_size", None),
        )
        if config.get(key, usual) not in (usual, None)
    ]
    if unusual:
        return Message.of("models.unusual_config", "its configuration says {unusual}", unusual=unusual)
    return None


def load_bert(folder: Path, config: dict[str, Any], where: Compute) -> "Bert | Message":
    """Load an encoder for inference.

    Args:
        folder: A model folder that `why_not_bert` has nothing against.
        config: Its `config.json`.
        where: Device and precision.

    Returns:
        The encoder, or why transformers has to read this folder: it knows more forms of weights, and names what is damaged.
    """
    import torch
    from safetensors import SafetensorError

    from quarry.indexer.models.forward.bert import Bert

    shape = _shape(config)
    if isinstance(shape, Message):
        return shape
    with torch.device("meta"):  # no memory for weights that are replaced
        encoder = Bert(shape).eval()
    try:
        encoder.load_state_dict(_state(shape, _Stored(folder)), strict=True, assign=True)
    except (KeyError, OSError, RuntimeError, SafetensorError, ValueError) as err:
        return Message.of("models.other_weights", "its weights are not as expected ({error})", error=str(err))
    encoder.requires_grad_(False)
    if where.precision == "bfloat16":
        if where.device.startswith("cuda"):
            encoder.to(torch.bfloat16)
        else:
            lighten(encoder)
    return encoder.to(where.device)


def _shape(config: dict[str, Any]) -> "BertShape | Message":
    from quarry.indexer.models.forward.bert import ACTIVATIONS, BertShape

    activation = config.get("hidden_act", "gelu")
    if activation not in ACTIVATIONS:
        return Message.of("models.other_activation", "its activation is {activation}", activation=str(activation))
    counted = config["model_type"] in _COUNTED_FROM_PADDING
    try:
        return BertShape(
            vocabulary=int(config["vocab_size"]),
            positions=int(config["max_position_embeddings"]),
            width=int(config["hidden_size"]),
            inner=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            epsilon=float(config["layer_norm_eps"]),
            activation=activation,
            offset=int(config["pad_token_id"]) if counted else None,
        )
    except (KeyError, TypeError, ValueError) as err:
        return Message.of("models.incomplete_config", "its configuration lacks {key}", key=str(err))


class _Stored:
    """The weights of a folder by transformers' names, whatever class saved them. Raises KeyError, OSError or SafetensorError."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        names = ["model.safetensors"]
        if not (folder / names[0]).is_file():
            names = sorted(set(read_json(folder / "model.safetensors.index.json")["weight_map"].values()))
        opened: list[Any] = [safe_open(folder / name, framework="pt") for name in names]
        self._files = {key: file for file in opened for key in file.keys()}  # noqa: SIM118 (not a dict: it cannot be iterated)
        self._prefix = next((prefix for prefix in _PREFIXES if prefix + _TOKENS in self._files), "")

    def raw(self, name: str) -> "Tensor":
        """Return a weight as it is stored: a view of the mapped file, of which only what is used is read.

        Raises:
            ValueError: If it is not of floating-point numbers that are converted to float32 exactly.
        """
        import torch

        found: Tensor = self._files[self._prefix + name].get_tensor(self._prefix + name)
        if found.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise ValueError(f"{name} is stored as {found.dtype}")
        return found

    def __call__(self, name: str) -> "Tensor":
        """Return a weight in float32."""
        return self.raw(name).float()


def _state(shape: "BertShape", stored: _Stored) -> dict[str, "Tensor"]:
    """Return the state of a `Bert` from transformers' names."""
    import torch

    types = stored("embeddings.token_type_embeddings.weight")
    state = {
        "tokens": stored.raw(_TOKENS),
        "places": stored("embeddings.position_embeddings.weight") + types[0],
    }
    for part in ("weight", "bias"):
        state[f"norm.{part}"] = stored(f"embeddings.LayerNorm.{part}")
        for number in range(shape.layers):
            theirs = f"encoder.layer.{number}."
            asked = [stored(f"{theirs}attention.self.{name}.{part}") for name in ("query", "key", "value")]
            state[f"layers.{number}.asked.{part}"] = torch.cat(asked)
            for name, their_name in _OF_LAYER.items():
                state[f"layers.{number}.{name}.{part}"] = stored(f"{theirs}{their_name}.{part}")
    return state
