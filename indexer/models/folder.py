"""A model folder: its files, its configuration, the name that it carries. Loads nothing."""

from json import loads
from pathlib import Path
from typing import Any

from quarry.indexer.errors import ModelError
from quarry.indexer.models.bounds import check_bounds

_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "vocab.json",
    "spiece.model",
)

_MOST_JSON = 64 << 20  # bytes; the largest is the index of the weights of a very large model, with about one

MULTI_VECTOR_HEAD = "colbert_linear"
"""Name of the file with bge-m3's multi-vector head, without its ending."""

SPARSE_HEAD = "sparse_linear"
"""Name of the file with bge-m3's sparse head, without its ending."""

HEADS = (f"{MULTI_VECTOR_HEAD}.safetensors", f"{SPARSE_HEAD}.safetensors")
"""Weights beside the model's: they change no vector, so a model's identity does not depend on them."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, empty when there is no such file.

    Raises:
        ModelError: If the file is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        content = loads(small_text(path, _MOST_JSON))
    except (OSError, ValueError, RecursionError) as err:
        raise ModelError(
            "models.not_json",
            "{path} is not readable JSON ({error})",
            do="Copy or download the model again",
            path=path,
            error=str(err),
        ) from err
    if not isinstance(content, dict):
        raise ModelError(
            "models.not_an_object",
            "{path} holds a JSON {kind}",
            expected="an object",
            do="Copy or download the model again",
            path=path,
            kind=type(content).__name__,
        )
    return content


def small_text(path: Path, most: int) -> str:
    """Return a text file. Raises ValueError when it has more than so many bytes, OSError when it cannot be read."""
    if path.stat().st_size > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return path.read_text(encoding="utf-8")


def check_folder(folder: Path) -> dict[str, Any]:
    """Check that a folder holds a loadable model and return its `config.json`.

    Raises:
        ModelError: If it is not a folder, or has no config, no safetensors weights, or no tokenizer, or asks for sizes that its
            weights do not have.
    """
    if not folder.is_dir():
        raise ModelError(
            "models.no_folder",
            "{folder} is not a folder",
            expected="a model folder with config.json and model.safetensors",
            do="See `quarry models`",
            folder=folder,
        )
    config = read_json(folder / "config.json")
    if not config:
        raise ModelError(
            "models.no_config",
            "{folder} has no config.json",
            expected="a Hugging Face or sentence-transformers model folder",
            do="See `quarry models`",
            folder=folder,
        )
    if not any(path.name not in HEADS for path in folder.glob("*.safetensors")):
        raise _no_safetensors(folder)
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ModelError(
            "models.no_tokenizer",
            "{folder} has no tokenizer",
            expected="one of {names}",
            do="Copy or download the model again",
            folder=folder,
            names=list(_TOKENIZER_FILES),
        )
    check_bounds(folder, config)
    return config


def _no_safetensors(folder: Path) -> ModelError:
    if any(folder.glob("pytorch_model*.bin")):
        return ModelError(
            "models.pickled",
            "{folder} has pickled weights only (pytorch_model.bin), which are never loaded because they can run code",
            expected="*.safetensors weights",
            do="Save the model as safetensors first, where you trust it",
            folder=folder,
        )
    return ModelError(
        "models.no_weights",
        "{folder} has no weights",
        expected="*.safetensors files",
        do="Copy or download the model again",
        folder=folder,
    )


def stored_id(folder: Path, config: dict[str, Any]) -> str:
    """Return the repository id that a model folder carries, empty when it carries none.

    Looks at the hub cache's layout (`models--BAAI--bge-m3/snapshots/...`), then at `_name_or_path` in the config.
    """
    for part in folder.parts:
        if part.startswith("models--"):
            return part.removeprefix("models--").replace("--", "/", 1)
    name = config.get("_name_or_path", "")
    return name if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/")) else ""
