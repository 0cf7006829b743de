"""The folders that were added to a lake. The listing of each names its shards, and publishing takes what the listings name."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from quarry.indexer.errors import CorpusError, IndexMismatchError
from quarry.indexer.lake.making import Lake
from quarry.indexer.messages import Message
from quarry.indexer.stores.lake.layout import sealed, unsealed
from quarry.indexer.stores.lake.objects import Objects

_ROOTS = "roots"


class RootListing(BaseModel):
    """What a folder consists of.

    Attributes:
        name: The folder's, which its documents' ids begin with.
        path: Where it was on the machine that added it.
        shards: Their keys, in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    path: str
    shards: tuple[str, ...]
    format: int = 1

    def write(self, objects: Objects) -> None:
        """Store it in place of the one before."""
        objects.write(_object_of(self.name), sealed(self))


def root_listings(objects: Objects) -> list[RootListing]:
    """Return the listings of all folders, by name. Raises IndexFormatError when one is damaged."""
    found = [_read(objects, each.name) for each in objects.names(_ROOTS) if each.name.endswith(".json")]
    return sorted(found, key=lambda listing: listing.name)


def check_root(objects: Objects, prefix: str, root: Path) -> None:
    """Refuse another folder under the name of one that was added: its documents would take the place of the other's.

    Raises:
        IndexMismatchError: If it is another one.
        IndexFormatError: If the listing is damaged.
    """
    try:
        before = _read(objects, _object_of(prefix))
    except (FileNotFoundError, NotADirectoryError):
        return
    if before.path != str(root):
        raise IndexMismatchError(
            "lake.root_taken",
            "{lake} has a folder {name} already, from {before}; this one is {now}",
            do="If it is the same folder at another place, take the old one out first with --remove-root {name}: its shards are kept. "
            "Otherwise rename one of them",
            lake=objects.uri,
            name=prefix,
            before=before.path,
            now=str(root),
        )


def remove_root(lake: Lake, name: str) -> RootListing:
    """Take a folder out; the next `quarry lake publish` leaves its documents out.

    Raises:
        CorpusError: If no such folder was added.
    """
    known = {listing.name: listing for listing in root_listings(lake.objects)}
    if name not in known:
        raise CorpusError(
            "lake.no_root",
            "{lake} has no folder {name}",
            expected="one of {known}",
            lake=lake.objects.uri,
            name=name,
            known=sorted(known) or Message.of("lake.no_roots", "none"),
        )
    lake.objects.remove([_object_of(name)])
    return known[name]


def _object_of(name: str) -> str:
    """Return the object that the listing of a folder is in."""
    return f"{_ROOTS}/{name.encode().hex()}.json"


def _read(objects: Objects, name: str) -> RootListing:
    return unsealed(RootListing, objects.read(name).content, f"{objects.uri}/{name}")
