"""Writers that are killed with -9, half of them before their n-th change of a file and half at a random moment.

After every kill the index is opened again: it holds what it held before or what the writer was making, all of what was acknowledged,
and every file matches its record. A reader searches throughout.
"""

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

from quarry.app.server.writing.inbox import Inbox
from quarry.app.uploads import Upload, UploadJob
from quarry.indexer.build import compact_index, delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.messages import Message
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.writer_lock import writer_lock
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from tests.fakes import WordEmbedder
from tests.training.killing import Reader, Tell, die_before, forked

Act = Callable[[Path, int, Tell], None]
STORE = [""]  # of the indexes that are made; empty for the one that is chosen by their size
SWITCHED = Message.of("cli.switched", "switched by hand")


def _options() -> BuildOptions:
    return BuildOptions(analyzer="bigram", store=STORE[0] or None)


def stamped(number: int) -> list[Document]:
    """Two documents that are always written together: a reader that sees different numbers saw a mixture."""
    return [Document(f"stamp{side}", f"library stamp version{number}") for side in "ab"]


def build(index: Path, number: int, tell: Tell) -> None:
    """Build a new index."""
    texts = [Document(f"d{k}", f"library text {k} of {number}") for k in range(20)]
    index_documents(index, [*stamped(number), *texts], WordEmbedder(), _options())


def append(index: Path, number: int, tell: Tell) -> None:
    """Add a document, and replace the stamps."""
    index_documents(
        index, [*stamped(number), Document(f"new{number % 9}", f"added in {number}")], WordEmbedder(), _options()
    )


def delete(index: Path, number: int, tell: Tell) -> None:
    """Remove the document that is there, or add it again."""
    if any(document.doc_id == "gone" for document in Index.open(index).chunks.documents()):
        delete_documents(index, ["gone"], WordEmbedder())
    else:
        index_documents(index, [Document("gone", f"to be removed {number}")], WordEmbedder(), _options())


def switch(index: Path, number: int, tell: Tell) -> None:
    """Make another generation live, after there are two."""
    generations = Generations(index)
    others = [name for name in generations.finished() if name != generations.pointer().generation]
    if not others:
        append(index, number, tell)
        return
    with writer_lock(index):
        generations.switch_back(others[number % len(others)], SWITCHED)


def merge(index: Path, number: int, tell: Tell) -> None:
    """Merge the segments where there are several, else make a second one."""
    if len(Manifest.read(Generations(index).live()).segments) > 1:
        compact_index(index, WordEmbedder())
    else:
        append(index, number, tell)


def upload(index: Path, number: int, tell: Tell) -> None:
    """Add a file as the app does."""
    job = UploadJob(index, [Upload("note.txt", f"uploaded {number} library".encode())], WordEmbedder())
    job.run()
    assert job.error is None, job.error


def feedback(index: Path, number: int, tell: Tell) -> None:
    """Write judgements; each is acknowledged when it is on disk."""
    with FeedbackLog.open(feedback_path(index)) as log:
        for row in range(30):
            log.append(FeedbackEvent(f"q{number}-{row}", "thumb_up", "s", "000001", "d1#0-9", "d1"))
            tell(f"q{number}-{row}")


def documents(index: Path, number: int, tell: Tell) -> None:
    """Accept documents over HTTP; 202 acknowledges one, which may still wait to be indexed."""
    from starlette.testclient import TestClient

    from quarry.app.server.application import create_app
    from quarry.app.server.services import Services
    from quarry.app.server.settings import ServeOptions

    services = Services.open(ServeOptions(index, rerank="none"), embedder=WordEmbedder())
    with TestClient(create_app(services)) as client:
        tell("begun")
        for row in range(10):
            name = f"p{number}-{row}"
            answer = client.post("/documents", json={"documents": [{"id": name, "text": f"posted {name}"}]})
            assert answer.status_code == 202, answer.text
            tell(name)


ACTS: dict[str, Act] = {
    "build": build,
    "append": append,
    "delete": delete,
    "switch": switch,
    "merge": merge,
    "upload": upload,
    "feedback": feedback,
    "documents": documents,
}
_SEGMENTS_STAY = {"merge"}  # small indexes keep their segments as large ones do


def keep_segments() -> None:
    """As `tests.indexer.writing.keep_segments`, in a fork that ends soon."""
    from quarry.indexer.build import merging
    from quarry.indexer.build.measuring import languages, measurement

    merging.KEPT_FROM = measurement.KEPT_FROM = merging.SMALL = 0
    measurement.STALE = languages._LEAST_PASSAGES = 10**9  # type: ignore[assignment]
    merging.CHEAP = 6


def look(index: Path, kind: str, tell: Tell) -> None:
    """Tell what an index holds; fails where a file differs from its record, or documents of two builds are mixed."""
    opened = Index.open(index)
    assert not opened.manifest.damage(opened.folder, hashes=True)
    texts = sorted((document.doc_id, document.text) for document in opened.chunks.documents())
    assert len({text for name, text in texts if name.startswith("stamp")}) == 1, texts
    assert opened.vectors is not None and len(opened.vectors) == len(texts) == len(opened.lexical)
    if kind == "feedback":
        with FeedbackLog.open(feedback_path(index)) as log:
            tell(sorted(entry.event.query for entry in log.events()))
    elif kind == "documents":
        inbox = Inbox.open(index)
        waiting = [each.doc_id for job in inbox.next_jobs(10_000) for each in inbox.documents(job)]
        tell(sorted({*waiting, *(name for name, _ in texts)}))
    else:
        tell(texts)


def search(index: Path) -> bool:
    """Open an index and search it, as a reader does throughout."""
    opened = Index.open(index)
    hits = opened.lexical.search(opened.analyzer.tokens("library"), 50)
    assert len(hits) >= 20
    stamps = {text for name, text in ((d.doc_id, d.text) for d in opened.chunks.documents()) if name[:5] == "stamp"}
    assert len(stamps) == 1, "a mixture"
    return True


def run(kind: str, folder: Path, kills: int, seed: int = 0, seconds: float = math.inf) -> dict[str, Any]:
    """Kill a kind of writer so often, or until the time is up; returns the counts.

    Raises:
        AssertionError: At the first thing that is lost, mixed or damaged.
    """
    rng, index, act = random.Random(f"{kind}{seed}"), folder / kind, ACTS[kind]
    code, _ = forked(lambda tell: build(index, 0, tell))
    assert code == 0
    reader, until = Reader(lambda: search(index)), time.monotonic() + seconds
    most, needed, done, finished = 20, 0.2, 0, 0
    acknowledged: set[str] = set()
    before = state(index, kind)
    number = 0
    while done < kills and time.monotonic() < until:
        number += 1
        place = folder / "fresh" if kind == "build" else index
        # a server makes most of its changes before it accepts anything: it is killed at random moments after that
        change = rng.randrange(most + 2) if number % 2 and kind != "documents" else None
        unharmed = number == 1  # the first is let through, to see how much it does and how long it takes
        if unharmed:
            change = None

        def work(tell: Tell, change: int | None = change, number: int = number, place: Path = place) -> None:
            if kind in _SEGMENTS_STAY:
                keep_segments()
            count, told_at = die_before(change, place), list[float]()
            if kind != "documents":
                tell("begun")
                told_at.append(time.monotonic())
            act(place, number, lambda word: (told_at.append(time.monotonic()), tell(word))[1])
            tell(["finished", count(), time.monotonic() - told_at[0]])

        code, told = forked(work, after=None if unharmed or change is not None else rng.random() * 1.2 * needed)
        ended = bool(told) and isinstance(told[-1], list)
        assert code in (0, -9), f"{kind} {number} ended by itself"
        done += code == -9
        if ended:
            needed = told[-1][2] if unharmed else needed * 0.8
            finished, most = finished + 1, max(6, told[-1][1])
        elif change is None:  # kills fall over the whole of the work, and some let it end
            needed *= 1.1
        else:
            most += 2
        if kind == "build":
            assert not ended or (place / "quarry-index.json").is_file(), "an acknowledged build is not there"
            if (place / "quarry-index.json").is_file():
                assert len(state(place, kind)) == 22
            elif rng.random() < 0.3:  # else the next build continues over what is left
                rmtree(place, ignore_errors=True)
            continue
        after = state(index, kind)
        if kind in ("feedback", "documents"):
            acknowledged.update(said for said in told if isinstance(said, str) and said != "begun")
            assert acknowledged <= set(after), f"lost: {acknowledged - set(after)}"
            assert len(after) == len(set(after)), "doubled"
        elif ended and kind not in ("switch", "merge"):
            assert after != before, f"{kind} {number} was acknowledged and is not there"
        before = after
    return {
        "kind": kind,
        "kills": done,
        "finished": finished,
        "acknowledged": len(acknowledged),
        "lost": 0,
        "reader": reader.stop(),
    }


def state(index: Path, kind: str) -> list[Any]:
    """Return what an index holds, looked at in a fork."""
    code, told = forked(lambda tell: look(index, kind, tell))
    assert code == 0, f"{index} cannot be read after a kill"
    return list(told[0])
