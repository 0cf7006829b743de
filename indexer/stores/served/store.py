"""A store whose candidates come from a vector server; similarities come from its own vectors, so scores are those of every store.

`flush` makes a new collection, tunes how many candidates are compared against exact search until recall@10 reaches 0.95, and seals the
header that names it. Collections of this index that no header names any more are removed then. After an addition or removal, and
under a filter, searches are exact.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from platform import node
from threading import Lock
from typing import Any, ClassVar, Self
from uuid import uuid4

import numpy as np

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError
from quarry.indexer.storage.files.sealing import unseal
from quarry.indexer.stores.base import Neighbour
from quarry.indexer.stores.checks import TARGET_RECALL, check_search, ids_of, recall, recall_missed, tuning_queries
from quarry.indexer.stores.exact.files import StoredIds
from quarry.indexer.stores.exact.store import ExactStore
from quarry.indexer.stores.sealed import HEADER_NAME, Header, check_tuned, new_state
from quarry.indexer.stores.served.known import check_known, remember
from quarry.indexer.stores.served.milvus import MilvusServer
from quarry.indexer.stores.served.qdrant import QdrantServer
from quarry.indexer.stores.served.server import VectorServer, check_uri

_AIM = 0.98  # the effort is raised until here, so that other queries than the tuning ones reach the target too
_TUNE_FROM = 10_000  # vectors; servers compare fewer one by one
_TUNING_QUERIES = 200
_EFFORTS = (64, 128, 256, 512)
_REFINE = 2  # candidates per wanted neighbor that are compared with their own vectors
_TIES = 16  # candidates past k, so that equal similarities at the cut come in id order
_BLOCK = 1_000  # vectors of one request
_one_flush = Lock()  # of this process: a collection that is not sealed yet is not removed by another store's flush


class ServedStore(ExactStore):
    """A VectorStore on a vector server."""

    connect: ClassVar[type[MilvusServer] | type[QdrantServer]]

    def __init__(self, folder: Path, ids: StoredIds | list[str], matrix: Vectors) -> None:
        super().__init__(folder, ids, matrix)
        self._uri = ""
        self._server: VectorServer | None = None
        self._is_known = False
        self._facts: dict[str, Any] = {}  # of the collection; empty after a change, until the next flush

    @classmethod
    def create(cls, folder: Path, dim: int, uri: str = "") -> Self:
        """Make an empty store; the server is asked at the first flush.

        Raises:
            ValueError: If dim < 1.
            SettingsError: If the address is empty or holds a password.
            MissingExtraError: If the server's client is not installed.
        """
        store = super().create(folder, dim)
        store._connect(uri)
        remember(uri)
        store._is_known = True
        return store

    @classmethod
    def of_header(cls, folder: Path, header: Header | None) -> Self:
        """Open the vectors and ids that a header names; the server is asked at the first search.

        Raises:
            IndexFormatError: If a file is missing or damaged, or they do not belong together.
            MissingExtraError: If the server's client is not installed.
        """
        store = super().of_header(folder, header)
        if header is not None:
            check_tuned(header.facts, folder / HEADER_NAME)
            store._facts = dict(header.facts)
            store._connect(str(header.facts.get("uri", "")))
        return store

    def _connect(self, uri: str) -> None:
        check_uri(uri, "MILVUS_TOKEN or QDRANT_API_KEY")
        self._uri, self._server = uri, self.connect(uri)

    @property
    def server(self) -> VectorServer:
        """The server.

        Raises:
            SettingsError: If only the header names it (`known`), or nothing does.
        """
        if not self._is_known:
            check_known(self._uri)
            self._is_known = True
        if self._server is None:
            self._connect(self._uri)
        assert self._server is not None  # noqa: S101 (set by `_connect`, for mypy)
        return self._server

    @property
    def details(self) -> dict[str, Any]:
        """Facts for the manifest: address, collection, index, tuned effort, recall@10."""
        shown = ("index", "search", "refine", "recall@10", "note", "collection")
        facts = {key: self._facts[key] for key in shown if key in self._facts}
        unindexed = 0 if self._facts else len(self)
        return {**super().details, "uri": self._uri, **facts, "unindexed": unindexed}

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add all or nothing. Raises ValueError on a duplicate id, a wrong shape or a non-finite value."""
        super().add(ids, vectors)
        self._facts = {}

    def remove(self, ids: Collection[str]) -> int:
        """Remove these; return how many were there."""
        count = super().remove(ids)
        if count:
            self._facts = {}
        return count

    def search(self, queries: Vectors, k: int, *, allowed: Collection[str] | None = None) -> list[list[Neighbour]]:
        """Find the most similar chunks; see `VectorStore.search`.

        Raises:
            ValueError: If k < 1 or queries is not (n, dim).
            IndexFormatError: If the server does not answer, or has lost the collection.
            SettingsError: If only the index's own folder names the server (`known`).
        """
        check_search(queries, k, self.dim)
        wanted = min(len(self), k * int(self._facts.get("refine", 1)) + _TIES)
        if allowed is not None or not self._facts.get("collection") or not len(queries) or wanted > self.server.most:
            return super().search(queries, k, allowed=allowed)
        rows = self.server.nearest(self._facts["collection"], queries, wanted, self._facts["search"])
        out: list[list[Neighbour]] = []
        for query, line in zip(queries, rows, strict=True):
            best = None  # where fewer came back, or ties run past the candidates, exact search keeps the promise
            if len(line) >= min(k, len(self)):
                best = self.best_of(query, line, k, complete=len(line) == len(self))
            out.append(super().search(query[None], k)[0] if best is None else best)
        return out

    def flush(self) -> None:
        """Write the vectors, fill and tune a new collection, and seal both; a crash leaves what was flushed before."""
        before, name = self._facts, f"{_prefix(self._folder)}{uuid4().hex[:16]}"
        with _one_flush:
            try:
                with new_state(self._folder) as state:
                    facts = self.write_into(state)
                    self._facts = {"index": "flat", "search": 0, "refine": 1, "recall@10": 1.0, "collection": ""}
                    if len(self):
                        self.server.fill(name, self.dim, len(self), self._blocks())
                        self._facts["collection"] = name
                        self._tune()
                    state.seal(self.kind, self.dim, len(self), {**facts, **self._facts, "uri": self._uri})
            except BaseException:
                self._facts = before
                with suppress(IndexFormatError):  # what is wrong with the server is being raised already
                    self.server.drop(name)
                raise
            self._sweep()

    def _blocks(self) -> Iterator[tuple[int, Vectors]]:
        for first in range(0, len(self), _BLOCK):
            yield first, self.vectors_of(np.arange(first, min(first + _BLOCK, len(self))))

    def _tune(self) -> None:
        """Raise the effort until recall@10 on queries between stored vectors reaches the target."""
        if not self.server.approximate or len(self) < _TUNE_FROM:
            return
        queries = tuning_queries(self._vectors(), _TUNING_QUERIES)
        truth = ids_of(super().search(queries, 10))
        self._facts |= {"index": "hnsw", "refine": _REFINE}
        for effort in _EFFORTS:
            self._facts["search"] = effort
            reached = recall(truth, self.search(queries, 10))
            self._facts["recall@10"] = round(reached, 4)
            if reached >= _AIM:
                return
        if self._facts["recall@10"] < TARGET_RECALL:
            self._facts["note"] = recall_missed().as_json()

    def _sweep(self) -> None:
        """Remove collections that were made for this index and that none of its stores names; what cannot be read is left."""
        with suppress(IndexFormatError, OSError):
            headers = [unseal(path) for path in _root(self._folder).rglob(HEADER_NAME)]
            named = {str(header.get("facts", {}).get("collection", "")) for header in headers}
            mine = [one for one in self.server.collections() if one.startswith(_prefix(self._folder))]
            for name in set(mine) - named:
                self.server.drop(name)


class MilvusStore(ServedStore):
    """A VectorStore on Milvus, or on Milvus Lite in a file."""

    kind = "milvus"
    connect = MilvusServer


class QdrantStore(ServedStore):
    """A VectorStore on Qdrant, or on its local mode in a folder."""

    kind = "qdrant"
    connect = QdrantServer


def _root(folder: Path) -> Path:
    """Return the index that a store's folder is in, or the folder itself."""
    path = folder.absolute()
    return next((parent.parent for parent in path.parents if parent.name == "segments"), path)


def _prefix(folder: Path) -> str:
    """Return how the names of an index's collections begin: by machine and place, so that several share a server."""
    return f"quarry_{sha256(f'{node()}:{_root(folder)}'.encode()).hexdigest()[:12]}_"
