"""Milvus, or Milvus Lite in a file, by pymilvus (extra `milvus`). The only module that imports pymilvus.

A token or USER:PASSWORD comes from the environment (`MILVUS_TOKEN`) and is never written down.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.stores.served.server import check_uri, no_client, unreachable

TOKEN = "MILVUS_TOKEN"  # noqa: S105 (the name of a variable)
_ROW, _VECTOR = "row", "vector"
_HNSW_FROM = 50_000  # vectors; fewer are compared one by one
_HNSW = {"M": 32, "efConstruction": 200}
_clients: dict[str, Any] = {}


class MilvusServer:
    """A VectorServer on Milvus."""

    approximate = True
    most = 16_384  # what Milvus allows: https://milvus.io/docs/limitations.md

    def __init__(self, uri: str) -> None:
        """Take the address: `http://HOST:19530`, or the path of a Milvus Lite file. Nothing is sent yet.

        Raises:
            SettingsError: If it is empty or holds a password.
            MissingExtraError: If pymilvus is not installed.
        """
        check_uri(uri, TOKEN)
        try:
            import pymilvus
        except ImportError as err:
            raise no_client("pymilvus", "milvus") from err
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it raises
        self._uri, self._library = uri, pymilvus

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Yield the connection of this process to the server; turn what it raises into IndexFormatError."""
        try:
            if self._uri not in _clients:
                _clients[self._uri] = self._library.MilvusClient(self._uri, token=os.environ.get(TOKEN, ""))
            yield _clients[self._uri]
        except (self._library.MilvusException, OSError, ImportError) as err:  # ImportError: a file without milvus-lite
            raise unreachable(self._uri, err) from err

    def fill(self, collection: str, dim: int, count: int, blocks: Iterator[tuple[int, Vectors]]) -> None:
        """Make a collection; see `VectorServer.fill`."""
        kinds = self._library.DataType
        with self._client() as client:
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field(_ROW, kinds.INT64, is_primary=True)
            schema.add_field(_VECTOR, kinds.FLOAT_VECTOR, dim=dim)
            index = client.prepare_index_params()
            if count < _HNSW_FROM:
                index.add_index(_VECTOR, index_type="FLAT", metric_type="IP")
            else:
                index.add_index(_VECTOR, index_type="HNSW", metric_type="IP", params=_HNSW)
            client.create_collection(collection, schema=schema, index_params=index, consistency_level="Strong")
            for first, vectors in blocks:
                client.insert(
                    collection, [{_ROW: first + row, _VECTOR: vector} for row, vector in enumerate(vectors.tolist())]
                )
            client.flush(collection)

    def nearest(self, collection: str, queries: Vectors, count: int, effort: int) -> list[NDArray[np.int64]]:
        """Return the rows nearest to each query; see `VectorServer.nearest`."""
        parameters = {"params": {"ef": max(effort, count)}} if effort else {}
        with self._client() as client:
            found = client.search(
                collection, data=queries.tolist(), limit=count, output_fields=[_ROW], search_params=parameters
            )
        return [np.array([hit[_ROW] for hit in hits], dtype=np.int64) for hits in found]

    def count(self, collection: str) -> int | None:
        """Return how many rows a collection has; None when there is none."""
        with self._client() as client:
            if not client.has_collection(collection):
                return None
            (row,) = client.query(collection, output_fields=["count(*)"])
            return int(row["count(*)"])

    def collections(self) -> list[str]:
        """Return the names of all collections."""
        with self._client() as client:
            return list(client.list_collections())

    def drop(self, collection: str) -> None:
        """Remove a collection; one that is not there is fine."""
        with self._client() as client:
            if client.has_collection(collection):
                client.drop_collection(collection)
