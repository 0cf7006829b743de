"""Where a lake lies: objects by name that are written whole, made where there is none, and replaced where nobody else was faster."""

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from quarry.indexer.errors import IndexBusyError, SettingsError
from quarry.indexer.storage.files.durable import accessible, write_atomic
from quarry.indexer.storage.files.locks import waited_lock

# what a path makes of `s3://bucket/kb` is understood, too
_REMOTE = re.compile(r"(s3):/{1,2}(?=[^/\s])(\S+)")
_LOCK_NAME = ".pointer.lock"


class Listed(NamedTuple):
    """An object of a listing.

    Attributes:
        name: Below the root, with `/`.
        size: Bytes.
        modified: Seconds since 1970.
    """

    name: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Tagged:
    """What an object held, and the tag that a replacement must still find on it."""

    content: bytes
    tag: str


class Objects(Protocol):
    """The objects below one root."""

    @property
    def uri(self) -> str:
        """The root, as users write it."""
        ...

    @property
    def lance_options(self) -> Mapping[str, str] | None:
        """What LanceDB needs to open tables there, beside the environment."""
        ...

    def lance_uri(self, folder: str) -> str:
        """Return the address of a folder of Lance tables."""
        ...

    def read(self, name: str) -> Tagged:
        """Return an object. Raises FileNotFoundError."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write an object, whatever was there."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write an object where there is none; False when there is one."""
        ...

    def replace(self, name: str, content: bytes, tag: str) -> bool:
        """Replace an object that still has a tag; False when somebody else was faster."""
        ...

    def size(self, name: str) -> int | None:
        """Return how many bytes an object has; None when there is none."""
        ...

    def names(self, prefix: str = "") -> Iterable[Listed]:
        """List the objects below a folder, in the order of their names."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there are fine."""
        ...


class LocalObjects:
    """Objects in a folder, for trying out and for one machine."""

    def __init__(self, root: Path) -> None:
        """Take the folder; it is made at the first write."""
        self.root = root.absolute()

    @property
    def uri(self) -> str:
        """The folder."""
        return str(self.root)

    @property
    def lance_options(self) -> None:
        """Nothing is needed."""
        return

    def lance_uri(self, folder: str) -> str:
        """Return the path of a folder of Lance tables."""
        return str(self.root / folder)

    def read(self, name: str) -> Tagged:
        """Return a file. Raises FileNotFoundError, or AccessError."""
        with accessible():
            content = (self.root / name).read_bytes()
        return Tagged(content, sha256(content).hexdigest())

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whatever was there."""
        path = self.root / name
        with accessible():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)

    def create(self, name: str, content: bytes) -> bool:
        """Write a file where there is none; False when there is one."""
        with self._alone():
            if (self.root / name).exists():
                return False
            self.write(name, content)
        return True

    def replace(self, name: str, content: bytes, tag: str) -> bool:
        """Replace a file whose content still has a digest; False when it has another."""
        with self._alone():
            try:
                if self.read(name).tag != tag:
                    return False
            except FileNotFoundError:
                return False
            self.write(name, content)
        return True

    def size(self, name: str) -> int | None:
        """Return how many bytes a file has; None when there is none."""
        path = self.root / name
        return path.stat().st_size if path.is_file() else None

    def names(self, prefix: str = "") -> Iterable[Listed]:
        """List the files below a folder, in the order of their names."""
        folder = self.root / prefix
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            try:
                facts = path.stat()
            except FileNotFoundError:  # removed meanwhile
                continue
            if path.is_file() and path.name != _LOCK_NAME:
                yield Listed(path.relative_to(self.root).as_posix(), facts.st_size, facts.st_mtime)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, and folders that are empty then."""
        for name in names:
            path = self.root / name
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self.root or any(parent.iterdir()):
                    break
                parent.rmdir()

    def _alone(self) -> AbstractContextManager[None]:
        """Hold a short lock between processes around compare-and-write."""
        self.root.mkdir(parents=True, exist_ok=True)
        return waited_lock(self.root / _LOCK_NAME)


def is_remote(place: str | Path) -> bool:
    """Whether a place is an address of object storage, also where it was read as a path.

    Example:
        >>> from pathlib import Path
        >>> is_remote("s3://bucket/kb"), is_remote(Path("s3://bucket/kb")), is_remote("my-index")
        (True, True, False)
    """
    return _REMOTE.fullmatch(str(place)) is not None


def objects_of(place: str | Path) -> Objects:
    """Return the objects at an address: `s3://BUCKET/PREFIX`, a folder, or `file://FOLDER`.

    Raises:
        SettingsError: If it is another kind of address.
        MissingExtraError: If the package for it is not installed.
    """
    text = str(place)
    if match := _REMOTE.fullmatch(text):
        from quarry.indexer.stores.lake.s3 import S3Objects

        return S3Objects(f"{match[1]}://{match[2].rstrip('/')}")
    if text.startswith("file:/"):
        return LocalObjects(Path(unquote(urlsplit(text).path)))
    if "://" in text:
        raise SettingsError(
            "stores.lake_address",
            "{address} is an address of a kind that is not supported",
            expected="s3://BUCKET/PREFIX, or a folder",
            do="Stores that speak the protocol of S3 are reached with s3:// and AWS_ENDPOINT_URL",
            address=text,
        )
    return LocalObjects(Path(text))


def stale(uri: str) -> IndexBusyError:
    """Return the error for a writer whose knowledge of a lake is no longer right."""
    return IndexBusyError(
        "stores.lake_stale",
        "{lake} was changed by another process while this one worked",
        expected="the lake as this process found it",
        do="Nothing of the other's work is lost. Look at `quarry lake status {lake}` and run the command again",
        lake=uri,
    )
