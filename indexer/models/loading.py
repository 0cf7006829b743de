"""Opening a model folder with transformers, safely: local files only, safetensors only, no code from it, nothing missing unnoticed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quarry.indexer.errors import ModelError
from quarry.indexer.models.folder import read_json
from quarry.indexer.models.forward.precision import Precision, lighten, split_device
from quarry.indexer.models.tokenizer import ModelTokenizer, apply_settings, check_size, read_stored, slow_tokenizer

# what transformers raises at the first place where a file of a folder is not as it expects
_WRONG = (
    OSError, ValueError, KeyError, IndexError, RuntimeError, ImportError, TypeError, AttributeError, AssertionError, ArithmeticError,
    MemoryError,
)  # fmt: skip  # a table
_KNOWN_DEVICES = re.compile(r"cpu|cuda(:\d+)?|mps")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep transformers from printing progress bars and remarks; failures are still raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def load_tokenizer(folder: Path, config: dict[str, Any], *, trust_remote_code: bool = False) -> ModelTokenizer:
    """Load the tokenizer as stored in `tokenizer.json`, and check that it fits the model's vocabulary.

    Raises:
        ModelError: If it cannot be loaded, is not a fast one, or its size does not fit.
    """
    from transformers import AutoTokenizer

    stored = read_stored(folder)
    try:
        with quiet_libraries():
            known = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except _WRONG as err:
        raise ModelError(
            "models.tokenizer_fails",
            "the tokenizer in {folder} cannot be loaded ({error})",
            do="Copy or download the model again",
            folder=folder,
            error=str(err),
        ) from err
    if not getattr(known, "is_fast", False):
        raise slow_tokenizer(folder)
    if stored is None:
        stored = known.backend_tokenizer
    else:
        apply_settings(stored, read_json(folder / "tokenizer_config.json"), known)
    check_size(folder, stored, config)
    return ModelTokenizer.of(stored, known)


def load_weights(
    auto_class: Any,
    folder: Path,
    *,
    device: str,
    precision: Precision = "float32",
    trust_remote_code: bool = False,
    config: Any = None,
    optional: str = "pooler",
) -> Any:
    """Load a model for inference, every weight from the file.

    Args:
        auto_class: A transformers Auto class, or a model class.
        folder: The model folder.
        device: A torch device.
        precision: `bfloat16` converts the whole model on a GPU and its linear layers on a CPU; call it in `Compute.products`.
        trust_remote_code: Whether code in the folder may run.
        config: A transformers config to use instead of the folder's.
        optional: Weights with this in their name may be missing because nothing reads them; empty allows none.

    Raises:
        ModelError: If weights are missing, truncated, or the folder needs code that is not allowed.
    """
    import torch
    from safetensors import SafetensorError

    gpu = device.startswith("cuda")
    dtype = torch.bfloat16 if gpu and precision == "bfloat16" else torch.float32
    extra = {} if config is None else {"config": config}
    if _caps_attention(folder, config):
        extra["attn_implementation"] = "eager"
    try:
        with quiet_libraries():
            model, report = auto_class.from_pretrained(
                folder,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
                **extra,
            )
    except (*_WRONG, SafetensorError) as err:
        raise _not_loaded(folder, err) from err
    missing = sorted(key for key in report["missing_keys"] if not (optional and optional in key))
    if missing:
        raise ModelError(
            "models.missing_weights",
            "{folder} lacks {count:weight|weights}, first {first}",
            expected="all of them",
            do="Copy or download the model again",
            folder=folder,
            count=len(missing),
            first=missing[0],
        )
    if precision == "bfloat16" and not gpu:
        lighten(model.base_model)
    return model.to(device).eval()


def _not_loaded(folder: Path, err: Exception) -> ModelError:
    if "trust_remote_code" in str(err):  # transformers has no class of its own for this
        return ModelError(
            "models.needs_code",
            "the model in {folder} cannot be loaded without its own code ({error})",
            do="Allow it with trust_remote_code=True in EncoderOptions if you trust it, or choose a model of `quarry models`",
            folder=folder,
            error=str(err),
        )
    return ModelError(
        "models.not_loaded",
        "the model in {folder} cannot be loaded ({error})",
        do="Copy or download the model again",
        folder=folder,
        error=str(err),
    )


def _caps_attention(folder: Path, config: Any) -> bool:
    """Whether attention scores are soft-capped, as Gemma 2's are: fused attention silently leaves the cap out.

    Earlier versions of transformers 5 choose fused attention for Gemma 2 by default (5.10 does, 5.23 does not).
    """
    if config is not None:
        return getattr(config, "attn_logit_softcapping", None) is not None
    stored = read_json(folder / "config.json")
    return stored.get("attn_logit_softcapping") is not None or stored.get("model_type") == "gemma2"


def choose_device(wanted: str) -> str:
    """Turn `auto` into CUDA or the CPU; a precision after it is dropped, see `split_device`.

    `mps`, the GPU of a Mac, is taken when it is asked for: nothing was measured on it yet, so `auto` does not choose it.

    Raises:
        ModelError: If there is no such device.
    """
    import torch

    wanted, _ = split_device(wanted)
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(
            "models.no_cuda",
            "device {device} was asked for, and this machine has no CUDA device",
            do="Use --device cpu or auto",
            device=repr(wanted),
        )
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise ModelError(
            "models.no_mps",
            "device mps was asked for, and torch finds no GPU of a Mac",
            do="Use --device cpu or auto",
        )
    if not _KNOWN_DEVICES.fullmatch(wanted):
        raise ModelError(
            "models.unknown_device",
            "the device is {device}",
            expected="auto, cpu, cuda, cuda:N or mps",
            do="Correct it",
            device=repr(wanted),
        )
    return wanted
