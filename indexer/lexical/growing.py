"""An npy file that is written piece by piece, so that it need not fit into memory."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class GrowingArray:
    """Writes an npy file. NumPy leaves room in the head for a longer length, which is entered at the end.

    Args:
        path: The file; it must not exist yet.
        dtype: Type of its numbers; they are written in little-endian order.
        width: Numbers in a row; None for an array of one dimension.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], width: int | None = None) -> None:
        self._dtype = dtype.newbyteorder("<")
        self._row = () if width is None else (width,)
        self._length = 0
        self._file = path.open("xb")
        self._head()
        self._start = self._file.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._head()
                if self._file.tell() != self._start:
                    raise ValueError(
                        f"the head of {self._file.name} grew from {self._start} to {self._file.tell()} bytes"
                    )
        finally:
            self._file.close()

    def append(self, values: NDArray[Any]) -> None:
        """Write more numbers, or rows of them. Raises ValueError when rows have another width."""
        if values.shape[1:] != self._row:
            raise ValueError(f"rows have shape {values.shape[1:]}; expected {self._row}")
        self._file.write(np.ascontiguousarray(values, dtype=self._dtype).tobytes())
        self._length += len(values)

    def _head(self) -> None:
        head = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._length, *self._row)}
        npy.write_array_header_1_0(self._file, head)
