"""Single rows of a matrix in a file, read one after the other: reading through a mapping costs much more and stays resident.

A row touched in a mapped file makes the system map up to 2 MiB around it. A search of a million vectors compares some rows
everywhere in the file, so each search maps nearly all of it: 71 ms of processor time for 9,084 rows, where reading takes 16.
"""

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.stores.sealed import unreadable

_AT_ONCE = 256  # rows compared while they are in the processor's cache


class RowReader:
    """Reads rows of a matrix, shape (n, dim), from its file.

    The file stays open as long as the reader lives, as a mapping would: removing it changes nothing.
    """

    def __init__(self, matrix: Vectors) -> None:
        """Open the file of a mapped matrix; where the system cannot read at a place, rows come from the mapping.

        Raises:
            IndexFormatError: If the file is no longer there.
        """
        self._matrix = np.asarray(matrix)
        self._file: int | None = None
        if isinstance(matrix, np.memmap) and hasattr(os, "preadv"):
            self._path, self._offset = Path(str(matrix.filename)), int(matrix.offset)
            try:
                self._file = os.open(self._path, os.O_RDONLY)
            except OSError as err:
                wanted = Message.of("stores.vectors_of_shape", "vectors of shape {shape}", shape=str(matrix.shape))
                raise unreadable(self._path, Message.plain(str(err)), wanted) from err
            weakref.finalize(self, os.close, self._file)

    def rows(self, rows: NDArray[np.int64]) -> Vectors:
        """Return some rows in the order given, shape (len(rows), dim).

        Raises:
            IndexFormatError: If the file ends before one of them.
        """
        if self._file is None:
            return np.asarray(self._matrix[rows])
        out = np.empty((len(rows), self._matrix.shape[1]), dtype=self._matrix.dtype)
        self._read(self._file, rows, out)
        return out

    def similarities(self, query: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the products of some rows with a query of shape (dim,), up to rounding; shape (len(rows),).

        Raises:
            IndexFormatError: If the file ends before one of the rows.
        """
        out = np.empty(len(rows), dtype=np.float32)
        room = np.empty((min(_AT_ONCE, len(rows)), len(query)), dtype=np.float32)
        for first in range(0, len(rows), _AT_ONCE):
            part = rows[first : first + _AT_ONCE]
            here = room[: len(part)]
            if self._file is None:
                np.take(self._matrix, part, axis=0, out=here)
            else:
                self._read(self._file, part, here)
            np.vecdot(here, query, out=out[first : first + len(part)])
        return out

    def _read(self, file: int, rows: NDArray[np.int64], out: Vectors) -> None:
        """Fill `out` with rows; neighbors in the file are read together."""
        if not len(rows):
            return
        size, target = out.strides[0], out.view(np.uint8).reshape(-1).data
        begins = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
        places = (self._offset + rows[begins] * size).tolist()
        ends = [*(begins[1:] * size).tolist(), len(rows) * size]
        for begin, end, place in zip((begins * size).tolist(), ends, places, strict=True):
            self._fill(file, target[begin:end], place)

    def _fill(self, file: int, target: memoryview, place: int) -> None:
        read = os.preadv(file, [target], place)
        while read < len(target):  # one call reads 2 GiB at most
            more = os.preadv(file, [target[read:]], place + read)
            if not more:
                raise IndexFormatError(
                    "stores.file_ends",
                    "{path} ends after {size:,} bytes",
                    expected="vectors up to byte {end:,}",
                    do="See `quarry doctor INDEX`, roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
                    path=self._path,
                    size=place + read,
                    end=place + len(target),
                )
            read += more
