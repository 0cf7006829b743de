"""Strings in a mapped file: looked up where they lie, so that a million of them cost nothing to open.

The text of all strings stands one after the other, in UTF-8; `places` says where each begins. Sorted by bytes they are in the order
of Python's strings, and a string's number is found by binary search in a few microseconds.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 64


def encoded(word: str) -> bytes:
    """Return a string as bytes that sort as strings do; half a surrogate pair, which broken texts hold, is allowed."""
    return word.encode("utf-8", "surrogatepass")


def decoded(word: bytes) -> str:
    """Return the string of bytes that `encoded` made."""
    return word.decode("utf-8", "surrogatepass")


class StringTable:
    """Numbered strings.

    Args:
        text: The bytes of all strings, shape (bytes,), uint8.
        places: Where each begins, and the end of the last, shape (strings + 1,), integers of any type.
    """

    def __init__(self, text: NDArray[np.uint8], places: NDArray[Any]) -> None:
        self._text, self._places = text.data, places.data  # their items are read ten times as fast as those of arrays
        self._numbers = places

    @classmethod
    def of(cls, words: Sequence[bytes]) -> "StringTable":
        """Make a table in memory."""
        return cls(np.frombuffer(b"".join(words), dtype=np.uint8), places_of(words))

    def __len__(self) -> int:
        return len(self._places) - 1

    def __getitem__(self, number: int) -> str:
        """Return a string by its number."""
        return decoded(self.raw(number))

    def __iter__(self) -> Iterator[str]:
        return map(decoded, self.raw_from(0, len(self)))

    def some(self, numbers: Sequence[int]) -> list[str]:
        """Return strings by their numbers, in order."""
        text, places = self._text, self._places
        return [str(text[places[each] : places[each + 1]], "utf-8", "surrogatepass") for each in numbers]

    @property
    def size(self) -> int:
        """Bytes of all strings together."""
        return len(self._text)

    def arrays(self) -> tuple[NDArray[np.uint8], NDArray[Any]]:
        """Return what it was made of."""
        return np.frombuffer(self._text, dtype=np.uint8), self._numbers

    def raw(self, number: int) -> bytes:
        """Return the bytes of a string."""
        return bytes(self._text[self._places[number] : self._places[number + 1]])

    def raw_from(self, first: int, stop: int) -> list[bytes]:
        """Return the bytes of the strings from one number to before another."""
        begin = self._places[first]
        text = bytes(self._text[begin : self._places[stop]])
        limits = (self._numbers[first : stop + 1] - begin).tolist()
        return [text[start:end] for start, end in pairwise(limits)]

    def place_of(self, word: bytes) -> int:
        """Return how many strings of a sorted table come before these bytes."""
        text, places = self._text, self._places
        block = bisect_left(self._heads, word)
        low, high = max(0, (block - 1) * _BLOCK), min(block * _BLOCK, len(self))
        while low < high:
            middle = (low + high) // 2
            if text[places[middle] : places[middle + 1]].tobytes() < word:
                low = middle + 1
            else:
                high = middle
        return low

    @cached_property
    def _heads(self) -> list[bytes]:
        """The first string of each block, so that most steps of a search are among these."""
        return [self.raw(number) for number in range(0, len(self), _BLOCK)]

    def find(self, word: str) -> int | None:
        """Return the number of a string in a sorted table, None when it is not there."""
        raw = encoded(word)
        place = self.place_of(raw)
        return place if place < len(self) and self.raw(place) == raw else None

    def holding(self, signs: Iterable[str]) -> list[int]:
        """Return the numbers of the strings that hold any of these characters, in order."""
        pattern = b"|".join(re.escape(encoded(sign)) for sign in signs)
        if not pattern:
            return []
        found = np.fromiter((match.start() for match in re.finditer(pattern, self._text)), dtype=np.int64)
        numbers: list[int] = np.unique(np.searchsorted(self._numbers, found, side="right") - 1).tolist()
        return numbers


class GrowingStrings:
    """Strings that come one after the other, without an object for each."""

    def __init__(self) -> None:
        self._text, self._places = bytearray(), array("q", [0])
        self.last = b""

    def __len__(self) -> int:
        return len(self._places) - 1

    def extend(self, words: Sequence[bytes]) -> None:
        """Add strings."""
        place = len(self._text)
        self._text += b"".join(words)
        self._places.extend((place + places_of(words)[1:]).tolist())
        self.last = words[-1] if words else self.last

    def table(self) -> StringTable:
        """Return them all; nothing can be added afterwards."""
        return StringTable(np.frombuffer(self._text, dtype=np.uint8), np.frombuffer(self._places, dtype=np.int64))


def places_of(words: Sequence[bytes]) -> NDArray[np.int64]:
    """Return where each string begins when they stand one after the other, and where the last ends."""
    places = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, words), dtype=np.int64, count=len(words)), out=places[1:])
    return places
