"""The two arrays of a linear layer in a `.pt` file, without unpickling anything.

`torch.save` writes a zip archive: a pickle that says how tensors are made of the bytes, and the bytes. Loading a pickle can run code,
so it is neither loaded nor interpreted. For one linear layer it is not needed: weight and bias are told apart by their sizes, and the
pickle is only searched for the name of the number format. Anything else in the file is refused.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile

from quarry.indexer.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_STORAGE = re.compile(rb"(Half|BFloat16|Float)Storage")
_BYTES = re.compile(r"[^/]+/data/\d+")
_MOST_PICKLED = 1 << 16  # bytes; that of one layer takes about 500
_WIDTHS = {b"Half": 2, b"BFloat16": 2, b"Float": 4}


def read_linear(path: Path, outputs: int, inputs: int) -> "dict[str, Tensor]":
    """Read the weight, shape (outputs, inputs), and the bias, shape (outputs,), in float32.

    Args:
        path: Written by `torch.save(linear.state_dict(), path)`.
        outputs: Rows of the weight.
        inputs: Columns of the weight, at least 2.

    Raises:
        ModelError: If the file holds anything but these two.
    """
    import torch

    kinds = {b"Half": torch.float16, b"BFloat16": torch.bfloat16, b"Float": torch.float32}
    try:
        with ZipFile(path) as archive:
            kind = _kind(archive)
            raw = _arrays(archive, {"weight": outputs * inputs * _WIDTHS[kind], "bias": outputs * _WIDTHS[kind]})
    except (OSError, BadZipFile, ValueError) as err:
        raise ModelError(
            "models.not_a_linear",
            "{path} is not a linear layer of {inputs} inputs and {outputs:output|outputs} ({error})",
            expected="a file as it was released, or {converted}",
            do="Copy or download it again, or save the layer as safetensors where you trust it",
            path=path,
            inputs=inputs,
            outputs=outputs,
            error=str(err),
            converted=path.with_suffix(".safetensors").name,
        ) from err
    found = {name: torch.frombuffer(data, dtype=kinds[kind]).float() for name, data in raw.items()}
    return {"weight": found["weight"].reshape(outputs, inputs), "bias": found["bias"]}


def _arrays(archive: ZipFile, sizes: dict[str, int]) -> dict[str, bytearray]:
    """Return the bytes of the arrays, by name. Raises ValueError when there are others than those of these sizes."""
    members = [info for info in archive.infolist() if _BYTES.fullmatch(info.filename)]
    if sorted(info.file_size for info in members) != sorted(sizes.values()):
        raise ValueError(f"arrays of {sorted(info.file_size for info in members)} bytes")
    by_size = {info.file_size: info for info in members}
    return {name: bytearray(archive.read(by_size[size])) for name, size in sizes.items()}


def _kind(archive: ZipFile) -> bytes:
    """Return the one number format that the pickle names. Raises ValueError when there is not exactly one."""
    pickled = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
    if len(pickled) != 1 or pickled[0].file_size > _MOST_PICKLED:
        raise ValueError("no description of tensors")
    order = [info for info in archive.infolist() if info.filename.endswith("/byteorder")]
    if any(info.file_size > 16 or archive.read(info) != b"little" for info in order):
        raise ValueError("another byte order")
    kinds = set(_STORAGE.findall(archive.read(pickled[0])))
    if len(kinds) != 1:
        raise ValueError(f"{len(kinds)} number formats")
    return bytes(kinds.pop())
