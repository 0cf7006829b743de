"""Row numbers by digest, in sorted arrays: a million of them take 24 MB instead of the 180 of a dictionary, or are mapped."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

BYTES = 16  # of a digest
_ROOM = 32_768  # new digests that are gathered before the arrays are sorted again, at least


def as_rows(digests: Sequence[bytes]) -> NDArray[np.uint8]:
    """Return digests as an array of bytes, shape (n, 16)."""
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, BYTES)


class DigestTable:
    """Rows by digest; of equal digests the first stays.

    Args:
        digests: Ascending and different, shape (n, 16).
        rows: The row of each, shape (n,).
    """

    def __init__(self, digests: NDArray[np.uint8], rows: NDArray[np.integer]) -> None:
        self._digests, self._rows = _keys(digests), rows
        self._new: dict[bytes, int] = {}

    @classmethod
    def of(cls, digests: NDArray[np.uint8]) -> Self:
        """Number digests of shape (n, 16) in their order."""
        kept, rows = np.unique(_keys(digests), return_index=True)
        return cls(kept.view(np.uint8).reshape(-1, BYTES), rows)

    def sorted(self) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
        """Return the digests, ascending, shape (n, 16), and the row of each."""
        self._settle()
        return self._digests.view(np.uint8).reshape(-1, BYTES), self._rows

    def add(self, digests: Sequence[bytes], first: int) -> None:
        """Give digests the rows from `first` on."""
        for row, digest in enumerate(digests, first):
            self._new.setdefault(digest, row)
        if len(self._new) > max(_ROOM, len(self._rows) // 4):
            self._settle()

    def find(self, digests: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the row of each digest, -1 where it is not here."""
        found = np.full(len(digests), -1, dtype=np.int64)
        if len(self._rows) and len(digests):
            wanted = _keys(as_rows(digests))
            places = np.minimum(np.searchsorted(self._digests, wanted), len(self._rows) - 1)
            here = self._digests[places] == wanted
            found[here] = self._rows[places[here]]
        if self._new:
            for number in np.flatnonzero(found < 0).tolist():
                found[number] = self._new.get(digests[number], -1)
        return found

    def _settle(self) -> None:
        if not self._new:
            return
        added = np.fromiter(self._new.values(), dtype=np.int64, count=len(self._new))
        digests = np.concatenate([self._digests, _keys(as_rows(list(self._new)))])
        self._digests, first = np.unique(digests, return_index=True)
        self._rows = np.concatenate([self._rows.astype(np.int64), added])[first]
        self._new = {}


def _keys(digests: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return rows of bytes as fixed-width strings, which NumPy can sort; it compares all 16 bytes."""
    keys: NDArray[np.bytes_] = np.ascontiguousarray(digests).reshape(-1).view(f"S{BYTES}")
    return keys
