"""What a store needs of a vector server, and the errors that all of them share."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from quarry.indexer.embedder import Vectors
from quarry.indexer.errors import IndexFormatError, MissingExtraError, SettingsError


class VectorServer(Protocol):
    """Collections of vectors by row number, on a server or in a file."""

    approximate: bool
    """Whether a collection of many vectors is searched approximately."""
    most: int
    """How many rows one search returns at most."""

    def fill(self, collection: str, dim: int, count: int, blocks: Iterator[tuple[int, Vectors]]) -> None:
        """Make a collection.

        Args:
            collection: Its name; there is none of it yet.
            dim: Length of the vectors.
            count: How many there will be.
            blocks: First row and unit vectors of each block, in order.

        Raises:
            IndexFormatError: If the server does not answer or refuses.
        """
        ...

    def nearest(self, collection: str, queries: Vectors, count: int, effort: int) -> list[NDArray[np.int64]]:
        """Return the rows nearest to each query by inner product, at most `count`, best first.

        Args:
            collection: Its name.
            queries: Shape (n, dim).
            count: At most `most`.
            effort: Size of the candidate list of an HNSW graph; 0 for the server's own.

        Raises:
            IndexFormatError: If the server does not answer, or has no such collection.
        """
        ...

    def count(self, collection: str) -> int | None:
        """Return how many rows a collection has; None when there is none. Raises as `nearest`."""
        ...

    def collections(self) -> list[str]:
        """Return the names of all collections. Raises as `nearest`."""
        ...

    def drop(self, collection: str) -> None:
        """Remove a collection; one that is not there is fine. Raises as `nearest`."""
        ...


def no_client(package: str, extra: str) -> MissingExtraError:
    """Make the error for a server whose client is not installed."""
    return MissingExtraError(
        "stores.no_client",
        "the package `{package}` is not installed, and this store needs it",
        do="Run `pip install 'quarry-search[{extra}]'`",
        package=package,
        extra=extra,
    )


def unreachable(uri: str, error: Exception) -> IndexFormatError:
    """Make the error for a server that does not answer or refuses."""
    return IndexFormatError(
        "stores.server",
        "the vector server {uri} cannot be used ({error})",
        expected="a server that answers and has the index's collection",
        do="Start the server, or index again with --store auto, which needs none",
        uri=uri,
        error=(str(error).splitlines() or [type(error).__name__])[0][:300],
    )


def check_uri(uri: str, variable: str) -> None:
    """Refuse an address that is not one, or that holds a password, which would be written into the index.

    Raises:
        SettingsError: If it is empty or holds a password.
    """
    if not uri:
        raise SettingsError(
            "stores.no_uri",
            "this store needs the address of a server",
            expected="--uri http://HOST:PORT, or a path for a local file",
            do="Give it with --uri",
        )
    if "@" in uri.partition("://")[2]:
        raise SettingsError(
            "stores.uri_with_password",
            "the address of the server holds a user or a password, and it is written into the index",
            expected="an address without them",
            do="Put the password or key into the environment variable {variable}",
            variable=variable,
        )
