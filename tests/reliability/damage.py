"""One flipped bit, one truncation or one exchanged file at a time, over every file: noticed by name, or harmless."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quarry.indexer.errors import SearchError
from tests.reliability.subjects import SUBJECTS, Subject

# one of another index is as whole as ours; a passage has the same vector and states in every index of a model
_WHOLE_LOGS = {"feedback.sqlite", "inbox.sqlite", "f00d.tokens-2.sqlite", "f00d.probes.sqlite"}
# the name of a process and nothing else; a log for people; what Lance writes for speed and does not need
_LEFT_OUT = {"writer.lock", "inbox.lock", "log.jsonl", "latest_version_hint.json"}
_BY_NAME, _BY_ANOTHER, _DOCTOR = "refused by name", "refused, another file named", "named by doctor only"
_SILENT = "silently wrong"


@contextmanager
def damaged(path: Path, kind: str, other: Path, rng: random.Random) -> Iterator[str]:
    """Damage a file while a block runs."""
    sound, stat = path.read_bytes(), path.stat()
    place = rng.randrange(max(1, len(sound)))
    content = bytearray(sound)
    if kind == "swapped" and other.is_file() and other.read_bytes() != sound:
        content = bytearray(other.read_bytes())
    elif kind == "cut":
        content = content[:place]
    elif content:
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a disk that loses a bit gives no new time
    try:
        yield f"{path} ({kind} at {place})"
    finally:
        path.write_bytes(sound)  # with a new time: what was remembered of the damaged file is of no use


def run(name: str, folder: Path, places: int, seed: int = 0) -> dict[str, Any]:
    """Damage so many places of a subject; returns the counts and what was silent."""
    subject, rng, counts, silent = SUBJECTS[name], random.Random(seed), Counter[str](), list[str]()
    root, other = subject.make(folder / name, 1), subject.make(folder / f"{name}-other", 2)
    expected, right = subject.answers(root), subject.also(root)
    _without_logs(root)
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name not in _LEFT_OUT]
    for number in range(places):
        path = files[number % len(files)]
        kinds = ("flipped", "cut") if path.name in _WHOLE_LOGS else ("flipped", "cut", "swapped")
        kind = kinds[number // len(files) % len(kinds)]
        with damaged(path, kind, _counterpart(path, root, other), rng) as what:
            verdict = _verdict(subject, root, path, [expected, *right])
            counts[verdict] += 1
            silent += [what] if verdict == _SILENT else []
        _without_logs(root)
    assert subject.answers(root) == expected
    return {"of": name, "places": places, "files": len(files), **counts, "silent": silent}


def _without_logs(root: Path) -> None:
    for leftover in root.rglob("*.sqlite-*"):
        leftover.unlink()


def _verdict(subject: Subject, root: Path, path: Path, right: list[list[object]]) -> str:
    try:
        found = subject.answers(root)
    except SearchError as err:
        named = (path.name, path.stem, str(path.parent))  # a model folder is one thing
        return _BY_NAME if any(name in str(err) for name in named) else _BY_ANOTHER
    if found == right[0]:
        return "named by doctor" if path.name in subject.complaint(root) else "harmless"
    if found in right:
        return "an older state taken"
    complaint = subject.complaint(root)
    return _DOCTOR if path.name in complaint or path.parent.name in complaint else _SILENT


def _counterpart(path: Path, root: Path, other: Path) -> Path:
    """The file of the same kind in another index, or in an older generation."""
    relative = path.relative_to(root)
    same = other / relative
    if same.is_file():
        return same
    return next((each for each in sorted(other.rglob(path.name)) if each.is_file()), same)
