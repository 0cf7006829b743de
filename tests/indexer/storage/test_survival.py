"""Killed writers and damaged files: what was acknowledged stays, readers never see an error, damage is never answered from."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from quarry.app.doctor import examine
from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.errors import SearchError
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.storage.manifest import Manifest
from quarry.indexer.storage.pointer import POINTER_NAME
from quarry.indexer.stores import STORE_KINDS, store_class
from tests.fakes import WordEmbedder
from tests.indexer.writing import (
    DIM,
    PROCESSES,
    keep_segments,
    read_index,
    state_of,
    text_of,
    vector_of,
    write_index,
    write_store,
)
from tests.sizes import KILLS

pytestmark = pytest.mark.slow


class Killer:
    """Starts writers and kills them: after none to two finished steps, somewhere within the next one."""

    def __init__(self, target: Callable[..., None], seed: str) -> None:
        self._target = target
        self._rng = random.Random(seed)
        self._step_seconds = 0.1  # of the last step seen
        self.kills = self.finished_steps = 0

    def once(self, *arguments: object) -> tuple[bytes | None, bytes | None]:
        """Run one writer; returns what it told before its last finished step, and before the one it was killed in."""
        ours, theirs = PROCESSES.Pipe(duplex=False)
        child = PROCESSES.Process(target=self._target, args=(*arguments, self.kills, theirs), daemon=True)
        child.start()
        theirs.close()
        told: list[bytes] = []
        try:
            for _ in range(self._rng.choice([1, 1, 3, 5])):  # the plan of a step, or that it is done
                since = time.monotonic()
                told.append(ours.recv_bytes())
                if told[-1] == b"done":
                    self._step_seconds = time.monotonic() - since
            time.sleep(self._rng.random() * 1.2 * self._step_seconds)
            child.kill()
            while True:
                told.append(ours.recv_bytes())
        except EOFError:
            pass
        child.join()
        assert child.exitcode == -9, f"the writer ended by itself, having told {told[-1:]}"
        self.kills += 1
        finished = [said for said, after in zip(told, told[1:], strict=False) if after == b"done"]
        self.finished_steps += len(finished)
        return finished[-1] if finished else None, None if told[-1] == b"done" else told[-1]


class Reader:
    """A process that opens an index and searches it all the time."""

    def __init__(self, index: Path) -> None:
        (theirs, self._stop), (self._words, tell) = PROCESSES.Pipe(duplex=False), PROCESSES.Pipe(duplex=False)
        self._process = PROCESSES.Process(target=read_index, args=(index, theirs, tell), daemon=True)
        self._process.start()
        tell.close()

    def stop(self) -> str:
        """Return how often it opened the index, or the error that it met."""
        self._stop.send_bytes(b"stop")
        said = self._words.recv_bytes().decode()
        self._process.join()
        return said


@pytest.fixture
def folder(tmp_path):
    """A folder in memory where there is one: a killed process needs no slow disk to be found out."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.parametrize("kind", ["exact", "faiss", "lance"])
def test_kill_9_while_generations_are_made_and_switched(folder, kind):
    index, corpus = folder / "index", folder / "corpus"
    corpus.mkdir()
    killer, state = Killer(write_index, kind), {}
    while not (index / POINTER_NAME).exists():
        killer.once(index, kind, corpus)
    reader = Reader(index)
    for _ in range(KILLS):
        finished, doing = killer.once(index, kind, corpus)
        found = state_of(index)
        before = json.loads(finished) if finished else state
        assert not before or found in [before] + ([json.loads(doing)] if doing else []), f"kill {killer.kills}"
        state = found
    said = reader.stop()
    assert said.isdigit(), said
    assert int(said) > KILLS / 4
    assert killer.finished_steps > KILLS / 2


@pytest.mark.parametrize("kind", STORE_KINDS)
def test_kill_9_while_a_store_is_flushed(folder, kind):
    store = store_class(kind).create(folder, 16)
    store.add(["d0#0"], vector_of("d0#0"))
    store.flush()
    killer, ids = Killer(write_store, kind), ["d0#0"]
    for _ in range(KILLS):
        finished, doing = killer.once(folder, kind)
        before = json.loads(finished) if finished else ids
        opened = store_class(kind).open(folder)
        ids = list(opened.ids)
        assert ids in [before] + ([json.loads(doing)] if doing else []), f"kill {killer.kills}"
        for chunk_id in ids:
            hit = opened.search(vector_of(chunk_id), 1)[0][0]
            assert (hit.chunk_id, round(hit.similarity, 4)) == (chunk_id, 1.0)


def _answers(index: Path) -> list[object]:
    """All that an index answers with; raises SearchError where damage is noticed."""
    opened = Index.open(index)
    ids, _ = opened.chunks.digests()
    queries = WordEmbedder(dim=DIM).embed_queries([f"version{number} 第{number}版" for number in range(1, 9)])
    return [
        [(document.doc_id, document.title, document.text) for document in opened.chunks.documents()],
        opened.chunks.chunks(ids),
        opened.vectors.search(queries, 5),
        [opened.lexical.search(opened.analyzer.tokens(f"version{number} of d1"), 9) for number in range(1, 9)],
    ]


def _complaint(index: Path) -> str:
    """What `quarry doctor` finds wrong with the files; empty when nothing is."""
    for check in examine(index):
        if check.severity == "failure":
            return check.message
        if check.name == "analyzer":  # what follows is about the model, which is a fake here
            break
    return ""


def _two_generations(folder: Path, kind: str) -> Path:
    """An index of two segments, of which one has lost a document, in three generations."""
    index = folder / "index"
    settings = BuildOptions(store=kind, analyzer="bigram")
    for first in (1, 4):
        documents = [Document(f"d{number}", text_of(f"d{number}", number)) for number in range(first, first + 5)]
        index_documents(index, documents, WordEmbedder(dim=DIM), settings)
    delete_documents(index, ["d1"], WordEmbedder(dim=DIM))
    assert len(Index.open(index).manifest.segments) == 2
    return index


def _is_live(index: Path, path: Path) -> bool:
    """Whether a file is one of the live generation or of its segments."""
    live = Generations(index).live()
    names = {segment.name for segment in Manifest.read(live).segments}
    return live in path.parents or bool(names & {parent.name for parent in path.parents})


def _damage(index: Path, times: int, seed: str) -> Iterator[tuple[Path, str]]:
    """Flip a bit or cut a file, every file as often as any other; yields it while it is damaged, and what was done."""
    files = [path for path in sorted(index.rglob("*")) if path.is_file()]
    rng = random.Random(seed)
    for number in range(times):
        path = files[number % len(files)]
        sound = path.read_bytes()
        position = rng.randrange(max(1, len(sound)))
        content = bytearray(sound)
        if number % 3 and content:
            content[position] ^= 1 << rng.randrange(8)
            what = f"{path} with a flipped bit in byte {position}"
        else:
            content = content[:position]
            what = f"{path} cut at {position}"
        path.write_bytes(content)
        yield path, what
        path.write_bytes(sound)


@pytest.mark.parametrize("kind", STORE_KINDS)
def test_200_flipped_bits_and_cut_files_are_refused_by_name_or_harmless(folder, monkeypatch, kind):
    keep_segments(monkeypatch)
    index = _two_generations(folder, kind)
    expected = _answers(index)
    live = {path for path in index.rglob("*") if path.is_file() and _is_live(index, path)}
    refused = 0
    for path, what in _damage(index, 200, kind):
        try:
            answers = _answers(index)
        except SearchError as err:
            assert path.name in str(err), f"{what}, and the error says {err}"
            refused += 1
        else:
            assert answers == expected, what
            assert path not in live, f"{what}, and it was opened"
    assert refused > 60
    assert _answers(index) == expected


@pytest.mark.parametrize("kind", STORE_KINDS)
def test_what_is_not_compared_at_opening_is_named_by_the_doctor(folder, monkeypatch, kind):
    # as if the index were larger than 256 MiB
    monkeypatch.setattr("quarry.indexer.storage.files.sealing._VERIFY_BELOW", 0)
    keep_segments(monkeypatch)
    index = _two_generations(folder, kind)
    expected = _answers(index)
    live = {path for path in index.rglob("*") if path.is_file() and _is_live(index, path)}
    for path, what in _damage(index, 100, kind):
        complaint = _complaint(index)
        if path in live or _fails(lambda: _answers(index)):
            assert path.name in str(complaint), f"{what}, and the doctor says {complaint!r}"
        else:
            assert _answers(index) == expected


def _fails(act: Callable[[], object]) -> bool:
    try:
        act()
    except SearchError:
        return True
    return False
