"""What a language model answered, kept as it comes: who resumes a run does not pay for an answer twice.

In memory is only where each answer stands, sixteen bytes of it, whatever the answers' length.
"""

import json
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np

_MERGED = 1 << 14  # new answers after which their places join the sorted ones


class KeptAnswers:
    """Answers by model and prompt in a file of JSON lines, to which is only appended."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a line that a killed process left torn is passed over."""
        self._path = path
        self._sorted = np.zeros(0, np.uint64), np.zeros(0, np.int64)  # keys, and where their answers begin
        self._new: dict[int, int] = {}
        if not path.is_file():
            return
        place = 0
        with path.open("rb") as handle:
            for line in handle:
                entry = _entry(line)
                if entry is not None:
                    self._remember(_short(entry[0]), place)
                place += len(line)

    def __len__(self) -> int:
        return len(self._sorted[0]) + len(self._new)

    def get(self, model: str, prompt: str) -> str | None:
        """Return the answer to a prompt, None when there is none."""
        key = _key(model, prompt)
        place = self._place(_short(key))
        if place is None:
            return None
        with self._path.open("rb") as handle:
            handle.seek(place)
            entry = _entry(handle.readline())
        return entry[1] if entry is not None and entry[0] == key else None

    def put(self, model: str, answers: Iterable[tuple[str, str]]) -> None:
        """Keep (prompt, answer) pairs; empty answers and those that are kept already are left out."""
        new = {_key(model, prompt): answer for prompt, answer in answers if answer}
        new = {key: answer for key, answer in new.items() if self._place(_short(key)) is None}
        if not new:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"prompt": key, "answer": answer}).encode() + b"\n" for key, answer in new.items()]
        with self._path.open("ab") as handle:
            place = handle.tell() + 1
            handle.write(b"\n" + b"".join(lines))  # a torn line before these ends here
        for key, line in zip(new, lines, strict=True):
            self._remember(_short(key), place)
            place += len(line)

    def _place(self, key: int) -> int | None:
        """Return where the answer of a key begins; another thread may be putting."""
        if (place := self._new.get(key)) is not None:
            return place
        keys, places = self._sorted
        number = int(np.searchsorted(keys, np.uint64(key)))
        return int(places[number]) if number < len(keys) and keys[number] == key else None

    def _remember(self, key: int, place: int) -> None:
        self._new[key] = place
        if len(self._new) < _MERGED:
            return
        keys = np.concatenate([self._sorted[0], np.fromiter(self._new, np.uint64, len(self._new))])
        places = np.concatenate([self._sorted[1], np.fromiter(self._new.values(), np.int64, len(self._new))])
        order = np.argsort(keys, kind="stable")
        self._sorted = keys[order], places[order]
        self._new = {}


def _entry(line: bytes) -> tuple[str, str] | None:
    """Return key and answer of a line; None where it is torn."""
    try:
        entry = json.loads(line)
        return str(entry["prompt"]), str(entry["answer"])
    except (ValueError, KeyError, TypeError):
        return None


def _key(model: str, prompt: str) -> str:
    return sha256(f"{model}\0{prompt}".encode("utf-8", "replace")).hexdigest()


def _short(key: str) -> int:
    """Return the first 64 bits of a digest; of a key that is none, of its digest."""
    try:
        return int(key[:16], 16)
    except ValueError:
        return int(sha256(key.encode("utf-8", "replace")).hexdigest()[:16], 16)
