"""Small tensors that were learned for an index, read out of a safetensors file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def learned_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read all tensors, as float32.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged, or a number in it is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}
    except SafetensorError as err:
        raise ValueError(str(err)) from err
    if not all(np.isfinite(tensor).all() for tensor in found.values()):
        raise ValueError("not all numbers are finite")
    return found
