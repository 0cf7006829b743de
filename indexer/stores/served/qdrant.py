"""Qdrant, or its local mode in a folder, by qdrant-client (extra `qdrant`). The only module that imports qdrant_client.

A key comes from the environment (`QDRANT_API_KEY`) and is never written down.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.served.server import check_uri, no_client, unreachable

KEY = "QDRANT_API_KEY"
_clients: dict[str, Any] = {}


class QdrantServer:
    """A VectorServer on Qdrant."""

    most = 10_000

    def __init__(self, uri: str) -> None:
        """Take the address: `http://HOST:6333`, or the path of a folder for local mode. Nothing is sent yet.

        Raises:
            SettingsError: If it is empty or holds a password.
            MissingExtraError: If qdrant-client is not installed.
        """
        check_uri(uri, KEY)
        try:
            import qdrant_client
            from qdrant_client.http.exceptions import ApiException
        except ImportError as err:
            raise no_client("qdrant-client", "qdrant") from err
        self._uri, self._library, self._error = uri, qdrant_client, ApiException
        self.approximate = "://" in uri  # local mode compares every vector

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Yield the connection of this process to the server; turn what it raises into IndexFormatError."""
        try:
            if self._uri not in _clients:
                given = {"url": self._uri, "api_key": os.environ.get(KEY)} if self.approximate else {"path": self._uri}
                _clients[self._uri] = self._library.QdrantClient(**given)
            yield _clients[self._uri]
        # ValueError: local mode, where a collection is not there; RuntimeError: where another process has the folder
        except (self._error, OSError, ValueError, RuntimeError) as err:
            raise unreachable(self._uri, err) from err

    def fill(self, collection: str, dim: int, count: int, blocks: Iterator[tuple[int, Vectors]]) -> None:  # noqa: ARG002 (VectorServer)
        """Make a collection; see `VectorServer.fill`. Qdrant builds its graph by itself, from 10,000 KB of vectors on."""
        models = self._library.models
        with self._client() as client:
            client.create_collection(
                collection, vectors_config=models.VectorParams(size=dim, distance=models.Distance.DOT)
            )
            for first, vectors in blocks:
                points = models.Batch(ids=list(range(first, first + len(vectors))), vectors=vectors.tolist())
                client.upsert(collection, points=points, wait=True)

    def nearest(self, collection: str, queries: Vectors, count: int, effort: int) -> list[NDArray[np.int64]]:
        """Return the rows nearest to each query; see `VectorServer.nearest`."""
        models = self._library.models
        parameters = models.SearchParams(hnsw_ef=max(effort, count)) if effort and self.approximate else None
        asked = [models.QueryRequest(query=query, limit=count, params=parameters) for query in queries.tolist()]
        with self._client() as client:
            found = client.query_batch_points(collection, requests=asked)
        return [np.array([point.id for point in one.points], dtype=np.int64) for one in found]

    def count(self, collection: str) -> int | None:
        """Return how many rows a collection has; None when there is none."""
        with self._client() as client:
            return int(client.count(collection, exact=True).count) if client.collection_exists(collection) else None

    def collections(self) -> list[str]:
        """Return the names of all collections."""
        with self._client() as client:
            return [one.name for one in client.get_collections().collections]

    def drop(self, collection: str) -> None:
        """Remove a collection; one that is not there is fine."""
        with self._client() as client:
            client.delete_collection(collection)
