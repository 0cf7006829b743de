"""One flipped bit, one truncation or one exchanged file at a time, over every file of an index: noticed by name, or harmless."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from quarry.app.doctor import examine
from quarry.app.server.writing.inbox import Inbox
from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import SearchError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from tests.fakes import WordEmbedder
from tests.indexer.writing import DIM, keep_segments

_WHOLE_LOGS = {"feedback.sqlite", "inbox.sqlite"}  # one of another index is as whole as ours: nothing could tell
_TESTED_ELSEWHERE = {"writer.lock", "inbox.lock"}  # they hold the name of a process and nothing else


def make(index: Path, store: str, seed: int) -> Path:
    """An index of two segments in three generations, with judgements and a job that waits."""
    options = BuildOptions(store=store, analyzer="bigram")
    for first in (1, 6):
        documents = [Document(f"d{n}", f"library text {n} of index {seed}") for n in range(first, first + 5)]
        index_documents(index, documents, WordEmbedder(dim=DIM), options)
    delete_documents(index, ["d1"], WordEmbedder(dim=DIM))
    with FeedbackLog.open(feedback_path(index)) as log:
        for row in range(20):
            log.append(FeedbackEvent(f"question {row} of {seed}", "thumb_up", "s", "000002", "d2#0-9", "d2"))
    inbox = Inbox.open(index)
    inbox.put_documents([Document(f"w{n}", f"waiting {n} of {seed}") for n in range(20)])
    inbox.close()
    return index


def answers(index: Path) -> list[object]:
    """All that an index answers with. Raises SearchError where damage is noticed."""
    opened = Index.open(index)
    assert opened.vectors is not None
    ids, _ = opened.chunks.digests()
    found: list[object] = [[(d.doc_id, d.title, d.text) for d in opened.chunks.documents()], opened.chunks.chunks(ids)]
    queries = WordEmbedder(dim=DIM).embed_queries([f"text {number}" for number in range(1, 9)])
    found.append(opened.vectors.search(queries, 5))
    found.append([opened.lexical.search(opened.analyzer.tokens(f"text {n}"), 9) for n in range(1, 9)])
    with FeedbackLog.open(feedback_path(index)) as log:
        found.append([(entry.number, entry.event) for entry in log.events()])
    with closing(Inbox.open(index)) as inbox:
        found.append([inbox.documents(job) for job in inbox.next_jobs(1000)])
    return found


def complaint(index: Path) -> str:
    """What `quarry doctor` finds wrong."""
    return "; ".join(
        str(check.message) for check in examine(index) if check.severity == "failure" and check.name != "model"
    )


@contextmanager
def damaged(path: Path, kind: str, other: Path, rng: random.Random) -> Iterator[str]:
    """Damage a file while a block runs."""
    sound = path.read_bytes()
    place = rng.randrange(max(1, len(sound)))
    content = bytearray(sound)
    if kind == "swapped" and other.is_file() and other.read_bytes() != sound:
        content = bytearray(other.read_bytes())
    elif kind == "cut":
        content = content[:place]
    elif content:
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    try:
        yield f"{path} ({kind} at {place})"
    finally:
        path.write_bytes(sound)


def run(folder: Path, places: int, store: str = "exact", seed: int = 0) -> dict[str, Any]:
    """Damage so many places; returns the counts and what was silent."""
    rng, counts, silent = random.Random(seed), Counter[str](), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        keep_segments(patch)
        index = make(folder / "index", store, 1)
        other = make(folder / "other", store, 2)
    expected = answers(index)
    for leftover in folder.rglob("*.sqlite-*"):
        leftover.unlink()
    copytree(index, folder / "sound")
    files = [path for path in sorted(index.rglob("*")) if path.is_file() and path.name not in _TESTED_ELSEWHERE]
    for number in range(places):
        path = files[number % len(files)]
        kinds = ("flipped", "cut") if path.name in _WHOLE_LOGS else ("flipped", "cut", "swapped")
        kind = kinds[number // len(files) % len(kinds)]
        with damaged(path, kind, _counterpart(path, index, other), rng) as what:
            counts[_verdict(lambda: answers(index), expected, path, index)] += 1
            if _SILENT:
                silent.append(what)
                _SILENT.clear()
        for leftover in index.glob("*.sqlite-*"):
            leftover.unlink()
    assert answers(index) == expected
    return {"store": store, "places": places, **counts, "silent": silent}


_SILENT: list[str] = []


def _verdict(ask: Callable[[], list[object]], expected: list[object], path: Path, index: Path) -> str:
    try:
        found = ask()
    except SearchError as err:
        if path.name not in str(err) and path.stem not in str(err):
            return "refused, another file named"
        return "refused by name"
    if found == expected:
        return "named by doctor" if path.name in complaint(index) else "harmless"
    if path.name in complaint(index):
        return "named by doctor only"
    _SILENT.append(path.name)
    return "silently wrong"


def _counterpart(path: Path, index: Path, other: Path) -> Path:
    """The file of the same kind in another index, or in an older generation."""
    relative = path.relative_to(index)
    same = other / relative
    if same.is_file():
        return same
    return next((each for each in sorted(other.rglob(path.name)) if each.is_file()), same)
