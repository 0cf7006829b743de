"""What the steps of a run leave on disk: the pairs so far, their signatures, and how far the reading came.

    pairs.jsonl      [query, specific, passage, kind, source], a line for each pair that is no copy
    bands.u32        their signatures, BANDS numbers each
    queries.u64      digests of query and specific query, two numbers each
    offsets.i64      where each line begins
    marks.u8         its kind and languages (`mark_of`)
    dropped.jsonl    pairs that were left out and why, when somebody wants them
    state.json       written last: the sizes of these files that count, and the position in the sources

A process that dies leaves files that are longer than `state.json` says; they are cut there when the run resumes.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.language import language_of
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.durable import write_atomic
from quarry.training.examples.reasons import counts_from_json, counts_json
from quarry.training.pairs.filters.minhash import BANDS, Bands
from quarry.training.pairs.found import KINDS, FoundPair

_COLUMNS = {"bands.u32": 4 * BANDS, "queries.u64": 16, "offsets.i64": 8, "marks.u8": 1}  # bytes a pair
PAIRS, DROPPED, STATE = "pairs.jsonl", "dropped.jsonl", "state.json"


def mark_of(pair: FoundPair) -> int:
    """Return the number of the kind in `KINDS`, plus 8 for a Chinese query and 16 for a Chinese passage."""
    chinese = [language_of(text) in ("zh", "mixed") for text in (pair.query, pair.passage)]
    return KINDS.index(pair.kind) + 8 * chinese[0] + 16 * chinese[1]


@dataclass(slots=True)
class Position:
    """How far a run came.

    Attributes:
        done: Files that are read to the end.
        inside: Pairs of the next file that were handled.
        rows: Pairs kept.
        sizes: Bytes of `PAIRS` and of `DROPPED` that count.
        found: Pairs by kind.
        dropped: Pairs left out, by reason.
        lost: Lines and files that gave no pair, by reason.
        problems: The first of them.
    """

    done: list[str] = field(default_factory=list)
    inside: int = 0
    rows: int = 0
    sizes: dict[str, int] = field(default_factory=lambda: {PAIRS: 0, DROPPED: 0})
    found: Counter[str] = field(default_factory=Counter)
    dropped: Counter[Message] = field(default_factory=Counter)
    lost: Counter[Message] = field(default_factory=Counter)
    problems: list[Message] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for `state.json`."""
        return {
            "done": self.done,
            "inside": self.inside,
            "rows": self.rows,
            "sizes": self.sizes,
            "found": self.found,
            "dropped": counts_json(self.dropped),
            "lost": counts_json(self.lost),
            "problems": [problem.as_json() for problem in self.problems],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `as_json` wrote."""
        return cls(
            list(value["done"]),
            int(value["inside"]),
            int(value["rows"]),
            dict(value["sizes"]),
            Counter(value["found"]),
            Counter(counts_from_json(value["dropped"])),
            Counter(counts_from_json(value["lost"])),
            [Message.from_json(problem) for problem in value["problems"]],
        )


class Staging:
    """The work folder of a run.

    Attributes:
        folder: Where.
        position: How far the files are whole.
        finished: Whether all sources are read.
    """

    def __init__(self, folder: Path, run: str) -> None:
        """Open the folder, and cut what a killed process wrote beyond its last state; a folder of another run is begun anew.

        Args:
            folder: Made when it is not there.
            run: Digest of what the pairs are made of and how.
        """
        self.folder, self._run = folder, run
        folder.mkdir(parents=True, exist_ok=True)
        self.position, self.finished = self._state()
        sizes = {name: self.position.rows * width for name, width in _COLUMNS.items()} | self.position.sizes
        for name, size in sizes.items():
            with (folder / name).open("ab") as handle:
                handle.truncate(size)
        if not self.position.done and not self.position.inside:
            for stale in folder.glob("scores.*"):
                stale.unlink()
        self._files = {name: (folder / name).open("ab") for name in (PAIRS, DROPPED, *_COLUMNS)}
        self._reader = (folder / PAIRS).open("rb", buffering=0)
        self._offsets: NDArray[np.int64] = np.fromfile(folder / "offsets.i64", dtype=np.int64)
        self._new: list[int] = []
        self._end, self._written = self.position.sizes[PAIRS], self.position.sizes[PAIRS]

    def _state(self) -> tuple[Position, bool]:
        try:
            value = json.loads((self.folder / STATE).read_text(encoding="utf-8"))
            if value["run"] != self._run:
                return Position(), False
            return Position.from_json(value["position"]), bool(value["finished"])
        except (OSError, ValueError, KeyError, TypeError):
            return Position(), False

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._offsets) + len(self._new)

    def add(self, pair: FoundPair, signature: Bands, queries: tuple[int, int]) -> None:
        """Append a pair; it counts from the next `save` on."""
        line = json.dumps(pair, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        self._files[PAIRS].write(line)
        self._files["bands.u32"].write(signature.tobytes())
        self._files["queries.u64"].write(np.array(queries, np.uint64).tobytes())
        self._files["offsets.i64"].write(np.int64(self._end).tobytes())
        self._files["marks.u8"].write(bytes([mark_of(pair)]))
        self._new.append(self._end)
        self._end += len(line)

    def drop(self, pair: FoundPair, reason: Message) -> None:
        """Write down a pair that was left out."""
        content = {"query": pair.query, "passage": pair.passage, "kind": pair.kind, "source": pair.source}
        line = json.dumps({**content, "reason": str(reason)}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        self._files[DROPPED].write(line)

    def save(self, *, finished: bool = False) -> None:
        """Make everything so far durable."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._written = self._end
        self.position.rows = len(self)
        self.position.sizes = {PAIRS: self._end, DROPPED: self._files[DROPPED].tell()}
        state = {"run": self._run, "finished": finished, "position": self.position.as_json()}
        write_atomic(self.folder / STATE, json.dumps(state, ensure_ascii=False).encode())
        self.finished = finished
        if len(self._new) > 1 << 16 or finished:
            self._offsets = np.concatenate([self._offsets, np.array(self._new, np.int64)])
            self._new.clear()

    def __getitem__(self, row: int) -> FoundPair:
        """Read a pair back."""
        known = len(self._offsets)
        start = int(self._offsets[row]) if row < known else self._new[row - known]
        after = row + 1
        end = (
            self._end
            if after == len(self)
            else int(self._offsets[after])
            if after < known
            else self._new[after - known]
        )
        if end > self._written:
            self._files[PAIRS].flush()
            self._written = self._end
        self._reader.seek(start)
        return FoundPair(*json.loads(self._reader.read(end - start)))

    def signatures(self) -> NDArray[np.uint32]:
        """Return the signatures of all pairs, shape (n, BANDS)."""
        return np.fromfile(self.folder / "bands.u32", dtype=np.uint32).reshape(-1, BANDS)

    def queries(self) -> NDArray[np.uint64]:
        """Return the digests of query and specific query of all pairs, shape (n, 2)."""
        return np.fromfile(self.folder / "queries.u64", dtype=np.uint64).reshape(-1, 2)

    def marks(self) -> NDArray[np.uint8]:
        """Return the marks of all pairs, shape (n,)."""
        return np.fromfile(self.folder / "marks.u8", dtype=np.uint8)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._reader.close()
