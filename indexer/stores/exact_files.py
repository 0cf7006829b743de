"""The data files of the exact store, read and checked: ids and vectors."""

from json import loads
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.messages import Message
from quarry.indexer.stores.sealed import other_content, unreadable


def read_ids(path: Path) -> Any:
    """Return the content of a file of ids. Raises IndexFormatError when it is not JSON."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        wanted = Message.of("stores.list_of_ids", "a list of ids")
        raise unreadable(path, Message.plain(str(err)), wanted) from err


def checked_ids(ids: Any, count: int | None, path: Path) -> list[str]:
    """Return ids that were read. Raises IndexFormatError unless they are different texts, `count` of them when it is given."""
    if not isinstance(ids, list) or not all(isinstance(chunk_id, str) for chunk_id in ids):
        raise other_content(
            path, Message.of("stores.no_ids", "no list of ids"), Message.of("stores.id_each", "an id for each vector")
        )
    if len(set(ids)) != len(ids) or len(ids) != (len(ids) if count is None else count):
        raise other_content(
            path,
            Message.of(
                "stores.ids", "{count:id|ids}, {different} of them different", count=len(ids), different=len(set(ids))
            ),
            Message.of("stores.different_ids", "{count} different ones", count=count or len(ids)),
        )
    return ids


def load_vectors(path: Path, shape: tuple[int, int]) -> Vectors:
    """Map a file of vectors into memory. Raises IndexFormatError unless it holds float32 of this shape."""
    try:
        matrix: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TokenError) as err:  # the last two from NumPy's header parser
        wanted = Message.of("stores.vectors_of_shape", "vectors of shape {shape}", shape=str(shape))
        raise unreadable(path, Message.plain(str(err)), wanted) from err
    if matrix.shape != shape or matrix.dtype != np.float32 or not matrix.flags.c_contiguous:
        raise other_content(
            path,
            Message.of("stores.shape", "{kind} of shape {shape}", kind=str(matrix.dtype), shape=str(matrix.shape)),
            Message.of("stores.shape", "{kind} of shape {shape}", kind="float32", shape=str(shape)),
        )
    return matrix
