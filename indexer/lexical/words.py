"""A word list that is looked up where it lies: for one question, reading a whole dictionary takes longer than the search.

File: magic, number of words, sum of frequencies, CRC-32 of what follows; then the places of the words in the text (one more than
there are words), their frequencies, and the text: all words in UTF-8, sorted by bytes. Numbers are little-endian.
"""

import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Self
from zlib import crc32

import numpy as np

from quarry.indexer.errors import IndexFormatError

_HEAD = struct.Struct("<8sIQI")
_MAGIC = b"qwords1\n"


class MappedWords(Mapping[str, int]):
    """Words and their frequencies, from a mapped file. A look-up takes about 10 microseconds."""

    def __init__(self, places: memoryview, frequencies: memoryview, text: memoryview, total: int) -> None:
        self._places, self._frequencies, self._text = places, frequencies, text
        self.total = total  # sum of frequencies

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file that `write_words` wrote.

        Raises:
            FileNotFoundError: If there is none.
            IndexFormatError: If it is damaged, or of another version.
        """
        with path.open("rb") as file:
            if path.stat().st_size < _HEAD.size:
                raise _damaged(path, "it is too short")
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        magic, count, total, crc = _HEAD.unpack_from(content)
        body = content[_HEAD.size :]
        if magic != _MAGIC or crc32(body) != crc:
            raise _damaged(path, "its content does not match its checksum")
        edge = 4 * (count + 1)
        return cls(body[:edge].cast("I"), body[edge : edge + 4 * count].cast("I"), body[edge + 4 * count :], total)

    def __getitem__(self, word: str) -> int:
        """Return a word's frequency. Raises KeyError when it is not in the list."""
        wanted = word.encode("utf-8", "surrogatepass")
        low, high = 0, len(self._frequencies)
        while low < high:
            middle = (low + high) // 2
            found = bytes(self._text[self._places[middle] : self._places[middle + 1]])
            if found == wanted:
                return self._frequencies[middle]
            if found < wanted:
                low = middle + 1
            else:
                high = middle
        raise KeyError(word)

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self._frequencies)

    def __iter__(self) -> Iterator[str]:
        """Yield the words, by bytes."""
        for start, end in zip(self._places[:-1], self._places[1:], strict=True):
            yield str(self._text[start:end], "utf-8")


def write_words(path: Path, words: Mapping[str, int]) -> None:
    """Write a word list for `MappedWords.open`; readers see the old file or the new one.

    Raises:
        OSError: If it cannot be written.
    """
    pairs = sorted((word.encode("utf-8"), frequency) for word, frequency in words.items())
    places = np.cumsum([0, *(len(word) for word, _ in pairs)], dtype=np.uint64).astype("<u4")
    frequencies = np.array([frequency for _, frequency in pairs], dtype="<u4")
    body = places.tobytes() + frequencies.tobytes() + b"".join(word for word, _ in pairs)
    head = _HEAD.pack(_MAGIC, len(pairs), sum(words.values()), crc32(body))
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False) as file:
        try:
            file.write(head + body)
            file.flush()
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _damaged(path: Path, what: str) -> IndexFormatError:
    return IndexFormatError(
        "lexical.words_damaged",
        "the word list {path} is damaged ({what})",
        expected="the one that was written",
        do="Remove it; it is made again",
        path=path,
        what=what,
    )
