"""Reading and checking the files of a lexical index; whatever is wrong with one is an `IndexFormatError` that names it."""

from collections.abc import Mapping
from json import loads
from pathlib import Path
from tokenize import TokenError
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.errors import IndexFormatError

VOCABULARY_NAME, PARAMETERS_NAME = "vocab.index.json", "params.index.json"  # bm25s's names
ARRAYS = {  # name of the file in bm25s, and the kind of its numbers (float, integer)
    "data": ("data.csc.index.npy", "f"),
    "indices": ("indices.csc.index.npy", "i"),
    "indptr": ("indptr.csc.index.npy", "i"),
}


def damaged(path: Path, found: str, expected: str) -> IndexFormatError:
    """Return the error for a file of a lexical index: what was found, what was expected, what to do."""
    return IndexFormatError(
        "lexical.damaged",
        "the lexical index file {path} cannot be read: found {what}",
        expected="{wanted}",
        do="Run `quarry generations INDEX --rollback`, or index again with --rebuild",
        path=path,
        what=found,
        wanted=expected,
    )


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises IndexFormatError if it is missing, cut off or something else."""
    try:
        content = loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise damaged(path, str(err), "a whole JSON file") from err
    if not isinstance(content, dict):
        raise damaged(path, f"a {type(content).__name__}", "a JSON object")
    return content


def is_list_of_str(content: object) -> TypeGuard[list[str]]:
    """Return whether a value read from JSON is a list of strings."""
    return isinstance(content, list) and all(isinstance(each, str) for each in content)


def read_arrays(folder: Path, terms: int) -> dict[str, NDArray[Any]]:
    """Map the postings into memory: `data` and `indices`, one number per posting, and `indptr`, where each term's begin.

    They are compared with each other without reading all postings, which would take minutes for a large index.

    Raises:
        IndexFormatError: If a file is missing, cut off or of another kind, or they contradict each other.
    """
    arrays = {name: read_array(folder / file, kind) for name, (file, kind) in ARRAYS.items()}
    data, chunks, starts = arrays.values()
    paths = {name: folder / file for name, (file, _) in ARRAYS.items()}
    if len(chunks) != len(data):
        raise damaged(paths["indices"], f"{len(chunks)} postings", f"{len(data)}, as {paths['data'].name} has")
    if len(starts) != terms + 1:
        raise damaged(paths["indptr"], f"{len(starts)} limits", f"{terms + 1} for {terms} terms")
    if starts[0] != 0 or starts[-1] != len(data) or np.any(starts[1:] < starts[:-1]):
        raise damaged(paths["indptr"], "limits out of order", f"ascending ones from 0 to {len(data)}")
    return arrays


def read_array(path: Path, kind: str) -> NDArray[Any]:
    """Map an npy file of one dimension and some kinds of numbers, as NumPy names them. Raises IndexFormatError if it is anything else."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError, TokenError) as err:  # the last two: its header
        raise damaged(path, str(err), "a whole npy file") from err
    if array.ndim != 1 or array.dtype.kind not in kind:
        raise damaged(path, f"{array.ndim} dimensions of {array.dtype}", f"one dimension of kind {kind}")
    return np.asarray(array)


def read_vocabulary(path: Path, terms: int) -> Mapping[str, int]:
    """Read the number of each term. Raises IndexFormatError unless they are the numbers below `terms`."""
    vocabulary = read_object(path)
    if len(vocabulary) != terms:
        raise damaged(path, f"{len(vocabulary)} terms", f"{terms} terms")
    try:
        numbers = np.fromiter(vocabulary.values(), dtype=np.int64, count=terms)
    except (ValueError, TypeError, OverflowError) as err:
        raise damaged(path, str(err), "a number for each term") from err
    if numbers.min() < 0 or numbers.max() >= terms:
        raise damaged(path, f"numbers from {numbers.min()} to {numbers.max()}", f"0 to {terms - 1}")
    return vocabulary
