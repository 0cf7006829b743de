"""What the killed writer and the reader of `test_survival` do, each in a process of its own."""

import json
import multiprocessing
import random
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from quarry.indexer.build import build_index, compact_index, delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.embedder import Vectors
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.generations import Generations
from quarry.indexer.stores import store_class
from tests.fakes import WordEmbedder
from tests.training.killing import die_before

warnings.filterwarnings("ignore", "lancedb fork support")  # the process that forks has never searched
DIM = 16
_KEEP = 2
_DOCUMENTS = 6
State = dict[str, int]  # document id -> the number of its version
PROCESSES = multiprocessing.get_context("forkserver")  # children of a warm process that has never searched
PROCESSES.set_forkserver_preload(
    ["tests.indexer.writing", "quarry.indexer.stores.lance.store", "faiss", "lancedb", "bm25s"]
)


def keep_segments(patch: pytest.MonkeyPatch) -> None:
    """Let small indexes keep their segments, as large ones do, and merge few of them."""
    patch.setattr("quarry.indexer.build.merging.KEPT_FROM", 0)
    patch.setattr("quarry.indexer.build.measuring.measurement.KEPT_FROM", 0)
    patch.setattr("quarry.indexer.build.measuring.measurement.STALE", 1e9)
    patch.setattr("quarry.indexer.stores.centroids._LEAST_PASSAGES", 1e9)  # the first text of a language measures anew
    patch.setattr("quarry.indexer.build.merging.SMALL", 0)
    patch.setattr("quarry.indexer.build.merging.CHEAP", 6)


def text_of(doc_id: str, version: int) -> str:
    return f"第{version}版 version{version} of {doc_id.replace('.', '')}"


def state_of(index: Path, generation: str | None = None) -> State:
    """The versions that the texts of a generation tell, or an error when texts, terms and vectors do not agree."""
    opened = Index.open(index, generation=generation)
    try:
        return check(opened, WordEmbedder(dim=DIM))
    finally:
        opened.chunks.close()


def check(opened: Index, embedder: WordEmbedder) -> State:
    ids, _ = opened.chunks.digests()
    state: State = {}
    for document in opened.chunks.documents():
        state[document.doc_id] = int(document.text.split()[1].removeprefix("version"))
        assert document.text == text_of(document.doc_id, state[document.doc_id])
    assert opened.vectors is not None
    assert sorted(opened.vectors.ids) == ids
    assert len(opened.lexical) == len(ids) == len(state)
    for chunk_id, hits in zip(
        ids, opened.vectors.search(embedder.embed_documents(opened.chunks.texts(ids)), 1), strict=True
    ):
        assert hits[0].similarity > 0.999, (chunk_id, hits)
        doc_id = opened.chunks.chunks([chunk_id])[0].doc_id
        terms = opened.analyzer.tokens(f"version{state[doc_id]}")
        found = [hit.chunk_id for hit in opened.lexical.search(terms, len(ids))]
        assert chunk_id in found, (chunk_id, terms, found)
    return state


def _step(index: Path, kind: str, corpus: Path, rng: random.Random) -> tuple[State, Callable[[], object]]:
    """Choose what to do next: the state that it leads to, and the doing."""
    generations = Generations(index)
    live = state_of(index) if generations.exists() else {}
    settings = BuildOptions(store=kind, analyzer="bigram", keep=_KEEP, allow_empty=True)
    version = max(live.values(), default=0) + 1
    names = sorted(doc_id for doc_id in live if not doc_id.startswith("corpus"))
    choice = rng.choice(["build", "append", "append", "delete", "switch"])
    if choice == "delete" and len(names) > 1:
        gone = rng.choice(names)
        after = {doc_id: number for doc_id, number in live.items() if doc_id != gone}
        return after, lambda: delete_documents(index, [gone], WordEmbedder(dim=DIM))
    if choice == "switch" and len(generations.finished()) > 1:
        other = rng.choice([name for name in generations.finished() if name != generations.live().name])
        return state_of(index, other), lambda: generations.switch(other, "by hand")
    if choice == "build":

        def build() -> None:
            (corpus / "a.txt").write_text(text_of("corpus/a.txt", version), encoding="utf-8")
            build_index(index, [corpus], WordEmbedder(dim=DIM), settings)

        return {**live, "corpus/a.txt": version}, build
    doc_id = f"d{rng.randrange(_DOCUMENTS)}"
    document = Document(doc_id, text_of(doc_id, version))
    return {**live, doc_id: version}, lambda: index_documents(index, [document], WordEmbedder(dim=DIM), settings)


def write_index(index: Path, kind: str, corpus: Path, seed: int, tell: Connection) -> None:
    """Build, append, delete and switch until killed; tells before each step what it leads to, and after it that it is done."""
    rng = random.Random(seed)
    keep_segments(pytest.MonkeyPatch())  # this process ends by being killed
    while True:
        after, act = _step(index, kind, corpus, rng)
        tell.send_bytes(json.dumps(after).encode())
        act()
        tell.send_bytes(b"done")


def update_and_die(
    index: Path, options: BuildOptions, given: Sequence[Document], gone: Sequence[str], change: int
) -> None:
    """Remove documents, add some, or merge all segments when there are neither; killed before so many changes below the index."""
    keep_segments(pytest.MonkeyPatch())
    die_before(change, index)
    if gone:
        delete_documents(index, gone, WordEmbedder(dim=DIM))
    elif given:
        index_documents(index, given, WordEmbedder(dim=DIM), options)
    else:
        compact_index(index, WordEmbedder(dim=DIM))


def read_index(index: Path, stop: Connection, tell: Connection) -> None:
    """Search all the time, keeping an index open for a while, until told to stop; tells the number of rounds or the error."""
    rounds, embedder = 0, WordEmbedder(dim=DIM)
    try:
        while not stop.poll():
            opened = Index.open(index)
            states = [check(opened, embedder) for _ in range(3)]
            assert states[0] == states[-1]
            rounds += 1
    except BaseException as err:
        tell.send_bytes(f"after {rounds} rounds: {type(err).__name__}: {err}".encode())
        raise
    tell.send_bytes(str(rounds).encode())


def vector_of(chunk_id: str) -> Vectors:
    vector = np.random.default_rng(list(chunk_id.encode())).standard_normal((1, DIM)).astype(np.float32)
    return vector / np.linalg.norm(vector)


def write_store(folder: Path, kind: str, seed: int, tell: Connection) -> None:
    """Add, remove and flush until killed; tells the ids before each flush, and after it that it is done."""
    rng = random.Random(seed)
    store = store_class(kind).open(folder)
    while True:
        number = rng.randrange(10**6)
        ids = [f"d{number + row}#0" for row in range(3) if f"d{number + row}#0" not in store.ids]
        store.add(ids, np.concatenate([vector_of(chunk_id) for chunk_id in ids]))
        store.remove(rng.sample(sorted(store.ids), max(0, len(store) - 12)))
        tell.send_bytes(json.dumps(list(store.ids)).encode())
        store.flush()
        tell.send_bytes(b"done")
