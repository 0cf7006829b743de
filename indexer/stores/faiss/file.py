"""What a FAISS index file says of itself in its first bytes, compared before FAISS reads the file and takes memory for it.

Layout: `faiss/impl/index_write.cpp`, `write_index_header`: four letters of the kind, then the length of a vector, the number of
vectors, two numbers that are not used, whether it is trained, and the metric; little-endian, without gaps.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import Struct, error
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.messages import Message
from quarry.indexer.stores.checks import vectors_message
from quarry.indexer.stores.sealed import other_content, unreadable

_HEADER = Struct("<4siqqq?i")
_KINDS = {"flat": b"IxFI", "hnsw-sq8": b"IHNs", "ivf-pq": b"IwPQ"}  # of an inner product, as `make_index` makes them
_INNER_PRODUCT = 0
_LIMITED = threading.Lock()  # FAISS has one limit for all threads


def check_file(path: Path, kind: str, shape: tuple[int, int]) -> None:
    """Compare the first bytes of a file with what it should be.

    Args:
        path: The file.
        kind: The kind of index that the store's header records.
        shape: Number and length of its vectors.

    Raises:
        IndexFormatError: If it is no FAISS index of this kind, or holds other vectors.
    """
    wanted = Message.of("stores.faiss_index", "a FAISS index")
    with path.open("rb") as file:
        start = file.read(_HEADER.size)
    try:
        letters, dim, count, _, _, trained, metric = _HEADER.unpack(start)
    except error as err:
        short = Message.of("stores.faiss_short", "it has {size} bytes", size=len(start))
        raise unreadable(path, short, wanted) from err
    if letters in _KINDS.values() and (count, dim) != shape:
        raise other_content(path, vectors_message(count, dim), vectors_message(*shape))
    if letters != _KINDS.get(kind) or not trained or metric != _INNER_PRODUCT:
        other = Message.of("stores.faiss_kind", "its first bytes are not those of the kind {kind}", kind=kind)
        raise unreadable(path, other, wanted)


def check_rows(rows: NDArray[np.int64], folder: Path, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the rows that a search found; FAISS compares the graph of HNSW when it reads one, the numbers in inverted lists never.

    Args:
        rows: What was found; -1 for nothing.
        folder: The store's folder.
        shape: Number and length of its vectors.

    Raises:
        IndexFormatError: If there is no such vector.
    """
    if rows.size and rows.max() >= shape[0]:
        raise other_content(folder, vectors_message(int(rows.max()) + 1, shape[1]), vectors_message(*shape))
    return rows


@contextmanager
def limited_to(path: Path, faiss: Any) -> Iterator[None]:
    """Let FAISS take no more memory for one array than the file that it reads has bytes."""
    with _LIMITED:
        before = faiss.get_deserialization_vector_byte_limit()
        faiss.set_deserialization_vector_byte_limit(2 * path.stat().st_size + 4096)
        try:
            yield
        finally:
            faiss.set_deserialization_vector_byte_limit(before)
