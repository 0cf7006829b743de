"""The FAISS store: approximate candidates from FAISS, exact similarities from the stored float32 vectors.

Vectors and ids are kept in an `ExactStore`; FAISS numbers are its row numbers, so ids never shift. `flush` builds the FAISS
index, chooses its kind by size, and tunes it against exact search until recall@10 reaches 0.95; the parameters are stored with it.
One header seals vectors, ids and index, so they always come from one flush. After an addition or removal, searches are exact
until the next flush.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.messages import Message
from quarry.indexer.storage.files.sealing import FileFact, unseal
from quarry.indexer.stores.base import Neighbour
from quarry.indexer.stores.checks import TARGET_RECALL, check_search, ids_of, recall, recall_missed, tuning_queries
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.faiss.file import check_file, check_rows
from quarry.indexer.stores.faiss.library import (
    IVF_LEAST,
    IndexKind,
    make_index,
    nearest,
    nearest_of,
    on_gpus,
    read_index,
    set_effort,
    write_index,
)
from quarry.indexer.stores.sealed import (
    HEADER_NAME,
    Header,
    check_tuned,
    new_state,
    no_header,
    numbered,
    other_content,
    refuse_damage,
)

KIND = "faiss"
_FILES = (("index", ".faiss"), ("vectors", ".npy"))
_AIM = 0.98  # the effort is raised until here, so that other queries than the tuning ones reach the target too
_HNSW_FROM, _IVF_FROM = 50_000, 2_000_000  # vectors; below, flat search takes a few milliseconds here
_TUNING_QUERIES = 200
_TIES = 16  # candidates past k, so that equal similarities at the cut come in id order
_EXACT_BELOW = 20_000  # allowed passages: fewer are compared exactly


@dataclass(frozen=True, slots=True)
class FaissOptions:
    """Which index to build: `auto` chooses by size."""

    index: Literal["auto", "flat", "hnsw-sq8", "ivf-pq"] = "auto"


class FaissStore:
    """A VectorStore on FAISS (CPU)."""

    def __init__(self, folder: Path, vectors: ExactStore, options: FaissOptions) -> None:
        self._folder = folder
        self._vectors = vectors
        self._options = options
        self._index: Any = None
        self._on_gpu = False  # GPU indexes take no selectors: filtered searches are exact then
        self._facts: dict[str, Any] = {"kind": KIND, "index": "flat", "search": 0, "refine": 1, "recall@10": 1.0}

    @classmethod
    def create(cls, folder: Path, dim: int, options: FaissOptions = FaissOptions()) -> Self:
        """Make an empty store. Raises ValueError if dim < 1."""
        return cls(folder, ExactStore.create(folder, dim), options)

    @classmethod
    def open(cls, folder: Path, *, verified: bool = False) -> Self:
        """Open what `flush` wrote; FAISS reads a file of up to 256 MiB only after its SHA-256 agrees, verified before or not.

        Raises:
            IndexFormatError: If the folder is not such a store, or is damaged.
        """
        header = Header.read(folder, KIND, verified=verified)
        if header is not None and _is_in_vectors(folder, header):
            path, facts = None, header.facts
        else:
            path, facts, digest = _first_format(folder) if header is None else _named_by(folder, header)
            refuse_damage(folder, {path.name: digest}, hashes=None)
        check_tuned(facts, folder / HEADER_NAME)
        store = cls(folder, ExactStore.of_header(folder, header), FaissOptions(facts.get("option", "auto")))
        if path is None:
            store._index = make_index("flat", store._vectors.vectors_of(np.arange(len(store))), store.dim)
        else:
            check_file(path, facts["index"], (len(store), store.dim))
            store._index = read_index(path, len(store), store.dim)
        store._facts = facts
        store._set_effort(facts["search"])
        store._move_to_gpu()
        return store

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._vectors.dim

    @property
    def ids(self) -> Sequence[str]:
        """All chunk ids, in insertion order."""
        return self._vectors.ids

    def holds(self, chunk_id: str) -> bool:
        """Whether an id is stored."""
        return self._vectors.holds(chunk_id)

    def similarities(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        """Return similarities that depend on nothing but the two vectors; see `VectorStore.similarities`."""
        return self._vectors.similarities(query, ids)

    def vectors_of(self, rows: NDArray[np.int64]) -> Vectors:
        """Return stored vectors by row number, shape (len(rows), dim)."""
        return self._vectors.vectors_of(rows)

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest: index type, tuned search effort (efSearch or nprobe), refine factor, recall@10."""
        shown = ("kind", "index", "search", "refine", "recall@10", "note")
        facts = {key: self._facts[key] for key in shown if key in self._facts}
        return {**facts, "count": len(self), "unindexed": 0 if self._index is not None else len(self)}

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add all or nothing. Raises ValueError on a duplicate id, a wrong shape or a non-finite value."""
        self._vectors.add(ids, vectors)
        self._index = None

    def remove(self, ids: Collection[str]) -> int:
        """Remove these; return how many were there."""
        count = self._vectors.remove(ids)
        if count:
            self._index = None
        return count

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks; see `VectorStore.search`. Raises ValueError if k < 1 or queries is not (n, dim)."""
        check_search(queries, k, self.dim)
        if self._index is None or (allowed is not None and (self._on_gpu or len(allowed) <= _EXACT_BELOW)):
            return self._vectors.search(queries, k, allowed=allowed)
        selected = self._vectors.rows_of(allowed) if allowed is not None else None
        wanted = min(k, len(self) if selected is None else len(selected))
        if wanted == 0:
            return [[] for _ in range(len(queries))]
        rows = self._candidates(queries, wanted * self._facts["refine"] + _TIES, selected)
        everything = len(self) if selected is None else len(selected)
        out: list[list[Neighbour]] = []
        for query, line in zip(queries, rows, strict=True):
            found = np.unique(line[line >= 0])  # an inverted list may hold a number twice
            best = None  # where the graph ended early, or ties run past the candidates, exact search keeps the promise
            if len(found) >= wanted:
                best = self._vectors.best_of(query, found, k, complete=len(found) == everything)
            out.append(self._vectors.search(query[None], k, allowed=allowed)[0] if best is None else best)
        return out

    def _candidates(self, queries: Vectors, count: int, selected: NDArray[np.int64] | None) -> NDArray[np.int64]:
        count = min(count, len(self))
        if selected is None:
            rows = nearest(self._index, queries, count)
        else:
            kind, effort = self._facts["index"], min(self._facts["search"], len(self))
            rows = nearest_of(self._index, queries, count, selected, kind=kind, effort=effort)
        return check_rows(rows, self._folder, (len(self), self.dim))

    def flush(self) -> None:
        """Write the vectors, then build, tune and write the index; a crash leaves what was flushed before."""
        kind = self._kind()
        self._index = make_index(kind, self._vectors.vectors_of(np.arange(len(self))), self.dim)
        self._facts = {
            "kind": KIND,
            "option": self._options.index,
            "index": kind,
            "search": 0,
            "refine": 1,
            "recall@10": 1.0,
        }
        if kind != "flat":
            self._tune(kind)
        with new_state(self._folder) as state:
            self._facts |= self._vectors.write_into(state)
            if kind != "flat":  # which has the vectors and nothing else
                write_index(self._index, state.path("index", ".faiss"))
            state.seal(KIND, self.dim, len(self), self._facts)

    def _kind(self) -> IndexKind:
        if self._options.index == "ivf-pq" and len(self) < IVF_LEAST:
            return "flat"
        if self._options.index != "auto":
            return self._options.index if len(self) else "flat"
        return "flat" if len(self) < _HNSW_FROM else "hnsw-sq8" if len(self) < _IVF_FROM else "ivf-pq"

    def _tune(self, kind: IndexKind) -> None:
        """Raise the search effort until recall@10 on queries between stored vectors reaches the target."""
        queries = tuning_queries(self._vectors.vectors_of(np.arange(len(self))), _TUNING_QUERIES)
        truth = ids_of(self._vectors.search(queries, 10))
        efforts = (64, 128, 256, 512) if kind == "hnsw-sq8" else (1, 2, 4, 8, 16, 32, 64, 128, 256)
        for refine in (2,) if kind == "hnsw-sq8" else (10, 30, 100):
            for effort in efforts:
                self._set_effort(effort)
                self._facts |= {"search": effort, "refine": refine}
                reached = recall(truth, self.search(queries, 10))
                self._facts["recall@10"] = round(reached, 4)
                if reached >= _AIM:
                    return
        if self._facts["recall@10"] < TARGET_RECALL:
            self._facts["note"] = recall_missed().as_json()

    def _move_to_gpu(self) -> None:
        """Search on the GPUs when faiss-gpu is installed instead of faiss-cpu; HNSW stays on the CPU."""
        moved = on_gpus(self._index) if self._facts["index"] != "hnsw-sq8" else None
        if moved is not None:
            self._index, self._on_gpu = moved, True

    def _set_effort(self, effort: int) -> None:
        set_effort(self._index, min(effort, max(1, len(self))))  # FAISS takes memory for so many


def _is_in_vectors(folder: Path, header: Header) -> bool:
    """Whether the FAISS index of a header is flat and not stored: it is made of the vectors. Older stores have a file of it."""
    index, vectors = (numbered(folder, stem, header.number, end).name for stem, end in _FILES)
    return header.facts.get("index") == "flat" and index not in header.files and vectors in header.files


def _named_by(folder: Path, header: Header) -> tuple[Path, dict[str, Any], FileFact]:
    """The FAISS index of a header, its facts, and its recorded size and digest."""
    path = numbered(folder, "index", header.number, ".faiss")
    if path.name not in header.files:
        raise IndexFormatError(
            "stores.unnamed",
            "{header} does not name {file}",
            do="Roll back with `quarry generations INDEX --rollback`, or index again with --rebuild",
            header=folder / HEADER_NAME,
            file=path.name,
        )
    return path, header.facts, header.files[path.name]


def _first_format(folder: Path) -> tuple[Path, dict[str, Any], FileFact]:
    """Where format 1 kept the FAISS index, its facts, and its recorded size and digest."""
    path = folder / "faiss.json"
    try:
        facts = unseal(path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise no_header(folder) from err
    size, digest = facts.pop("bytes", None), facts.pop("sha256", None)
    if facts.get("kind") != KIND or not isinstance(size, int) or not isinstance(digest, str):
        raise other_content(
            path,
            Message.of(
                "stores.kind_and_size", "kind {kind} and size {size}", kind=repr(facts.get("kind")), size=repr(size)
            ),
            Message.of("stores.kind_and_digest", "kind {kind}, a size and a SHA-256", kind=repr(KIND)),
        )
    return folder / "index.faiss", facts, FileFact(size=size, sha256=digest)
