"""What is damaged by `tests.reliability.damage`: how each is made, all that it answers with, and who complains."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quarry.app.doctor import examine
from quarry.app.server.writing.inbox import Inbox
from quarry.indexer.build import delete_documents, index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.opened import Index
from quarry.indexer.records import Document
from quarry.indexer.storage.vectors.blob_cache import passage_digest
from quarry.indexer.storage.vectors.vector_cache import VectorCache
from quarry.indexer.tokens.cache import TokenCache
from quarry.indexer.tokens.projection import Projection
from quarry.training.feedback.events import FeedbackEvent
from quarry.training.feedback.log import FeedbackLog, feedback_path
from quarry.training.fit.run_folder import RunFolder
from tests.fakes import WordEmbedder
from tests.indexer.writing import DIM, keep_segments

RUN = {"what": "embedder", "base": {"model": "m"}, "rows_digest": "1", "dev_digest": "", "spec": {}, "processes": 1}


@dataclass(frozen=True)
class Subject:
    """Something on disk.

    Attributes:
        make: Makes it in a folder, by a number that decides the content.
        answers: All that it answers with. Raises SearchError where damage is noticed.
        complaint: What `quarry doctor` says of it.
        also: Other answers that are right, such as those of an older checkpoint.
    """

    make: Callable[[Path, int], Path]
    answers: Callable[[Path], list[object]]
    complaint: Callable[[Path], str] = lambda root: ""
    also: Callable[[Path], list[list[object]]] = lambda root: []


def _index(store: str, documents: int = 5) -> Callable[[Path, int], Path]:
    def make(index: Path, seed: int) -> Path:
        """An index of two segments in three generations, with judgements and a job that waits."""
        options = BuildOptions(store=store, analyzer="bigram")
        with pytest.MonkeyPatch.context() as patched:
            keep_segments(patched)
            if documents > 5:  # as if it were too large to be searched exactly
                patched.setattr("quarry.indexer.stores.auto.store.EXACT_UP_TO", 0)
            for first in (1, 1 + documents):
                texts = [
                    Document(f"d{n}", f"library text {n} of index {seed}") for n in range(first, first + documents)
                ]
                index_documents(index, texts, WordEmbedder(dim=DIM), options)
            delete_documents(index, ["d1"], WordEmbedder(dim=DIM))
        with FeedbackLog.open(feedback_path(index)) as log:
            for row in range(20):
                log.append(FeedbackEvent(f"question {row} of {seed}", "thumb_up", "s", "000002", "d2#0-9", "d2"))
        inbox = Inbox.open(index)
        inbox.put_documents([Document(f"w{n}", f"waiting {n} of {seed}") for n in range(20)])
        inbox.close()
        return index

    return make


def _of_index(index: Path) -> list[object]:
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


def _doctor(index: Path) -> str:
    """All failures but of the model, which is a fake."""
    failures = (check for check in examine(index) if check.severity == "failure" and check.name != "model")
    return "; ".join(str(check.message) for check in failures)


def _digests(seed: int) -> list[bytes]:
    return [passage_digest(f"passage {number} of {seed}") for number in range(60)]


def _states(seed: int) -> list[NDArray[np.int8]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-128, 127, (12, 16), dtype=np.int8) for _ in _digests(1)]


def _tokens(root: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    cache = TokenCache.open(root, "f00d")
    cache.keep(Projection(rng.random(32, dtype=np.float32), rng.random((32, 16), dtype=np.float32)))
    cache.put(_digests(1), _states(seed))
    cache.close()
    return root


def _of_tokens(root: Path) -> list[object]:
    cache = TokenCache.read(root, "f00d")
    try:
        projection = cache.projection()
        kept = None if projection is None else (projection.mean.tobytes(), projection.basis.tobytes())
        found = cache.get(_digests(1), 16)  # one that is not there is computed again
        return [
            kept,
            *(again.tobytes() if one is None else one.tobytes() for one, again in zip(found, _states(1), strict=True)),
        ]
    finally:
        cache.close()


def _vectors(root: Path, seed: int) -> Path:
    root.mkdir()
    cache = VectorCache.open(root / "f00d.probes.sqlite", 16)
    cache.put(_digests(1), _encoded(seed))
    cache.close()
    return root


def _encoded(seed: int) -> NDArray[np.float32]:
    """Vectors that float16 holds as they are, as the cache of probes keeps them."""
    return np.random.default_rng(seed).random((60, 16)).astype(np.float16).astype(np.float32)


def _of_vectors(root: Path) -> list[object]:
    cache = VectorCache.read(root / "f00d.probes.sqlite", 16)
    try:
        missing = cache.missing(_digests(1))  # these are encoded again
        again = _encoded(1)
        return [
            (again[row] if one in missing else cache.get([one])[0]).tobytes() for row, one in enumerate(_digests(1))
        ]
    finally:
        cache.close()


def _model(root: Path, seed: int) -> Path:
    from quarry.indexer.models.encoder import load_embedder
    from quarry.indexer.models.source import resolve_model
    from tests.training.tiny_model import tiny_model

    root.mkdir()
    source = resolve_model(str(tiny_model(root / "models" / "tiny", seed=seed)))
    assert source is not None
    embedder = load_embedder(source.folder, model_id=source.model, revision=source.revision, device="cpu")
    options = BuildOptions(analyzer="bigram", model_folder="models/tiny")
    index_documents(root, [Document("a", "notes about the printer")], embedder, options)
    return root


def _of_model(root: Path) -> list[object]:
    from quarry.retriever.models.lazy import LazyEmbedder

    vectors = LazyEmbedder(Index.open(root), None, "cpu").get().embed_queries(["how to fix printer 3?", "怎么修理花园"])
    return [np.round(vectors, 4).tolist()]


def _all_of_doctor(index: Path) -> str:
    return "; ".join(str(check.message) for check in examine(index) if check.severity == "failure")


def _run(root: Path, seed: int) -> Path:
    rng, run = np.random.default_rng(seed), RunFolder(root)
    run.begin(RUN)
    for step in (9, 10):
        folder = run.checkpoints / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("trained.safetensors", "optimizer.pt", "trainer_state.json", "rng_state.pth"):
            (folder / name).write_bytes(rng.bytes(3000))
        run.seal(folder)
    return root


def _of_run(root: Path, step: int | None = None) -> list[object]:
    run = RunFolder(root, writes=False)
    run.begin(RUN)
    newest = run.last_checkpoint() if step is None else run.checkpoints / f"checkpoint-{step}"
    return [] if newest is None else [newest.name, *(path.read_bytes() for path in sorted(newest.iterdir())[1:])]


SUBJECTS: dict[str, Subject] = {
    **{store: Subject(_index(store), _of_index, _doctor) for store in ("exact", "faiss", "lance")},
    "codes": Subject(_index("auto", 60), _of_index, _doctor),
    "tokens": Subject(_tokens, _of_tokens),
    "cache": Subject(_vectors, _of_vectors),
    "model": Subject(_model, _of_model, _all_of_doctor),
    "run": Subject(_run, _of_run, also=lambda root: [_of_run(root, 9), []]),
}
