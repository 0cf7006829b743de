"""The files that a run writes: rows, and the pairs that were left out."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import sync_folder
from quarry.training.pairs.filters.scoring import Selected
from quarry.training.pairs.found import SYMMETRIC, FoundPair
from quarry.training.pairs.staging import DROPPED, Staging


def row_lines(staging: Staging, selected: Selected, kept: NDArray[np.bool_]) -> Iterator[bytes]:
    """Yield the rows of the pairs that stay, in the order in which they were found."""
    for place in np.flatnonzero(kept).tolist():
        yield _line(staging[int(selected.rows[place])], specific=bool(selected.specific[place]))


def _line(pair: FoundPair, *, specific: bool) -> bytes:
    """Return a row as `quarry train` reads it; texts that say the same are asked without an instruction."""
    row: dict[str, object] = {"query": pair.specific if specific else pair.query, "pos": [pair.passage], "neg": []}
    row |= {"prompt": "", "type": "symmetric_sts"} if pair.kind in SYMMETRIC else {"type": "normal"}
    row |= {"kind": pair.kind, "source": pair.source}
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def dropped_lines(staging: Staging, left_out: Sequence[tuple[NDArray[np.int64], Message]]) -> Iterator[bytes]:
    """Yield the pairs that were left out: those of the first half of a run, then (numbers, reason)."""
    with (staging.folder / DROPPED).open("rb") as handle:
        yield from handle
    for rows, reason in left_out:
        for number in rows.tolist():
            pair = staging[number]
            content = {"query": pair.query, "passage": pair.passage, "kind": pair.kind, "source": pair.source}
            yield json.dumps({**content, "reason": str(reason)}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def write_whole(path: Path, lines: Iterator[bytes]) -> str:
    """Write a file so that it appears whole, and return its SHA-256."""
    digest, temp = sha256(), path.with_name(f".{path.name}.part")
    try:
        with temp.open("wb") as handle:
            _write_lines(handle, lines, digest.update)
        temp.replace(path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return digest.hexdigest()


def _write_lines(handle: IO[bytes], lines: Iterator[bytes], seen: Callable[[bytes], None]) -> None:
    for line in lines:
        handle.write(line)
        seen(line)
    handle.flush()
    os.fsync(handle.fileno())
