"""Objects on S3, and on what speaks its protocol: MinIO, R2, Ceph and others with conditional puts.

Address, region and credentials are those of the environment (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, a role of the
machine ...), the same for `obstore` and for Lance, which are built on one library.
"""

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from quarry.indexer.errors import IndexFormatError, MissingExtraError
from quarry.indexer.stores.lake.objects import Listed, Tagged

_AT_ONCE = 500  # objects removed in one request
_RETRIES, _RETRY_FOR = 4, timedelta(seconds=30)  # before storage that does not answer is an error


class S3Objects:
    """Objects below a prefix of a bucket."""

    def __init__(self, uri: str) -> None:
        """Connect; nothing is sent yet.

        Raises:
            MissingExtraError: If `obstore` is not installed.
            IndexFormatError: If the address or the environment's settings are not usable.
        """
        try:
            import obstore
            from obstore.store import S3Store
        except ImportError as err:
            raise MissingExtraError(
                "stores.no_obstore",
                "the package `obstore` is not installed, and a lake on object storage needs it",
                do="Run `pip install 'quarry-search[scale]'`",
            ) from err
        self._obstore, self._uri = obstore, uri
        options: dict[str, Any] = {"retry_config": {"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR}}
        if _plain_http():
            options["client_options"] = {"allow_http": True}
        try:
            self._store = S3Store.from_url(uri, **options)
        except obstore.exceptions.BaseError as err:
            raise self._unusable(err) from err

    @property
    def uri(self) -> str:
        """The address."""
        return self._uri

    @property
    def lance_options(self) -> dict[str, str] | None:
        """What LanceDB needs beside the environment."""
        return {"allow_http": "true"} if _plain_http() else None

    def lance_uri(self, folder: str) -> str:
        """Return the address of a folder of Lance tables."""
        return f"{self._uri}/{folder}"

    def read(self, name: str) -> Tagged:
        """Return an object. Raises FileNotFoundError, or IndexFormatError when the storage does not answer."""
        try:
            found = self._obstore.get(self._store, name)
            return Tagged(bytes(found.bytes()), str(found.meta["e_tag"] or ""))
        except FileNotFoundError:
            raise
        except self._obstore.exceptions.BaseError as err:
            raise self._unusable(err) from err

    def write(self, name: str, content: bytes) -> None:
        """Write an object, whatever was there."""
        self._put(name, content, "overwrite")

    def create(self, name: str, content: bytes) -> bool:
        """Write an object where there is none (If-None-Match); False when there is one."""
        return self._put(name, content, "create")

    def replace(self, name: str, content: bytes, tag: str) -> bool:
        """Replace an object that still has a tag (If-Match); False when somebody else was faster."""
        return self._put(name, content, {"e_tag": tag})

    def _put(self, name: str, content: bytes, mode: Any) -> bool:
        errors = self._obstore.exceptions
        try:
            self._obstore.put(self._store, name, content, mode=mode)
        except (errors.AlreadyExistsError, errors.PreconditionError):
            return False
        except FileNotFoundError:  # If-Match on what is gone
            return False
        except errors.BaseError as err:
            raise self._unusable(err) from err
        return True

    def size(self, name: str) -> int | None:
        """Return how many bytes an object has; None when there is none."""
        try:
            return int(self._obstore.head(self._store, name)["size"])
        except FileNotFoundError:
            return None
        except self._obstore.exceptions.BaseError as err:
            raise self._unusable(err) from err

    def names(self, prefix: str = "") -> Iterable[Listed]:
        """List the objects below a folder, in the order of their names."""
        try:
            found = [
                Listed(str(one["path"]), int(one["size"]), one["last_modified"].timestamp())
                for page in self._obstore.list(self._store, prefix=prefix or None)
                for one in page
            ]
        except self._obstore.exceptions.BaseError as err:
            raise self._unusable(err) from err
        return sorted(found)

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there are fine."""
        every = list(names)
        try:
            for first in range(0, len(every), _AT_ONCE):
                self._obstore.delete(self._store, every[first : first + _AT_ONCE])
        except FileNotFoundError:
            return
        except self._obstore.exceptions.BaseError as err:
            raise self._unusable(err) from err

    def _unusable(self, err: Exception) -> IndexFormatError:
        return IndexFormatError(
            "stores.lake_storage",
            "{lake} cannot be reached ({error})",
            expected="a bucket that answers",
            do="Check the address, AWS_REGION, AWS_ENDPOINT_URL and the credentials in the environment",
            lake=self._uri,
            error=(str(err).splitlines() or [type(err).__name__])[0][:300],
        )


def _plain_http() -> bool:
    """Whether the environment names an endpoint without encryption, as a test server or a store in one's own network has."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return any(os.environ.get(name, "").startswith("http://") for name in names)
