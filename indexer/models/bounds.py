"""What a model's folder may ask for, checked before anything of it is loaded: a folder from elsewhere is data, and may be made to hurt.

The libraries believe a `config.json`: a million layers are made one by one, a hidden size of a billion is allocated before the weights
are looked at, and a name in `attn_implementation` may fetch code. The weights that lie there say what is plausible.
"""

from pathlib import Path
from typing import Any

from quarry.indexer.errors import ModelError

_MOST_LAYERS = 1_024  # the largest published models have below 200
_MOST = {
    "num_hidden_layers": _MOST_LAYERS,
    "num_attention_heads": 4_096,
    "num_key_value_heads": 4_096,
    "vocab_size": 1 << 24,
    "type_vocab_size": 1 << 16,
    "max_position_embeddings": 1 << 24,
    "hidden_size": 1 << 20,
    "intermediate_size": 1 << 22,
    "head_dim": 1 << 16,
}
_MATRICES = (  # of which each model has at least one of these shapes
    ("hidden_size", "hidden_size"),
    ("hidden_size", "intermediate_size"),
)
_TABLES = (("vocab_size", "hidden_size"), ("type_vocab_size", "hidden_size"))
_LEARNED = frozenset({"bert", "roberta", "xlm-roberta", "camembert", "distilbert", "mpnet", "electra"})
_PER_BYTE = 2  # weights in four bits
_SLACK = 4  # narrow embeddings that are projected (ALBERT), matrices shared by heads


def check_bounds(folder: Path, config: dict[str, Any]) -> None:
    """Check that the sizes in a `config.json` are numbers, and no larger than the weights beside it allow.

    Args:
        folder: The model folder.
        config: Its `config.json`.

    Raises:
        ModelError: If one is of another kind or out of bounds, the folder holds an adapter, or attention is to be fetched from somewhere.
    """
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            "models.adapter",
            "{folder} holds an adapter (adapter_config.json), which changes a model that is somewhere else",
            expected="a whole model",
            do="Merge the adapter into its model and save that as safetensors",
            folder=folder,
        )
    for key in ("attn_implementation", "_attn_implementation", "experts_implementation"):
        if isinstance(config.get(key), str) and not config[key].replace("_", "").isalnum():
            raise _refused(folder, key, config[key], "a plain name such as sdpa")
    if not isinstance(config.get("model_type", ""), str):
        raise _refused(folder, "model_type", config["model_type"], "the name of an architecture")
    nested = config.get("text_config")
    for each in [config, nested] if isinstance(nested, dict) else [config]:
        _check_sizes(folder, each)


def _check_sizes(folder: Path, config: dict[str, Any]) -> None:
    sizes: dict[str, int] = {}
    for key, most in _MOST.items():
        value = config.get(key)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise _refused(folder, key, value, f"a whole number up to {most:,}")
        sizes[key] = value
    heads, width = sizes.get("num_attention_heads"), sizes.get("hidden_size", 1)
    if heads == 0 or width == 0:
        raise _refused(folder, "num_attention_heads" if heads == 0 else "hidden_size", 0, "at least one")
    if heads and "head_dim" not in sizes and width % heads and "hidden_size" in sizes:
        raise _refused(folder, "num_attention_heads", heads, f"a divisor of hidden_size, {width:,}")
    files = [*folder.glob("*.safetensors")]
    if not all(
        path.is_file() for path in files
    ):  # a dangling link: what is missing is named later, and nothing is loaded
        return
    room = _SLACK * _PER_BYTE * sum(path.stat().st_size for path in files)
    pairs = [*_MATRICES, *_TABLES]
    if config.get("model_type") in _LEARNED:
        pairs.append(("max_position_embeddings", "hidden_size"))
    for first, second in pairs:
        if first in sizes and second in sizes and sizes[first] * sizes[second] > room:
            found = f"{sizes[first]:,} by {second} {sizes[second]:,}"
            raise _refused(folder, first, found, f"what {room:,} weights at the most can hold")


def _refused(folder: Path, key: str, value: object, expected: str) -> ModelError:
    return ModelError(
        "models.config_value",
        "{path} has {key} = {value}",
        expected="{wanted}",
        do="Copy or download the model again, from a source that you trust",
        path=folder / "config.json",
        key=key,
        value=str(value)[:100],
        wanted=expected,
    )
